package cluster

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/opcredsd/opcredsd/pkg/datamodel"
	"github.com/opcredsd/opcredsd/pkg/im"
	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/tlv"
)

// lamp is the state of a lamp that can be dimmed.
type lamp struct {
	On      bool
	Level   Null[uint8]
	StartUp Null[datamodel.OnOffStartUpOnOff]
	Options uint8
	OnLevel Null[uint8]
	fading  bool
}

var lampOnOff = Define(Def[lamp]{
	Facts: datamodel.OnOff,
	Attributes: []Attribute[lamp]{
		Bool(datamodel.OnOffAttrOnOff, func(s *lamp) *bool { return &s.On }),
		NullUint(datamodel.OnOffAttrStartUpOnOff, func(s *lamp) *Null[datamodel.OnOffStartUpOnOff] { return &s.StartUp }),
	},
	Commands: []Command[lamp]{
		Do(datamodel.OnOffCmdOn, func(c *Context, s *lamp) error { s.On = true; return nil }),
		Do(datamodel.OnOffCmdOff, func(c *Context, s *lamp) error { s.On = false; return nil }),
		Do(datamodel.OnOffCmdToggle, func(c *Context, s *lamp) error { s.On = !s.On; return nil }),
	},
})

// onOff serves StartUpOnOff, too.
var onOff = Selection{
	Attributes: []matter.AttributeID{datamodel.OnOffAttrStartUpOnOff},
	Commands:   []matter.CommandID{datamodel.OnOffCmdOn, datamodel.OnOffCmdToggle},
}

// levelFacts are those of Level Control with one command.
var levelFacts = func() *datamodel.Cluster {
	f := *datamodel.LevelControl
	f.Commands = slices.DeleteFunc(slices.Clone(f.Commands), func(c datamodel.Command) bool {
		return c.ID != datamodel.LevelControlCmdMoveToLevel
	})
	return &f
}()

var lampLevel = Define(Def[lamp]{
	Facts: levelFacts,
	Attributes: []Attribute[lamp]{
		NullUint(datamodel.LevelControlAttrCurrentLevel, func(s *lamp) *Null[uint8] { return &s.Level }).Quiet(EachSecond),
		Constant[lamp](datamodel.LevelControlAttrMinLevel, 1),
		Constant[lamp](datamodel.LevelControlAttrMaxLevel, 254),
		Uint(datamodel.LevelControlAttrOptions, func(s *lamp) *uint8 { return &s.Options }),
		NullUint(datamodel.LevelControlAttrOnLevel, func(s *lamp) *Null[uint8] { return &s.OnLevel }).Keep(),
	},
	Commands: []Command[lamp]{
		DoWith(datamodel.LevelControlCmdMoveToLevel, func(c *Context, s *lamp, f *struct {
			Level           uint8
			TransitionTime  Opt[Null[uint16]]
			OptionsMask     Opt[uint8]
			OptionsOverride Opt[uint8]
		}) error {
			s.Level = Some(f.Level)
			c.Want(2)
			return nil
		}),
	},
})

// rig is a lamp on an endpoint, with its reports and the requests to it.
type rig struct {
	*Unit[lamp]
	endpoint Endpoint
	now      time.Time
	reported []matter.AttributeID
	asked    []lamp
	refuse   error
}

func newRig() *rig {
	r := &rig{now: time.Unix(1_800_000_000, 0)}
	r.Unit = NewUnit(&r.endpoint, lamp{Level: Some(uint8(100))}, Rules[lamp]{
		Moving: func(s *lamp) bool { return s.fading },
		Couple: func(c *Context, was, is *lamp) error {
			if is.Level.V == 0 && is.Level.Valid {
				return matter.StatusConstraintError
			}
			return nil
		},
		Apply: func(c *Context, was, is *lamp) error {
			r.asked = append(r.asked, *is)
			return r.refuse
		},
	})
	r.Serve(lampOnOff, onOff)
	return r
}

func (r *rig) Attribute(_ matter.ClusterID, id matter.AttributeID) {
	r.reported = append(r.reported, id)
}
func (r *rig) Event(_ matter.ClusterID, id matter.EventID, data func(w *tlv.Writer)) {}

func (r *rig) request() *im.Request { return &im.Request{Now: r.now} }

// settled returns what is reported at r.now.
func (r *rig) settled() []matter.AttributeID {
	r.reported = nil
	r.endpoint.settle(r.now, r)
	return r.reported
}

func element(f func(w *tlv.Writer)) tlv.Element {
	w := tlv.NewWriter(nil)
	f(w)
	rd := tlv.NewReader(w.Bytes())
	return rd.Element()
}

func TestCommandChangesACopy(t *testing.T) {
	r := newRig()
	c := r.endpoint.Clusters()[0]
	none := element(func(w *tlv.Writer) { w.StartStruct(tlv.Anonymous); w.End() })

	r.refuse = matter.StatusFailure
	if err := c.Invoke(r.request(), datamodel.OnOffCmdOn, none, nil); !errors.Is(err, matter.StatusFailure) {
		t.Fatalf("a device that refuses: %v", err)
	}
	if r.State(r.now).On || len(r.settled()) != 0 {
		t.Fatal("what the device refused is shown")
	}
	r.refuse = nil
	if err := c.Invoke(r.request(), datamodel.OnOffCmdOn, none, nil); err != nil {
		t.Fatal(err)
	}
	if got := r.settled(); !slices.Equal(got, []matter.AttributeID{datamodel.OnOffAttrOnOff}) {
		t.Fatalf("reported %v", got)
	}
	if got := r.settled(); len(got) != 0 {
		t.Fatalf("reported again: %v", got)
	}
	if len(r.asked) != 2 || !r.asked[1].On {
		t.Fatalf("the device was asked for %v", r.asked)
	}
}

func TestReportMakesNoCommand(t *testing.T) {
	r := newRig()
	if err := r.Report(r.now, func(c *Context, s *lamp) error { s.On = true; return nil }); err != nil {
		t.Fatal(err)
	}
	if len(r.asked) != 0 {
		t.Fatal("the device was asked for what it reported")
	}
	if got := r.settled(); !slices.Equal(got, []matter.AttributeID{datamodel.OnOffAttrOnOff}) {
		t.Fatalf("reported %v", got)
	}
}

func TestQuietAttribute(t *testing.T) {
	r := newRig()
	r.Serve(lampLevel, Selection{})
	set := func(level uint8, fading bool) {
		r.Report(r.now, func(c *Context, s *lamp) error { s.Level, s.fading = Some(level), fading; return nil })
	}
	level := []matter.AttributeID{datamodel.LevelControlAttrCurrentLevel}
	step := func(what string, after time.Duration, level uint8, fading bool, want []matter.AttributeID) {
		t.Helper()
		r.now = r.now.Add(after)
		set(level, fading)
		if got := r.settled(); !slices.Equal(got, want) {
			t.Fatalf("%s: reported %v, want %v", what, got, want)
		}
	}
	step("the first change", 0, 101, true, level)
	step("100 ms later", 100*time.Millisecond, 102, true, nil)
	if at, ok := r.endpoint.Deadline(); !ok || at.Sub(r.now) != 900*time.Millisecond {
		t.Fatalf("the rest is due in %v, %v", at.Sub(r.now), ok)
	}
	r.now = r.now.Add(900 * time.Millisecond)
	if got := r.settled(); !slices.Equal(got, level) {
		t.Fatalf("a second after the first: reported %v", got)
	}
	step("in the middle", 10*time.Millisecond, 110, true, nil)
	step("back to what was reported", 10*time.Millisecond, 102, true, nil)
	if _, ok := r.endpoint.Deadline(); ok {
		t.Fatal("something is due though nothing has changed")
	}
	step("at rest", 10*time.Millisecond, 120, false, level)
}

func TestWriteIsCheckedAgainstTheFacts(t *testing.T) {
	r := newRig()
	c := r.endpoint.Clusters()[0]
	for _, tt := range []struct {
		name  string
		value func(w *tlv.Writer)
		want  error
	}{
		{"null", func(w *tlv.Writer) { w.Null(tlv.Anonymous) }, nil},
		{"a value of the enum", func(w *tlv.Writer) { w.Uint(tlv.Anonymous, 2) }, nil},
		{"no value of the enum", func(w *tlv.Writer) { w.Uint(tlv.Anonymous, 3) }, matter.StatusConstraintError},
		{"too wide", func(w *tlv.Writer) { w.Uint(tlv.Anonymous, 256) }, matter.StatusConstraintError},
		{"another type", func(w *tlv.Writer) { w.Bool(tlv.Anonymous, true) }, matter.StatusInvalidDataType},
		{"signed", func(w *tlv.Writer) { w.Int(tlv.Anonymous, 1) }, matter.StatusInvalidDataType},
	} {
		before := r.State(r.now)
		err := c.Write(r.request(), datamodel.OnOffAttrStartUpOnOff, element(tt.value))
		if !errors.Is(err, tt.want) {
			t.Errorf("%s: %v, want %v", tt.name, err, tt.want)
		}
		if err != nil && r.State(r.now) != before {
			t.Errorf("%s: a refused write has changed the state", tt.name)
		}
	}
}

func TestCommandFields(t *testing.T) {
	r := newRig()
	r.Serve(lampLevel, Selection{})
	c := r.endpoint.Clusters()[1]
	for _, tt := range []struct {
		name   string
		fields func(w *tlv.Writer)
		want   error
	}{
		{"all", func(w *tlv.Writer) {
			w.Uint(tlv.Context(0), 7)
			w.Null(tlv.Context(1))
			w.Uint(tlv.Context(2), 0)
			w.Uint(tlv.Context(3), 0)
		}, nil},
		{"those that may be absent left out", func(w *tlv.Writer) { w.Uint(tlv.Context(0), 9) }, nil},
		{"one more than there is", func(w *tlv.Writer) { w.Uint(tlv.Context(0), 9); w.Bool(tlv.Context(77), true) }, nil},
		{"a mandatory one missing", func(w *tlv.Writer) { w.Null(tlv.Context(1)) }, matter.StatusInvalidCommand},
		{"another type", func(w *tlv.Writer) { w.Text(tlv.Context(0), "9") }, matter.StatusInvalidCommand},
		{"out of its constraint", func(w *tlv.Writer) { w.Uint(tlv.Context(0), 255) }, matter.StatusConstraintError},
		{"null that may not be", func(w *tlv.Writer) { w.Null(tlv.Context(0)) }, matter.StatusInvalidCommand},
		{"refused by what is coupled", func(w *tlv.Writer) { w.Uint(tlv.Context(0), 0) }, matter.StatusConstraintError},
	} {
		before := r.State(r.now)
		err := c.Invoke(r.request(), datamodel.LevelControlCmdMoveToLevel, element(func(w *tlv.Writer) {
			w.StartStruct(tlv.Anonymous)
			tt.fields(w)
			w.End()
		}), nil)
		if !errors.Is(err, tt.want) {
			t.Errorf("%s: %v, want %v", tt.name, err, tt.want)
		}
		if err != nil && r.State(r.now) != before {
			t.Errorf("%s: a refused command has changed the state", tt.name)
		}
	}
}

func TestKept(t *testing.T) {
	r := newRig()
	r.Serve(lampLevel, Selection{})
	r.Report(r.now, func(c *Context, s *lamp) error {
		*s = lamp{On: true, Level: Some(uint8(200)), OnLevel: Some(uint8(50)), StartUp: Some(datamodel.OnOffStartUpOnOff(1)), Options: 3}
		return nil
	})
	r.settled()
	if !r.endpoint.Dirty() {
		t.Fatal("nothing is to be kept")
	}
	b := r.endpoint.Save()

	again := newRig()
	again.Serve(lampLevel, Selection{})
	if err := again.endpoint.Load(b); err != nil {
		t.Fatal(err)
	}
	got := again.State(again.now)
	want := lamp{On: true, Level: Some(uint8(200)), OnLevel: Some(uint8(50)), StartUp: Some(datamodel.OnOffStartUpOnOff(1))}
	if got != want {
		t.Fatalf("restored %+v, want %+v", got, want)
	}
	if len(again.settled()) != 0 || again.endpoint.Dirty() {
		t.Fatal("what was restored is reported, or to be kept again")
	}
	for n := range b {
		if err := newRig().endpoint.Load(b[:n]); err == nil {
			t.Fatalf("%d of %d octets were accepted", n, len(b))
		}
	}
}

func TestPersistFirst(t *testing.T) {
	r := newRig()
	c := r.endpoint.Clusters()[0]
	r.endpoint.Persist = func() error { return errors.New("disk full") }
	if err := c.Write(r.request(), datamodel.OnOffAttrStartUpOnOff, element(func(w *tlv.Writer) { w.Uint(tlv.Anonymous, 1) })); err == nil {
		t.Fatal("a write that cannot be kept was accepted")
	}
	if r.State(r.now).StartUp.Valid {
		t.Fatal("what cannot be kept is shown")
	}
}

func BenchmarkRead(b *testing.B) {
	r := newRig()
	c := r.endpoint.Clusters()[0]
	w := tlv.NewWriter(make([]byte, 0, 64))
	req := r.request()
	b.ReportAllocs()
	for b.Loop() {
		w.Reset(w.Bytes()[:0])
		c.Read(req, datamodel.OnOffAttrStartUpOnOff, w, tlv.Context(1))
	}
}

func BenchmarkInvoke(b *testing.B) {
	r := newRig()
	r.Serve(lampLevel, Selection{})
	c := r.endpoint.Clusters()[1]
	req := r.request()
	fields := element(func(w *tlv.Writer) {
		w.StartStruct(tlv.Anonymous)
		w.Uint(tlv.Context(0), 7)
		w.Null(tlv.Context(1))
		w.Uint(tlv.Context(2), 0)
		w.Uint(tlv.Context(3), 0)
		w.End()
	})
	b.ReportAllocs()
	for b.Loop() {
		r.asked = r.asked[:0]
		if err := c.Invoke(req, datamodel.LevelControlCmdMoveToLevel, fields, nil); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkSettleUntouched(b *testing.B) {
	r := newRig()
	b.ReportAllocs()
	for b.Loop() {
		r.endpoint.settle(r.now, r)
	}
}

func BenchmarkDifference(b *testing.B) {
	r := newRig()
	b.ReportAllocs()
	for b.Loop() {
		r.state.On = !r.state.On
		r.reported = r.reported[:0]
		r.endpoint.settle(r.now, r)
	}
}
