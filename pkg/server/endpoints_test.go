package server_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/opcredsd/opcredsd/internal/clustertest"
	"github.com/opcredsd/opcredsd/internal/commissioner"
	"github.com/opcredsd/opcredsd/pkg/cluster/bridgeddevicebasicinformation"
	"github.com/opcredsd/opcredsd/pkg/cluster/identify"
	"github.com/opcredsd/opcredsd/pkg/datamodel"
	"github.com/opcredsd/opcredsd/pkg/im"
	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/server"
	"github.com/opcredsd/opcredsd/pkg/tlv"
)

const (
	clBridged  matter.ClusterID  = 0x39
	clOnOff    matter.ClusterID  = 0x06
	clGroups   matter.ClusterID  = 0x04
	clIdentify matter.ClusterID  = 0x03
	aggregator matter.EndpointID = 1
	plugID     matter.EndpointID = 7
)

// plug is a bridged device.
type plug struct {
	*onOff
	info     *bridgeddevicebasicinformation.Cluster
	switched []bool
	shown    []bool // calls that begin or end identification
}

// addPlug adds a bridged device to the node.
func (r *rig) addPlug(id matter.EndpointID) *plug {
	r.t.Helper()
	p := &plug{}
	p.onOff = &onOff{set: func(on bool) { p.switched = append(p.switched, on) }}
	var err error
	p.info, err = bridgeddevicebasicinformation.New(bridgeddevicebasicinformation.Options{
		Info: bridgeddevicebasicinformation.Info{ProductName: "Plug"}, UniqueID: func() string { return r.srv.UniqueID("plug") },
	})
	r.must(err)
	r.must(r.srv.AddEndpoint(server.Endpoint{
		ID: id, DeviceTypes: []server.DeviceType{{ID: 0x010A, Revision: 4}}, Clusters: []im.Cluster{p.info, p.onOff}, Groups: true,
		Identify: &identify.Options{Type: datamodel.IdentifyIdentifyTypeVisibleIndicator, Show: func(on bool) { p.shown = append(p.shown, on) }},
	}))
	return p
}

// value reads an attribute and returns its value or the status as text.
func (r *rig) value(s *commissioner.Session, ep matter.EndpointID, cl matter.ClusterID, id matter.AttributeID) string {
	r.t.Helper()
	rep, err := s.Read(r.ctx, commissioner.ReadRequest{Attributes: []commissioner.Path{commissioner.Attr(ep, cl, id)}})
	r.must(err)
	return r.textOf(rep, ep, cl, id)
}

func (r *rig) textOf(rep *commissioner.Report, ep matter.EndpointID, cl matter.ClusterID, id matter.AttributeID) string {
	r.t.Helper()
	a := rep.Find(ep, cl, id)
	switch {
	case a == nil:
		return "none"
	case a.Status.Status != matter.StatusSuccess:
		return a.Status.Status.String()
	}
	return clustertest.Text(r.t, a.Value())
}

// A bridged device is added, used, changed by itself and removed. Subscribers get
// reports of all of it.
func TestBridgedDevice(t *testing.T) {
	bubble(t, 1, clean, func(r *rig) {
		done := r.commission(r.client(), r.authority(commissioner.AuthorityOptions{}))
		s := done.CASE
		r.want("no parts", r.value(s, aggregator, clDescriptor, 3), "[]")
		everything, err := s.Subscribe(r.ctx, commissioner.ReadRequest{Attributes: []commissioner.Path{{}}, Events: []commissioner.Path{{}}}, 0, 600)
		r.must(err)
		r.wait(time.Second)

		p := r.addPlug(plugID)
		rep := r.nextWithin(everything, time.Second)
		if rep == nil {
			t.Fatal("subscribers do not hear of a new endpoint")
		}
		for _, v := range []struct {
			ep   matter.EndpointID
			cl   matter.ClusterID
			id   matter.AttributeID
			want string
		}{
			{0, clDescriptor, 3, "[1,7]"},
			{aggregator, clDescriptor, 3, "[7]"},
			{plugID, clDescriptor, 0, "[{0:266,1:4},{0:19,1:3}]"},
			{plugID, clDescriptor, 1, "[3,4,6,29,57]"},
			{plugID, clDescriptor, 3, "[]"},
			{plugID, clBridged, 17, "true"},
			{plugID, clBridged, 3, `"Plug"`},
			{plugID, clOnOff, 0, "false"},
			{plugID, clGroups, 0, "128"},
		} {
			if got := r.textOf(rep, v.ep, v.cl, v.id); got != v.want {
				t.Errorf("%d/0x%02X/%d is %s in the report, want %s", v.ep, v.cl, v.id, got, v.want)
			}
		}

		// A controller switches it.
		_, err = s.Invoke(r.ctx, plugID, clOnOff, 2, nil)
		r.must(err)
		if rep := r.nextWithin(everything, time.Second); rep == nil || r.textOf(rep, plugID, clOnOff, 0) != "true" || len(rep.Attributes) != 1 {
			t.Errorf("report %+v", rep)
		}
		if len(p.switched) != 1 || !p.switched[0] {
			t.Errorf("switched %v", p.switched)
		}
		// Somebody also switches it by hand, and then it becomes unreachable.
		r.must(r.srv.Do(func() error {
			p.on = false
			p.info.SetReachable(false)
			return nil
		}))
		rep = r.nextWithin(everything, time.Second)
		if rep == nil || r.textOf(rep, plugID, clOnOff, 0) != "false" || r.textOf(rep, plugID, clBridged, 17) != "false" || len(rep.Attributes) != 2 {
			t.Fatalf("report %+v", rep)
		}
		if len(rep.Events) != 1 || rep.Events[0].Cluster != clBridged || rep.Events[0].ID != 3 || clustertest.Text(t, rep.Events[0].Data()) != "{0:false}" {
			t.Errorf("events %+v", rep.Events)
		}

		r.must(r.srv.RemoveEndpoint(plugID))
		rep = r.nextWithin(everything, time.Second)
		if rep == nil || r.textOf(rep, 0, clDescriptor, 3) != "[1]" || r.textOf(rep, aggregator, clDescriptor, 3) != "[]" || len(rep.Attributes) != 2 {
			t.Errorf("report %+v", rep)
		}
		r.want("the endpoint is gone", r.value(s, plugID, clOnOff, 0), "UNSUPPORTED_ENDPOINT")
		if err := r.srv.RemoveEndpoint(plugID); !errors.Is(err, server.ErrNoEndpoint) {
			t.Errorf("removed twice: %v", err)
		}
	})
}

// A plug identifies itself for the requested time. Subscribers get reports of the
// beginning and the end, and none in between. In that time it can be added to a
// group.
func TestIdentify(t *testing.T) {
	bubble(t, 1, clean, func(r *rig) {
		p := r.addPlug(plugID)
		s := r.commission(r.client(), r.authority(commissioner.AuthorityOptions{})).CASE
		r.must(s.KeySetWrite(r.ctx, 5, [16]byte{1}))
		r.must(s.MapGroups(r.ctx, 5, 7))
		reports, err := s.Subscribe(r.ctx, commissioner.ReadRequest{Attributes: []commissioner.Path{commissioner.Attr(plugID, clIdentify, 0)}}, 0, 600)
		r.must(err)
		show := func(seconds uint64) {
			_, err := s.Invoke(r.ctx, plugID, clIdentify, 0, func(w *tlv.Writer) { w.Uint(tlv.Context(0), seconds) })
			r.must(err)
		}
		join := func() {
			_, err := s.Invoke(r.ctx, plugID, clGroups, 5, func(w *tlv.Writer) {
				w.Uint(tlv.Context(0), 7)
				w.Text(tlv.Context(1), "")
			})
			r.must(err)
		}
		join()
		r.want("a group, while it does not identify itself", r.value(s, 0, clGroupKeys, 1), "[]")
		show(20)
		if rep := r.nextWithin(reports, time.Second); rep == nil || r.textOf(rep, plugID, clIdentify, 0) != "20" {
			t.Errorf("report %+v", rep)
		}
		r.wait(5500 * time.Millisecond)
		r.want("IdentifyTime", r.value(s, plugID, clIdentify, 0), "15")
		join()
		if got := r.value(s, 0, clGroupKeys, 1); !strings.Contains(got, "2:[7]") {
			t.Errorf("GroupTable %s", got)
		}
		if rep := r.nextWithin(reports, 10*time.Second); rep != nil {
			t.Errorf("the countdown is reported: %+v", rep)
		}
		if rep := r.nextWithin(reports, 10*time.Second); rep == nil || r.textOf(rep, plugID, clIdentify, 0) != "0" {
			t.Errorf("report %+v", rep)
		}
		show(0xFFFF)
		r.must(r.srv.Operator().FactoryReset(r.ctx))
		if !slices.Equal(p.shown, []bool{true, false, true, false}) {
			t.Errorf("shown %v", p.shown)
		}
	})
}

// A device that is added before the start is there for the first controller, with
// access by endpoint, device type and group.
func TestBridgedDeviceBeforeTheStart(t *testing.T) {
	bubble(t, 1, clean, func(r *rig) {
		r.stop()
		r.prepare = func() { r.addPlug(plugID) }
		r.start()
		c, a := r.client(), r.authority(commissioner.AuthorityOptions{})
		done := r.commission(c, a)
		s := done.CASE
		r.want("parts", r.value(s, aggregator, clDescriptor, 3), "[7]")
		unique := r.value(s, plugID, clBridged, 18)
		if len(unique) != 34 {
			t.Errorf("UniqueID %s", unique)
		}
		guest, err := a.Admin(commissioner.RandomNodeID())
		r.must(err)
		kind := uint32(0x010A)
		r.want("ACL", r.writeACL(s, administers(a), entry{
			privilege: matter.PrivilegeOperate, mode: matter.AuthModeCASE, subjects: []uint64{uint64(guest.NodeID)}, targets: [][3]*uint32{{nil, nil, &kind}},
		}), success)
		g := r.session(c, guest, done.Node)
		_, err = g.Invoke(r.ctx, plugID, clOnOff, 1, nil)
		r.want("by the device type", outcome(err), ok)
		r.want("another endpoint", r.value(g, aggregator, clDescriptor, 3), unsupportedAccess)

		r.must(s.KeySetWrite(r.ctx, 5, [16]byte{1}))
		r.must(s.MapGroups(r.ctx, 5, 7))
		r.must(s.AddGroup(r.ctx, plugID, 7, "plugs"))
		if got := r.value(s, 0, clGroupKeys, 1); !strings.Contains(got, "2:[7]") {
			t.Errorf("GroupTable %s", got)
		}
		r.restart()
		s = r.reopen(c, a, done)
		r.want("UniqueID after a restart", r.value(s, plugID, clBridged, 18), unique)
		if got := r.value(s, 0, clGroupKeys, 1); !strings.Contains(got, "2:[7]") {
			t.Errorf("GroupTable after a restart: %s", got)
		}
		r.must(r.srv.RemoveEndpoint(plugID))
		r.want("GroupTable without the endpoint", r.value(s, 0, clGroupKeys, 1), "[]")
		r.addPlug(plugID + 1)
		r.must(r.srv.Operator().FactoryReset(r.ctx))
		s = r.commission(c, r.authority(commissioner.AuthorityOptions{})).CASE
		if r.value(s, plugID+1, clBridged, 18) == unique {
			t.Error("the UniqueID outlasts a factory reset")
		}
	})
}

// Device types of the program's endpoint are not duplicated, and later changes of
// its slice have no effect.
func TestDeviceTypesOfABridgedDevice(t *testing.T) {
	bubble(t, 1, clean, func(r *rig) {
		info, err := bridgeddevicebasicinformation.New(bridgeddevicebasicinformation.Options{UniqueID: func() string { return "1" }})
		r.must(err)
		types := []server.DeviceType{{ID: 0x0013, Revision: 2}, {ID: 0x010A, Revision: 3}}
		r.must(r.srv.AddEndpoint(server.Endpoint{ID: plugID, DeviceTypes: types, Clusters: []im.Cluster{info}}))
		types[1].ID = 0x0100
		s := r.commission(r.client(), r.authority(commissioner.AuthorityOptions{})).CASE
		r.want("device types", r.value(s, plugID, clDescriptor, 0), "[{0:19,1:2},{0:266,1:3}]")
	})
}

// misplaced is a cluster with invalid metadata.
type misplaced struct {
	onOff
	spec im.Spec
}

func (c *misplaced) Spec() *im.Spec { return &c.spec }

// Any fault of an endpoint is an error with its reason, and nothing is added.
func TestAddEndpointRefuses(t *testing.T) {
	bubble(t, 1, clean, func(r *rig) {
		r.addPlug(plugID)
		r.addPlug(9)
		r.must(r.srv.RemoveEndpoint(9))
		types := []server.DeviceType{{ID: 0x010A, Revision: 4}}
		some := []im.Cluster{&onOff{}}
		own, err := identify.New(identify.Options{})
		r.must(err)
		unordered := &misplaced{spec: im.Spec{ID: 0xFFF1FC00, Name: "Unordered", Attributes: []im.Attribute{{ID: 1}, {ID: 0}}}}
		global := &misplaced{spec: im.Spec{ID: 0xFFF1FC00, Name: "Global", Attributes: []im.Attribute{{ID: matter.AttributeFeatureMap}}}}
		for name, tc := range map[string]struct {
			ep   server.Endpoint
			want string
		}{
			"the root":                  {server.Endpoint{ID: 0, DeviceTypes: types, Clusters: some}, "not between 2 and 65534"},
			"the aggregator":            {server.Endpoint{ID: 1, DeviceTypes: types, Clusters: some}, "not between 2 and 65534"},
			"one that is there":         {server.Endpoint{ID: plugID, DeviceTypes: types, Clusters: some}, "in use"},
			"0xFFFF":                    {server.Endpoint{ID: 0xFFFF, DeviceTypes: types, Clusters: some}, "not between"},
			"the number of another":     {server.Endpoint{ID: 9, DeviceTypes: types, Clusters: some}, "another device"},
			"a part of nothing":         {server.Endpoint{ID: 8, Parent: 6, DeviceTypes: types, Clusters: some}, "part of endpoint 6"},
			"a part of itself":          {server.Endpoint{ID: 8, Parent: 8, DeviceTypes: types, Clusters: some}, "part of endpoint 8"},
			"a part of the aggregator":  {server.Endpoint{ID: 8, Parent: 1, DeviceTypes: types, Clusters: some}, "part of endpoint 1"},
			"no device type":            {server.Endpoint{ID: 8, Clusters: some}, "no device type"},
			"revision 0":                {server.Endpoint{ID: 8, DeviceTypes: []server.DeviceType{{ID: 0x010A}}, Clusters: some}, "0x010A has revision 0"},
			"no clusters":               {server.Endpoint{ID: 8, DeviceTypes: types}, "no clusters"},
			"a nil cluster":             {server.Endpoint{ID: 8, DeviceTypes: types, Clusters: []im.Cluster{&onOff{}, nil}}, "number 2"},
			"a nil pointer":             {server.Endpoint{ID: 8, DeviceTypes: types, Clusters: []im.Cluster{(*onOff)(nil)}}, "number 1"},
			"attributes out of order":   {server.Endpoint{ID: 8, DeviceTypes: types, Clusters: []im.Cluster{unordered}}, "Unordered"},
			"an attribute of the node":  {server.Endpoint{ID: 8, DeviceTypes: types, Clusters: []im.Cluster{global}}, "Global"},
			"Identify twice":            {server.Endpoint{ID: 8, DeviceTypes: types, Clusters: []im.Cluster{own}, Identify: &identify.Options{}}, "0x0003 occurs twice"},
			"no such type for Identify": {server.Endpoint{ID: 8, DeviceTypes: types, Clusters: some, Identify: &identify.Options{Type: 6}}, "6"},
			"a cluster twice":           {server.Endpoint{ID: 8, DeviceTypes: types, Clusters: []im.Cluster{&onOff{}, &onOff{}}}, "0x0006 occurs twice"},
		} {
			good := server.Endpoint{ID: 20, DeviceTypes: types, Clusters: []im.Cluster{&onOff{}}}
			err := r.srv.AddEndpoints(good, tc.ep)
			if err == nil || !strings.Contains(err.Error(), tc.want) || !strings.Contains(err.Error(), fmt.Sprintf("endpoint %d: ", tc.ep.ID)) {
				t.Errorf("%s: %v", name, err)
			}
		}
		for _, id := range []matter.EndpointID{0, 1, 8, 20} {
			if err := r.srv.RemoveEndpoint(id); !errors.Is(err, server.ErrNoEndpoint) {
				t.Errorf("removing %d: %v", id, err)
			}
		}
		boom := errors.New("boom")
		if err := r.srv.Do(func() error { return boom }); err != boom {
			t.Errorf("Do: %v", err)
		}
	})
}

// batch returns endpoints of bridged devices with these numbers.
func (r *rig) batch(ids ...matter.EndpointID) (list []server.Endpoint) {
	r.t.Helper()
	for _, id := range ids {
		info, err := bridgeddevicebasicinformation.New(bridgeddevicebasicinformation.Options{UniqueID: func() string { return fmt.Sprint(id) }})
		r.must(err)
		list = append(list, server.Endpoint{ID: id, DeviceTypes: []server.DeviceType{{ID: 0x010A, Revision: 4}}, Clusters: []im.Cluster{info, &onOff{}}})
	}
	return list
}

// The first report after a restart has all devices of a bridge that adds them
// before the start. Devices that are added and removed together cause one report.
func TestEndpointsInOneStep(t *testing.T) {
	bubble(t, 1, clean, func(r *rig) {
		first := []matter.EndpointID{10, 11, 12}
		r.stop()
		r.prepare = func() { r.must(r.srv.AddEndpoints(r.batch(first...)...)) }
		r.start()
		c, a := r.client(), r.authority(commissioner.AuthorityOptions{})
		done := r.commission(c, a)
		list := commissioner.ReadRequest{Attributes: []commissioner.Path{commissioner.Attr(aggregator, clDescriptor, 3)}}
		r.restart()
		s := r.reopen(c, a, done)
		lists, err := s.Subscribe(r.ctx, list, 0, 600)
		r.must(err)
		r.want("the first report after a restart", r.textOf(lists.Primed, aggregator, clDescriptor, 3), "[10,11,12]")

		r.wait(time.Second)
		var more []matter.EndpointID
		for id := matter.EndpointID(20); id < 70; id++ {
			more = append(more, id)
		}
		r.must(r.srv.AddEndpoints(r.batch(more...)...))
		rep := r.nextWithin(lists, time.Second)
		if rep == nil || strings.Count(r.textOf(rep, aggregator, clDescriptor, 3), ",") != 52 {
			t.Errorf("the report of 50 more: %+v", rep)
		}
		if rep := r.nextWithin(lists, 10*time.Second); rep != nil {
			t.Errorf("another report: %+v", rep)
		}
		r.must(r.srv.RemoveEndpoints(more...))
		if rep := r.nextWithin(lists, time.Second); rep == nil || r.textOf(rep, aggregator, clDescriptor, 3) != "[10,11,12]" {
			t.Errorf("the report without them: %+v", rep)
		}
		if rep := r.nextWithin(lists, 10*time.Second); rep != nil {
			t.Errorf("another report: %+v", rep)
		}
		again := r.batch(20)[0]
		if err := r.srv.AddEndpoint(again); err == nil {
			t.Error("a number is another device's")
		}
		again.Returns = true
		r.must(r.srv.AddEndpoint(again))
	})
}

// The parts of a device are listed by the device, the root and the aggregator. They
// are not bridged nodes themselves.
func TestPartsOfABridgedDevice(t *testing.T) {
	bubble(t, 1, clean, func(r *rig) {
		part := func(id, parent matter.EndpointID) server.Endpoint {
			return server.Endpoint{ID: id, Parent: parent, DeviceTypes: []server.DeviceType{{ID: 0x0302, Revision: 3}}, Clusters: []im.Cluster{&onOff{}}}
		}
		r.must(r.srv.AddEndpoints(append(r.batch(10), part(12, 10), part(11, 10), part(13, 11), part(20, 0), part(21, 20))...))
		s := r.commission(r.client(), r.authority(commissioner.AuthorityOptions{})).CASE
		check := func(want map[matter.EndpointID]string) {
			t.Helper()
			for ep, list := range want {
				if got := r.value(s, ep, clDescriptor, 3); got != list {
					t.Errorf("endpoint %d lists %s, want %s", ep, got, list)
				}
			}
		}
		check(map[matter.EndpointID]string{
			0: "[1,10,11,12,13,20,21]", aggregator: "[10,11,12,13]", 10: "[11,12]", 11: "[13]", 12: "[]", 13: "[]", 20: "[21]", 21: "[]",
		})
		r.want("types of the device", r.value(s, 10, clDescriptor, 0), "[{0:266,1:4},{0:19,1:3}]")
		r.want("types of a part", r.value(s, 11, clDescriptor, 0), "[{0:770,1:3}]")
		if err := r.srv.RemoveEndpoints(10, 11, 12); err == nil || !strings.Contains(err.Error(), "endpoint 13 is a part") {
			t.Errorf("removed without its part: %v", err)
		}
		check(map[matter.EndpointID]string{aggregator: "[10,11,12,13]"})
		lists := commissioner.Attr(0, clDescriptor, 3)
		lists.Endpoint = nil
		reports, err := s.Subscribe(r.ctx, commissioner.ReadRequest{Attributes: []commissioner.Path{lists}}, 0, 600)
		r.must(err)
		r.must(r.srv.RemoveEndpoints(13, 12))
		rep := r.nextWithin(reports, time.Second)
		if rep == nil || len(rep.Attributes) != 4 {
			t.Fatalf("report %+v", rep)
		}
		check(map[matter.EndpointID]string{0: "[1,10,11,20,21]", aggregator: "[10,11]", 10: "[11]", 11: "[]"})
	})
}
