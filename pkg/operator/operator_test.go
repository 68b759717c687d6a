package operator_test

import (
	"reflect"
	"testing"

	"github.com/opcredsd/opcredsd/pkg/server"
)

// A node with a bridge answers every request that package admin knows.
func TestEveryRequestHasAnAnswer(t *testing.T) {
	srv, err := server.New(server.Options{StateDir: t.TempDir(), AnyPort: true, Interfaces: []string{"lo"}, Bridge: &server.Bridge{}})
	if err != nil {
		t.Fatal(err)
	}
	defer srv.Stop()
	answers := reflect.ValueOf(srv.Operator())
	for i := range answers.NumField() {
		if answers.Field(i).IsNil() {
			t.Errorf("nothing answers %s", answers.Type().Field(i).Name)
		}
	}
}
