package device

import (
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/opcredsd/opcredsd/internal/clustertest"
	"github.com/opcredsd/opcredsd/pkg/tlv"
)

// FuzzClusters sends arbitrary values to each command, each writable attribute and
// each property of every type of the library, two in a row, with time in between
// and afterwards. A rejected value must not change anything, shown values must be
// valid, and the stored state must be loadable.
func FuzzClusters(f *testing.F) {
	var all []Part
	devices := compositions()
	for _, name := range slices.Sorted(maps.Keys(devices)) {
		if d := devices[name]; len(d.Parts) == 1 && d.Battery == nil {
			all = append(all, d.Parts[0])
		}
	}
	r := &rig{Node: clustertest.New(f, 2), t: f}
	r.joins(1)
	for _, x := range []string{
		"{}", "null", "0", "1", "true", "+5", `"off"`, "{0:0}", "{0:1,1:1}", "{0:1,1:0,2:0,3:0,4:0}", "{0:254,1:100,2:1,3:1}", "{0:200,1:2,2:100,3:1,4:1}",
		"{0:1,1:65535,2:0,3:0,4:0,5:1,6:1}", "{0:15,1:1,2:1,3:1,4:255,5:1,6:1}", "{0:+100,1:-100,2:65534,3:1,4:1}", "{0:0,1:30,2:5}",
		`{0:1,1:1,2:5000,3:"x",4:[{0:6,1:[{0:0,1:1}]},{0:8,1:[{0:0,1:255}]}]}`, "{0:1,1:1,2:5000}", `{0:x"31323334"}`,
	} {
		for n := range all {
			f.Add(uint8(n), uint8(n), Encode(f, x), uint16(500), uint8(n+1), Encode(f, "{0:1,1:1,2:20,3:1,4:1}"))
		}
	}
	f.Fuzz(func(t *testing.T, which, first uint8, x []byte, wait uint16, second uint8, y []byte) {
		if tlv.Validate(x) != nil || tlv.Validate(y) != nil || len(x)+len(y) > 1000 {
			return
		}
		p := all[int(which)%len(all)]
		r.t = t
		r.SetT(t)
		r.part(p)
		defer r.RemoveEndpoint(2)
		for _, op := range []struct {
			what  uint8
			value []byte
		}{{first, x}, {second, y}} {
			r.give(op.what, op.value)
			r.after(time.Duration(wait) * time.Millisecond)
			checkValues(t, r.Now, p.Type, r.e)
		}
		r.after(time.Minute)
		kept := r.e.Save()
		again, err := New("test:1", &p, r.e.send)
		if err != nil {
			t.Fatal(err)
		}
		if err := again.Load(kept); err != nil {
			t.Errorf("what was kept cannot be loaded: %v", err)
		}
		again.PowerUp(r.Now)
		checkValues(t, r.Now, p.Type, again)
	})
}

// Encode is [clustertest.Encode].
func Encode(t testing.TB, text string) []byte { return clustertest.Encode(t, text) }

// part makes p the part on endpoint 2.
func (r *rig) part(p Part) {
	r.t.Helper()
	p.ID = "main"
	e, err := New("test:1", &p, func(_ time.Time, c Command) error {
		if c.Set == nil && c.Do == "" {
			r.t.Errorf("a command that asks for nothing: %+v", c)
		}
		for name, v := range c.Set {
			if q := r.e.Property(name); q == nil || !q.Settable || v.IsNull() || q.Check(v) != nil {
				r.t.Errorf("the device is asked for %s = %s", name, v)
			}
		}
		return nil
	})
	if err != nil {
		r.t.Fatal(err)
	}
	r.e = e
	if f := r.Table.Get(1); len(f.Groups) != 2 {
		r.joins(1)
	}
	r.add()
}

// give sends a value to a target, or, as a report of the source, to a property.
func (r *rig) give(what uint8, value []byte) {
	r.t.Helper()
	rd := tlv.NewReader(value)
	v := rd.Element()
	if props := r.e.Properties(); what >= 0xC0 && len(props) > 0 {
		q := props[int(what)%len(props)]
		if err := r.e.Report(r.Now, Values{q.Name: r.value(q, v)}); err == nil {
			r.Touch(2)
		}
		r.Settle(r.Now)
		return
	}
	var targets []clustertest.Target
	for _, x := range r.Targets() {
		if x.Endpoint == 2 {
			targets = append(targets, x)
		}
	}
	if len(targets) == 0 {
		return
	}
	x := targets[int(what)%len(targets)]
	before := r.Shown(2, x.Spec)
	if !r.Ask(clustertest.Admin(1), x, v) {
		if after := r.Shown(2, x.Spec); after != before {
			r.t.Errorf("%s was refused, and changed\n%s to\n%s", x.Spec.Name, before, after)
		}
	}
}

// value converts TLV to a value of a property.
func (r *rig) value(q *Property, v tlv.Element) Value {
	rd := v.Reader()
	switch v.Type() {
	case tlv.TypeBool:
		return Bool(rd.Bool())
	case tlv.TypeUint:
		n := rd.Uint()
		if q.Kind == KindText && len(q.Values) > 0 {
			return Text(q.Values[n%uint64(len(q.Values))])
		}
		return Number(float64(n) / 7)
	case tlv.TypeInt:
		return Number(float64(rd.Int()))
	case tlv.TypeString:
		return Text(rd.Text())
	case tlv.TypeFloat64:
		return Number(rd.Float64())
	}
	return Null
}
