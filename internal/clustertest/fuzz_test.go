package clustertest

import (
	"crypto/rand"
	"fmt"
	"testing"
	"time"
	"unicode/utf8"

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
	"github.com/opcredsd/opcredsd/pkg/mcrypto"
	"github.com/opcredsd/opcredsd/pkg/store"
	"github.com/opcredsd/opcredsd/pkg/tlv"
	"github.com/opcredsd/opcredsd/pkg/window"
)

// whole is a node with every cluster that accepts input from peers, except
// Operational Credentials, which has its own fuzz test.
type whole struct {
	*Node
	failSafe *failsafe.FailSafe
	window   *window.Window
	records  []store.Fabric // at the beginning
	targets  []Target
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
	w.targets = w.Targets()
	return w
}

// state returns the values of the target's cluster, except those that change with
// time.
func (w *whole) state(x Target) string {
	if x.Spec.ID == generaldiagnostics.ID {
		return ""
	}
	return w.Shown(x.Endpoint, x.Spec)
}

// verifier returns the verifier for opening a window.
func verifier(f *testing.F) []byte {
	v, err := mcrypto.NewVerifier(20202021, make([]byte, 16), 1000)
	if err != nil {
		f.Fatal(err)
	}
	b := v.Bytes()
	return b[:]
}

// FuzzClusters sends every command and every writable attribute with arbitrary
// fields and values, as an administrator or a commissioner. There must be an
// answer, and a rejected request must not change anything readable.
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
		w.SetT(t)
		subject := Admin(1)
		if which >= 0x80 {
			subject = PASE(0)
		}
		x := w.targets[int(which&0x7F)%len(w.targets)]
		rd := tlv.NewReader(data)
		before := w.state(x)
		done := w.Ask(subject, x, rd.Element())
		if after := w.state(x); !done && after != before {
			t.Errorf("%s was refused, and changed\n%s to\n%s", x.Spec.Name, before, after)
		}
		if w.Table.Len() != len(w.records) {
			t.Errorf("%d fabrics", w.Table.Len())
		}
		if done {
			w.undo()
		}
	})
}

// undo reverts what an input may have changed for the next one.
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
