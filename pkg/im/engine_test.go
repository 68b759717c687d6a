package im

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/tlv"
)

func wantPanic(t *testing.T, want string, f func()) {
	t.Helper()
	defer func() {
		t.Helper()
		if got := fmt.Sprint(recover()); !strings.HasPrefix(got, "BUG: ") || !strings.Contains(got, want) {
			t.Errorf("panic %q, want one of %q", got, want)
		}
	}()
	f()
}

func TestNewWantsWhatItNeeds(t *testing.T) {
	full := newHarness(t, nil).opt
	for name, change := range map[string]func(*Options){
		"ACL":      func(o *Options) { o.ACL = nil },
		"Rand":     func(o *Options) { o.Rand = nil },
		"Events":   func(o *Options) { o.Events = nil },
		"Sessions": func(o *Options) { o.Sessions = nil },
	} {
		t.Run(name, func(t *testing.T) {
			opt := full
			change(&opt)
			wantPanic(t, "without", func() { New(opt) })
		})
	}
	opt := full
	opt.MaxPayload, opt.MaxPathsPerInvoke, opt.ExtraSubscriptions, opt.Log = 0, 0, 0, nil
	if e := New(opt); e.opt.MaxPayload != 1162 || e.opt.MaxPathsPerInvoke != 1 || e.opt.ExtraSubscriptions != 64 || e.log == nil {
		t.Errorf("defaults %+v", e.opt)
	}
	opt.MaxPayload, opt.MaxPathsPerInvoke = 1, 1000
	if e := New(opt); e.opt.MaxPayload != minMaxPayload || e.opt.MaxPathsPerInvoke != limitPathsPerInvoke {
		t.Errorf("bounds %+v", e.opt)
	}
}

func TestEndpoints(t *testing.T) {
	n := newNode(t, nil)
	n.AddEndpoint(Endpoint{ID: 1, DeviceTypes: []matter.DeviceTypeID{0x16}})
	got := ""
	for _, ep := range n.Endpoints() {
		got += fmt.Sprint(ep.ID, len(ep.Clusters), len(ep.DeviceTypes), " ")
	}
	if got != "0 2 0 1 0 1 2 3 0 " {
		t.Errorf("got %q", got)
	}
	for i := 1; i < len(n.instances()); i++ {
		if p, q := n.instances()[i-1], n.instances()[i]; p.compare(q) >= 0 {
			t.Errorf("instance %d is not in order", i)
		}
	}
	wantPanic(t, "already exists", func() { n.AddEndpoint(Endpoint{ID: 1}) })
	wantPanic(t, "Switch twice", func() { n.AddEndpoint(Endpoint{ID: 3, Clusters: []Cluster{newSwitch(), newSwitch()}}) })
}

func TestSpecsInDisorder(t *testing.T) {
	for name, spec := range map[string]*Spec{
		"attributes": {Attributes: []Attribute{{ID: 1}, {ID: 0}}},
		"attribute":  {Attributes: []Attribute{{ID: 1}, {ID: 1}}},
		"global":     {Attributes: []Attribute{{ID: matter.AttributeFeatureMap}}},
		"commands":   {Commands: []Command{{ID: 1}, {ID: 0}}},
		"command":    {Commands: []Command{{ID: 1}, {ID: 1}}},
		"events":     {Events: []Event{{ID: 1}, {ID: 0}}},
		"priority":   {Events: []Event{{ID: 1, Priority: 3}}},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHarness(t, nil)
			wantPanic(t, "Odd", func() {
				spec.Name = "Odd"
				h.AddEndpoint(Endpoint{Clusters: []Cluster{&fakeCluster{spec: spec}}})
			})
		})
	}
}

func TestDataVersionsStartAtRandom(t *testing.T) {
	seen := map[matter.DataVersion]bool{}
	for seed := range byte(10) {
		h := newHarness(t, func(o *Options) { o.Rand = rand.NewChaCha8([32]byte{seed}) })
		h.AddEndpoint(Endpoint{Clusters: []Cluster{newSwitch()}})
		h.AddEndpoint(Endpoint{ID: 1, Clusters: []Cluster{newSwitch()}})
		for _, in := range h.instances() {
			if seen[in.version] {
				t.Errorf("version %d twice", in.version)
			}
			seen[in.version] = true
		}
	}
	h := newHarness(t, func(o *Options) { o.Rand = iotest.ErrReader(errTest) })
	wantPanic(t, errTest.Error(), func() { h.AddEndpoint(Endpoint{Clusters: []Cluster{newSwitch()}}) })
}

func TestDataVersionWraps(t *testing.T) {
	n := newNode(t, nil)
	n.instances()[0].version = 0xFFFF_FFFF
	n.Changed(0, 6, 0)
	if v := n.instances()[0].version; v != 0 {
		t.Errorf("version %d", v)
	}
}

func TestReadOnly(t *testing.T) {
	var c ReadOnly
	if err := c.Write(nil, 0, tlv.Element{}); err != matter.StatusUnsupportedWrite {
		t.Error(err)
	}
	if err := c.Invoke(nil, 0, tlv.Element{}, nil); err != matter.StatusUnsupportedCommand {
		t.Error(err)
	}
}

func TestDataErrors(t *testing.T) {
	tests := []struct{ err, write, command error }{
		{nil, nil, nil},
		{fmt.Errorf("x: %w", tlv.ErrRange), matter.StatusConstraintError, matter.StatusInvalidCommand},
		{fmt.Errorf("x: %w", tlv.ErrType), matter.StatusInvalidDataType, matter.StatusInvalidCommand},
		{errTest, matter.StatusInvalidDataType, matter.StatusInvalidCommand},
	}
	for _, tt := range tests {
		if err := WriteError(tt.err); err != tt.write {
			t.Errorf("WriteError(%v) = %v", tt.err, err)
		}
		if err := CommandError(tt.err); err != tt.command {
			t.Errorf("CommandError(%v) = %v", tt.err, err)
		}
	}
}

func TestRequestContext(t *testing.T) {
	// The Request that each method of a cluster gets.
	n := newNode(t, nil)
	var got []string
	n.sw0.invoke = func(r *Request, _ matter.CommandID, _ tlv.Element, _ *tlv.Writer) error {
		got = append(got, fmt.Sprint(r.Now.Equal(n.now), r.Subject.Fabric, r.Session.Serial, r.Session.AttestationChallenge[0], r.FabricFiltered, r.Endpoint, r.Cluster))
		return nil
	}
	c := n.newConn(pase(3))
	c.session = Session{Serial: 99, AttestationChallenge: [16]byte{42}}
	n.Open(n.now, c).Receive(n.now, OpcodeInvokeRequest, encode(t, "{0:false,1:false,2:[{0:<0:0,1:6,2:0>}]}"))
	if want := "true 3 99 42 true 0 6"; len(got) != 1 || got[0] != want {
		t.Errorf("got %q", got)
	}
}

func TestTheOpenRequestSurvivesManyOthers(t *testing.T) {
	// Requests that wait do not share state with those that arrive in between.
	n := newNode(t, func(o *Options) { o.MaxPayload = 256 })
	var waiting []*Interaction
	var conns []*fakeConn
	for k := range 6 {
		path := []string{"<2:0>", "<2:2,3:6>", "<3:6>"}[k%3]
		i, c := n.ask(pase(matter.FabricIndex(k+1)), OpcodeReadRequest, "{0:["+path+"],3:false}")
		waiting, conns = append(waiting, i), append(conns, c)
	}
	for busy := true; busy; {
		busy = false
		for k, c := range conns {
			if !c.closed {
				busy = true
				n.confirm(waiting[k])
			}
			n.ask(pase(1), OpcodeReadRequest, "{0:[<2:0,3:7,4:0>,<4:65533>],3:true}")
		}
	}
	for k, c := range conns {
		want := []int{20, 14, 28}[k%3]
		if got := len(assemble(t, c.sent).order); got != want {
			t.Errorf("read %d: %d attributes, want %d", k, got, want)
		}
	}
}
