package bridge

import (
	"strings"
	"testing"

	"github.com/opcredsd/opcredsd/pkg/store"
)

func TestCheck(t *testing.T) {
	g := newRig(t)
	a, b := g.put(lamp("api:a")), g.put(lamp("api:b"))
	if err := Check(g.db); err != nil {
		t.Fatal(err)
	}
	rec := *g.entries["api:b"].rec
	broken := func(number int) []byte {
		r := rec
		id := r.Endpoints["main"]
		id.Number = a.Endpoint
		if number != 0 {
			id.Number = b.Endpoint + 100
		}
		r.Endpoints = map[string]identity{"main": id}
		return r.encode()
	}
	for want, value := range map[string][]byte{
		"device api:b: its record cannot be read":     []byte("{"),
		"device api:b: it has endpoint 2, as has":     broken(0),
		"device api:b: its endpoint 103 is not reser": broken(1),
	} {
		if err := g.db.Update(func(tx *store.Tx) error { return tx.PutDevice("api:b", value) }); err != nil {
			t.Fatal(err)
		}
		if err := Check(g.db); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
}
