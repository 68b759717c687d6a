package device

import (
	"encoding/binary"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/opcredsd/opcredsd/internal/clustertest"
	"github.com/opcredsd/opcredsd/pkg/matter"
)

// FuzzReport makes a source send invalid reports, one after another. Each attribute
// must have a valid value afterwards, and a value that is read back must be
// accepted again. The first octet is the type. Ten octets are one report: a
// property, a kind of value, and the value.
func FuzzReport(f *testing.F) {
	op := func(property, kind byte, value float64) []byte {
		return binary.BigEndian.AppendUint64([]byte{property, kind}, math.Float64bits(value))
	}
	types := Types()
	for i := range types {
		for p := range byte(3) {
			f.Add(slices.Concat([]byte{byte(i)}, op(p, 0, 1), op(p, 1, 42.5), op(p, 2, 1), op(p, 7, 1), op(p, 1, -1e300)))
			f.Add(slices.Concat([]byte{byte(i)}, op(p, 1, math.Inf(1)), op(p, 3, 0), op(p+3, 7, 0), op(p, 0, 0)))
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) == 0 || len(data) > 10*64 {
			return
		}
		typ := types[int(data[0])%len(types)]
		d := Device{ID: "test:1", Battery: &Battery{Percent: Number(50)}, Parts: []Part{{ID: "main", Type: typ, Meter: data[0] >= 0x80}}}
		a, err := Assemble(&d, Profile{}, func(time.Time, Command) error { return nil })
		if err != nil {
			t.Fatal(err)
		}
		a.Place(func(string) matter.EndpointID { return 7 })
		e, now := a.Nodes[0].Endpoint, clustertest.Start
		for data = data[1:]; len(data) >= 10; data = data[10:] {
			now = now.Add(time.Duration(data[1]) * 100 * time.Millisecond)
			value := math.Float64frombits(binary.BigEndian.Uint64(data[2:]))
			if properties := e.Properties(); data[1]%8 < 7 && len(properties) > 0 {
				p := properties[int(data[0])%len(properties)]
				v := fuzzValue(p, data[1], value)
				if err := e.Report(now, Values{p.Name: v}); (err == nil) != (p.Check(v) == nil) {
					t.Errorf("%s %s: %v", p.Name, v, err)
				}
				if back := e.State(now)[p.Name]; p.Check(back) != nil {
					t.Errorf("%s %s comes back as %s", p.Name, v, back)
				}
			} else {
				gesture := []Gesture{Single, Double, Triple, Long, Press, Release, "x"}[int(data[0])%7]
				if err := e.Event(now, gesture); err == nil && typ != "generic_switch" {
					t.Errorf("a %s took a gesture", typ)
				}
				e.SetBattery(now, Battery{Percent: Number(value)})
			}
			e.Advance(now)
			checkValues(t, now, typ, e)
		}
	})
}

func fuzzValue(p *Property, kind byte, f float64) Value {
	switch kind % 4 {
	case 0:
		return Bool(f != 0)
	case 1:
		return Number(f)
	case 2:
		if n := len(p.Values); n > 0 {
			return Text(p.Values[int(math.Float64bits(f)%uint64(n))])
		}
		return Text("x")
	}
	return Null
}
