package server

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/opcredsd/opcredsd/internal/simnet"
	"github.com/opcredsd/opcredsd/pkg/cluster/bridgeddevicebasicinformation"
	"github.com/opcredsd/opcredsd/pkg/cluster/descriptor"
	"github.com/opcredsd/opcredsd/pkg/cluster/identify"
	"github.com/opcredsd/opcredsd/pkg/im"
	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/tlv"
	"github.com/opcredsd/opcredsd/pkg/transport"
)

// dataModel is what testdata/datamodel-1.4.2.json says of the clusters and
// device types.
type dataModel struct {
	Clusters    []clusterFacts
	DeviceTypes []deviceTypeFacts `json:"device_types"`
}

type clusterFacts struct {
	ID         hexNumber
	Name       string
	Revision   uint16
	Features   map[string]struct{ Bit, Conformance any }
	Attributes []elementFacts
	Commands   []elementFacts
	Events     []elementFacts
}

// elementFacts are the facts of an attribute, a command or an event.
type elementFacts struct {
	ID          hexNumber
	Name        string
	Conformance string

	Read, Write, Invoke string // privileges
	Quality             string // letters, with spaces between them
	Type, Constraint    string // of attributes
	Response            *hexNumber
	Priority            string
	FabricScoped        bool `json:"fabric_scoped"`
	FabricSensitive     bool `json:"fabric_sensitive"`
	Timed               bool
}

type deviceTypeFacts struct {
	ID                  hexNumber
	Name                string
	Revision            uint16
	Mandatory, Optional []hexNumber
}

// hexNumber is a number that is written as text, such as "0x001F".
type hexNumber uint32

func (n *hexNumber) UnmarshalJSON(b []byte) error {
	v, err := strconv.ParseUint(strings.Trim(string(b), `"`), 0, 32)
	*n = hexNumber(v)
	return err
}

func readDataModel(t *testing.T) *dataModel {
	t.Helper()
	b, err := os.ReadFile("testdata/datamodel-1.4.2.json")
	if err != nil {
		t.Fatal(err)
	}
	var m dataModel
	if err := json.Unmarshal(b, &m); err != nil {
		t.Fatal(err)
	}
	return &m
}

func (m *dataModel) cluster(id matter.ClusterID) *clusterFacts {
	for i := range m.Clusters {
		if m.Clusters[i].ID == hexNumber(id) {
			return &m.Clusters[i]
		}
	}
	return nil
}

// bridgedExample is a bridged device that has all that there can be, and can belong
// to groups.
func bridgedExample(t *testing.T) Endpoint {
	t.Helper()
	hardware, software := uint16(1), uint32(1)
	info, err := bridgeddevicebasicinformation.New(bridgeddevicebasicinformation.Options{
		VendorName: "x", VendorID: 1, ProductName: "x", HardwareVersion: &hardware, HardwareVersionString: "x", SoftwareVersion: &software,
		SoftwareVersionString: "x", SerialNumber: "x", UniqueID: func() string { return "x" }, KeepNodeLabel: func(string) error { return nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	return Endpoint{ID: FirstEndpoint, DeviceTypes: []DeviceType{{ID: 0x0100, Revision: 3}}, Clusters: []im.Cluster{info}, Identify: &identify.Options{}, Groups: true}
}

// assembled runs f against the endpoints of a node, and a bridged one.
func assembled(t *testing.T, f func(endpoints []im.Endpoint)) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		conn := simnet.New(1, simnet.Conditions{}).Listen(netip.MustParseAddrPort("[fe80::1]:5540"))
		s, err := New(Options{StateDir: dir, Conns: []transport.PacketConn{conn}, Announcer: mute{}})
		if err != nil {
			t.Fatal(err)
		}
		s.Start()
		if err := s.AddEndpoint(bridgedExample(t)); err != nil {
			t.Fatal(err)
		}
		f(s.node.Endpoints())
		if err := s.Stop(); err != nil {
			t.Fatal(err)
		}
	})
}

// Every element that the release makes mandatory is there, none that it does not
// allow, and each with the release's access, qualities and ids.
func TestDataModel(t *testing.T) {
	m := readDataModel(t)
	assembled(t, func(endpoints []im.Endpoint) {
		checked := 0
		for _, ep := range endpoints {
			for _, c := range ep.Clusters {
				spec := c.Spec()
				facts := m.cluster(spec.ID)
				if facts == nil {
					t.Errorf("endpoint %d: no facts of cluster 0x%04X", ep.ID, spec.ID)
					continue
				}
				checked++
				(&comparison{t: t, spec: spec, facts: facts}).run()
			}
		}
		if checked < len(m.Clusters) {
			t.Errorf("%d clusters checked, there are facts of %d", checked, len(m.Clusters))
		}
	})
}

// comparison holds a cluster's metadata against the facts.
type comparison struct {
	t     *testing.T
	spec  *im.Spec
	facts *clusterFacts
}

func (c *comparison) errorf(format string, args ...any) {
	c.t.Helper()
	c.t.Errorf("%s: %s", c.facts.Name, fmt.Sprintf(format, args...))
}

func (c *comparison) run() {
	if c.spec.Name != c.facts.Name || c.spec.Revision != c.facts.Revision {
		c.errorf("served as %s revision %d, want revision %d", c.spec.Name, c.spec.Revision, c.facts.Revision)
	}
	known, choices := uint32(0), map[string]int{}
	for name, f := range c.facts.Features {
		bit := uint32(1) << int(f.Bit.(float64))
		known |= bit
		has := c.spec.Features&bit != 0
		conformance := f.Conformance.(string)
		if group, ok := strings.CutPrefix(conformance, "O."); ok {
			choices[group] += map[bool]int{true: 1}[has]
		}
		if conformance == "M" && !has || conformance == "P" && has {
			c.errorf("feature %s is %v, conformance %s", name, has, conformance)
		}
	}
	for group, n := range choices {
		if n != 1 {
			c.errorf("%d features of choice %s", n, group)
		}
	}
	if c.spec.Features&^known != 0 {
		c.errorf("features 0x%X, of which 0x%X is not known", c.spec.Features, c.spec.Features&^known)
	}
	c.attributes()
	c.commands()
	c.events()
}

// elements goes through the facts and calls same for what is served. has reports
// whether an element is, and n is how many are.
func (c *comparison) elements(what string, facts []elementFacts, n int, has func(id uint32) bool, same func(f *elementFacts)) {
	for i := range facts {
		f := &facts[i]
		required, allowed := c.conforms(f.Conformance)
		switch there := has(uint32(f.ID)); {
		case !there && required:
			c.errorf("%s %s is missing", what, f.Name)
		case there && !allowed:
			c.errorf("%s %s is not allowed: conformance %s", what, f.Name, f.Conformance)
		case there:
			n--
			same(f)
		}
	}
	if n != 0 {
		c.errorf("%d elements that are no %s of the release", n, what)
	}
}

// conforms reports whether a conformance makes an element mandatory, and whether
// it allows it.
func (c *comparison) conforms(conformance string) (required, allowed bool) {
	switch conformance {
	case "M":
		return true, true
	case "O", "desc":
		return false, true
	case "P", "P, M", "P, O":
		return false, false // provisional: a certified node does without
	}
	for name := range strings.SplitSeq(conformance, " | ") {
		if f, ok := c.facts.Features[name]; ok {
			required = required || c.spec.Features&(1<<int(f.Bit.(float64))) != 0
		} else if slices.ContainsFunc(c.spec.Attributes, func(a im.Attribute) bool { return a.Name == name }) {
			required = true
		} else if !slices.ContainsFunc(c.facts.Attributes, func(a elementFacts) bool { return a.Name == name }) {
			c.errorf("conformance %q is not understood", conformance)
		}
	}
	return required, required
}

var privileges = map[string]matter.Privilege{
	"": 0, "view": matter.PrivilegeView, "operate": matter.PrivilegeOperate,
	"manage": matter.PrivilegeManage, "administer": matter.PrivilegeAdminister,
}

func (c *comparison) attributes() {
	find := func(id uint32) int {
		return slices.IndexFunc(c.spec.Attributes, func(a im.Attribute) bool { return uint32(a.ID) == id })
	}
	c.elements("attribute", c.facts.Attributes, len(c.spec.Attributes), func(id uint32) bool { return find(id) >= 0 }, func(f *elementFacts) {
		a := &c.spec.Attributes[find(uint32(f.ID))]
		if a.Name != f.Name || a.Read != privileges[f.Read] || a.Write != privileges[f.Write] {
			c.errorf("attribute %s, read %d, write %d; want %s, %s, %s", a.Name, a.Read, a.Write, f.Name, f.Read, f.Write)
		}
		letters := strings.Fields(f.Quality)
		for _, q := range []struct {
			quality im.Quality
			want    bool
		}{
			{im.Nullable, slices.Contains(letters, "X")},
			{im.ChangesOmitted, slices.Contains(letters, "C")},
			{im.Fixed, slices.Contains(letters, "F")},
			{im.FabricScoped, f.FabricScoped},
			{im.List, f.Type == "list"},
		} {
			if a.Quality.Has(q.quality) != q.want {
				c.errorf("attribute %s: quality %d is %v", a.Name, q.quality, !q.want)
			}
		}
		// The text asks of some lists without the quality that they last.
		if slices.Contains(letters, "N") && !a.Quality.Has(im.NonVolatile) {
			c.errorf("attribute %s is not non-volatile", a.Name)
		}
	})
}

func (c *comparison) commands() {
	find := func(id uint32) int {
		return slices.IndexFunc(c.spec.Commands, func(a im.Command) bool { return uint32(a.ID) == id })
	}
	c.elements("command", c.facts.Commands, len(c.spec.Commands), func(id uint32) bool { return find(id) >= 0 }, func(f *elementFacts) {
		cmd := &c.spec.Commands[find(uint32(f.ID))]
		response := im.NoResponse
		if f.Response != nil {
			response = matter.CommandID(*f.Response)
		}
		if cmd.Name != f.Name || cmd.Privilege != privileges[f.Invoke] || cmd.Response != response {
			c.errorf("command %s, privilege %d, response %d; want %s, %s, %d", cmd.Name, cmd.Privilege, cmd.Response, f.Name, f.Invoke, response)
		}
		if cmd.Quality.Has(im.FabricScoped) != f.FabricScoped || cmd.Quality.Has(im.Timed) != f.Timed {
			c.errorf("command %s: quality %d; want fabric-scoped %v, timed %v", cmd.Name, cmd.Quality, f.FabricScoped, f.Timed)
		}
	})
}

func (c *comparison) events() {
	find := func(id uint32) int {
		return slices.IndexFunc(c.spec.Events, func(a im.Event) bool { return uint32(a.ID) == id })
	}
	priority := map[string]im.Priority{"debug": im.Debug, "info": im.Info, "critical": im.Critical}
	c.elements("event", c.facts.Events, len(c.spec.Events), func(id uint32) bool { return find(id) >= 0 }, func(f *elementFacts) {
		e := &c.spec.Events[find(uint32(f.ID))]
		if e.Name != f.Name || e.Read != privileges[f.Read] || e.Priority != priority[f.Priority] || e.Quality.Has(im.FabricSensitive) != f.FabricSensitive {
			c.errorf("event %s, privilege %d, priority %d, quality %d; want %+v", e.Name, e.Read, e.Priority, e.Quality, f)
		}
	})
}

// The endpoints have the clusters that their device types want, and no others.
func TestDeviceTypes(t *testing.T) {
	m := readDataModel(t)
	assembled(t, func(endpoints []im.Endpoint) {
		for i, ep := range endpoints[:2] {
			f := m.DeviceTypes[i]
			if got, want := deviceTypeList(t, ep), fmt.Sprintf("[%d/%d]", f.ID, f.Revision); got != want {
				t.Errorf("endpoint %d is %s, want %s: %s", ep.ID, got, want, f.Name)
			}
			if len(ep.DeviceTypes) != 1 || ep.DeviceTypes[0] != matter.DeviceTypeID(f.ID) {
				t.Errorf("endpoint %d is %v to access control", ep.ID, ep.DeviceTypes)
			}
			var have []hexNumber
			for _, c := range ep.Clusters {
				have = append(have, hexNumber(c.Spec().ID))
			}
			for _, id := range f.Mandatory {
				if !slices.Contains(have, id) {
					t.Errorf("endpoint %d has no cluster 0x%04X", ep.ID, id)
				}
			}
			for _, id := range have {
				if !slices.Contains(f.Mandatory, id) && !slices.Contains(f.Optional, id) {
					t.Errorf("endpoint %d has cluster 0x%04X, which %s does not list", ep.ID, id, f.Name)
				}
			}
		}
	})
}

// deviceTypeList returns what the endpoint's descriptor says that it is: ids with
// their revisions.
func deviceTypeList(t *testing.T, ep im.Endpoint) string {
	t.Helper()
	i := slices.IndexFunc(ep.Clusters, func(c im.Cluster) bool { return c.Spec().ID == descriptor.ID })
	if i < 0 {
		t.Fatalf("endpoint %d has no descriptor", ep.ID)
	}
	var w tlv.Writer
	if err := ep.Clusters[i].Read(&im.Request{}, 0, &w, tlv.Anonymous); err != nil {
		t.Fatal(err)
	}
	var list []string
	r := tlv.NewReader(w.Bytes())
	for r.EnterArray(); r.Next(); {
		var id, revision uint64
		for r.EnterStruct(); r.Next(); {
			switch r.ContextTag() {
			case 0:
				id = r.Uint()
			case 1:
				revision = r.Uint()
			}
		}
		r.Exit()
		list = append(list, fmt.Sprintf("%d/%d", id, revision))
	}
	if err := r.End(); err != nil {
		t.Fatal(err)
	}
	return fmt.Sprint(list)
}
