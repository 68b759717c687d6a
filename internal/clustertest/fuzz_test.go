package clustertest

import (
	"crypto/rand"
	"fmt"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/opcredsd/opcredsd/pkg/acl"
	"github.com/opcredsd/opcredsd/pkg/cluster/accesscontrol"
	"github.com/opcredsd/opcredsd/pkg/cluster/administratorcommissioning"
	"github.com/opcredsd/opcredsd/pkg/cluster/basicinformation"
	"github.com/opcredsd/opcredsd/pkg/cluster/bridgeddevicebasicinformation"
	"github.com/opcredsd/opcredsd/pkg/cluster/diagnosticlogs"
	"github.com/opcredsd/opcredsd/pkg/cluster/generalcommissioning"
	"github.com/opcredsd/opcredsd/pkg/cluster/generaldiagnostics"
	"github.com/opcredsd/opcredsd/pkg/cluster/groupkeymanagement"
	"github.com/opcredsd/opcredsd/pkg/cluster/groups"
	"github.com/opcredsd/opcredsd/pkg/cluster/identify"
	"github.com/opcredsd/opcredsd/pkg/cluster/networkcommissioning"
	"github.com/opcredsd/opcredsd/pkg/failsafe"
	"github.com/opcredsd/opcredsd/pkg/im"
	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/mcrypto"
	"github.com/opcredsd/opcredsd/pkg/store"
	"github.com/opcredsd/opcredsd/pkg/tlv"
	"github.com/opcredsd/opcredsd/pkg/window"
)

// whole is a node with every cluster that takes something from its peers, but for
// Operational Credentials, which is fuzzed where its certificates are.
type whole struct {
	*Node
	failSafe *failsafe.FailSafe
	window   *window.Window
	records  []store.Fabric // at the beginning
	targets  []target
}

// target is a command or an attribute that can be written.
type target struct {
	ep        matter.EndpointID
	spec      *im.Spec
	command   *im.Command
	attribute *im.Attribute
}

func newWhole(f *testing.F) *whole {
	w := &whole{Node: New(f, 2), window: window.New(window.Passcode{}, rand.Reader)}
	w.failSafe = failsafe.New(w.Table, failsafe.Options{})
	trusted := func(time.Time) bool { return true }
	basic, err := basicinformation.New(basicinformation.Options{
		Store: w.Store, VendorName: "v", VendorID: 0xFFF1, ProductName: "p", ProductID: 0x8000, HardwareVersionString: "1", SoftwareVersionString: "1",
		MaxPathsPerInvoke: 1, ConfigurationVersion: 1,
	})
	if err != nil {
		f.Fatal(err)
	}
	w.Add(0,
		accesscontrol.New(w.Table),
		administratorcommissioning.New(w.window, w.failSafe, w.Table),
		basic,
		diagnosticlogs.New(diagnosticlogs.Options{
			Logs: func(limit int) ([]byte, time.Time) { return make([]byte, limit), Start }, Started: Start, ClockTrusted: trusted,
		}),
		generalcommissioning.New(generalcommissioning.Options{FailSafe: w.failSafe, Window: w.window, SetLocation: func(_ *im.Request, country string) error {
			return basic.SetLocation(country)
		}}),
		generaldiagnostics.New(generaldiagnostics.Options{
			Started: Start, Interfaces: func() []generaldiagnostics.Interface { return nil },
			OperationalHours: func(time.Time) uint32 { return 0 }, Load: w.Load,
		}),
		groupkeymanagement.New(w.Table, func() bool { return true }),
		networkcommissioning.New(func() networkcommissioning.Network {
			return networkcommissioning.Network{Name: "eth0", Connected: true}
		}),
	)
	bridged, err := bridgeddevicebasicinformation.New(bridgeddevicebasicinformation.Options{
		UniqueID: func() string { return "1" },
		KeepNodeLabel: func(label string) error {
			if len(label) > bridgeddevicebasicinformation.MaxText || !utf8.ValidString(label) {
				w.t.Errorf("the program is to keep the label %q", label)
			}
			return nil
		},
	})
	if err != nil {
		f.Fatal(err)
	}
	which, err := identify.New(identify.Options{})
	if err != nil {
		f.Fatal(err)
	}
	w.Add(1, which, groups.New(groups.Options{Fabrics: w.Table, Max: 8, Identifying: func() bool { return true }}), bridged)
	for _, x := range w.Table.All() {
		w.records = append(w.records, x.Clone())
	}
	w.aim()
	return w
}

// aim lists the targets.
func (w *whole) aim() {
	for _, ep := range w.Endpoints() {
		for _, c := range ep.Clusters {
			s := c.Spec()
			for i := range s.Commands {
				w.targets = append(w.targets, target{ep.ID, s, &s.Commands[i], nil})
			}
			for i := range s.Attributes {
				if s.Attributes[i].Write != 0 {
					w.targets = append(w.targets, target{ep.ID, s, nil, &s.Attributes[i]})
				}
			}
		}
	}
}

// state is what the target's cluster tells, the parts that time moves apart.
func (w *whole) state(x target) string {
	var b strings.Builder
	for i := range x.spec.Attributes {
		a := &x.spec.Attributes[i]
		if a.Read != 0 && x.spec.ID != generaldiagnostics.ID {
			fmt.Fprintf(&b, "%s=%s\n", a.Name, w.ReadAll(Admin(1), x.ep, x.spec.ID, a.ID))
		}
	}
	return b.String()
}

// ask sends the target a value and reports whether that was carried out.
func (w *whole) ask(s acl.Subject, x target, value tlv.Element) (done bool) {
	c := &conn{subject: s}
	i := w.Open(w.Now, c)
	var m tlv.Writer
	m.StartStruct(tlv.Anonymous)
	m.Uint(tlv.Context(0), 1000)
	m.End()
	i.Receive(w.Now, im.OpcodeTimedRequest, m.Bytes())
	m.Reset(nil)
	m.StartStruct(tlv.Anonymous)
	opcode, want := uint8(im.OpcodeWriteRequest), uint8(im.OpcodeWriteResponse)
	if x.command != nil {
		opcode, want = im.OpcodeInvokeRequest, im.OpcodeInvokeResponse
		m.Bool(tlv.Context(0), false)
	}
	m.Bool(tlv.Context(1), true)
	m.StartArray(tlv.Context(2))
	m.StartStruct(tlv.Anonymous)
	if x.command != nil {
		m.StartList(tlv.Context(0))
		m.Uint(tlv.Context(0), uint64(x.ep))
		m.Uint(tlv.Context(1), uint64(x.spec.ID))
		m.Uint(tlv.Context(2), uint64(x.command.ID))
		m.End()
		m.Element(tlv.Context(1), value)
	} else {
		attributePath(&m, tlv.Context(1), x.ep, x.spec.ID, x.attribute.ID)
		m.Element(tlv.Context(2), value)
	}
	m.End()
	m.End()
	m.End()
	i.Receive(w.Now, opcode, m.Bytes())
	w.Settle(w.Now)
	if c.opcode == im.OpcodeStatusResponse {
		return false
	}
	if c.opcode != want {
		w.t.Fatalf("answered with opcode %d", c.opcode)
	}
	return accepted(w.t, c.payload)
}

// accepted reports whether an InvokeResponse has a command in it, or one of these
// messages a status of SUCCESS.
func accepted(t testing.TB, payload []byte) (yes bool) {
	t.Helper()
	r := tlv.NewReader(payload)
	text := Text(t, r)
	_, command, _ := strings.Cut(text, "1:[{0:{0:<")
	return command != "" || strings.Contains(text, "1:{0:0}")
}

// verifier is what an administrator opens a window with.
func verifier(f *testing.F) []byte {
	v, err := mcrypto.NewVerifier(20202021, make([]byte, 16), 1000)
	if err != nil {
		f.Fatal(err)
	}
	b := v.Bytes()
	return b[:]
}

// FuzzClusters gives every command and every attribute that can be written whatever
// fields and values there are, in the name of an administrator or a commissioner.
// There is an answer, and what was refused has changed nothing that can be read.
func FuzzClusters(f *testing.F) {
	w := newWhole(f)
	seeds := []string{
		"{}", "[]", "null", "0", `""`, "{0:0}", "{0:180}", "{0:1,1:2}", `{0:2,1:"XX",2:1}`, "{0:60,1:5}", `{0:1,1:"kitchen"}`, "{0:[]}", "{0:[1,2]}", "{0:0,1:0}",
		"[{1:5,2:2,3:[4097],4:null}]", "[{1:5,2:2,3:[4097],4:null},{1:3,2:3,3:[1],4:[{0:6,1:null,2:null},{0:null,1:1,2:null}]}]", `[{1:x"1718"}]`, "[{1:1,2:0}]",
		`{0:{0:1,1:0,2:x"00112233445566778899aabbccddeeff",3:1,4:null,5:null,6:null,7:null}}`,
		fmt.Sprintf(`{0:180,1:x"%x",2:3840,3:1000,4:x"%x"}`, verifier(f), make([]byte, 16)),
		`{0:x"00112233445566778899aabbccddeeff",1:1}`,
	}
	for n := range w.targets {
		for _, s := range seeds {
			f.Add(uint8(n), Encode(f, s))
		}
	}
	f.Fuzz(func(t *testing.T, which uint8, data []byte) {
		if tlv.Validate(data) != nil || len(data) > 1000 {
			return
		}
		w.t = t
		subject := Admin(1)
		if which >= 0x80 {
			subject = PASE(0)
		}
		x := w.targets[int(which&0x7F)%len(w.targets)]
		rd := tlv.NewReader(data)
		before := w.state(x)
		done := w.ask(subject, x, rd.Element())
		if after := w.state(x); !done && after != before {
			t.Errorf("%s was refused, and changed\n%s to\n%s", x.spec.Name, before, after)
		}
		if w.Table.Len() != len(w.records) {
			t.Errorf("%d fabrics", w.Table.Len())
		}
		if done {
			w.undo()
		}
	})
}

// undo takes back what an input may have spoiled for the next one.
func (w *whole) undo() {
	w.failSafe.Expire(failsafe.Timeout)
	w.failSafe.TakeEnded()
	w.window.Close()
	for _, old := range w.records {
		if err := w.Table.Mutate(old.Index, func(r *store.Fabric) error {
			*r = old.Clone()
			return nil
		}); err != nil {
			w.t.Fatal(err)
		}
	}
}
