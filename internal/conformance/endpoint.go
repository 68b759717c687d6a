package conformance

import (
	"fmt"
	"slices"

	"github.com/opcredsd/opcredsd/pkg/datamodel"
	"github.com/opcredsd/opcredsd/pkg/im"
	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/tlv"
)

// Endpoint returns the differences between an endpoint and its device types, and
// between its clusters and the data model. conditions are the conditions of the
// specification that are true, such as "Ethernet".
func Endpoint(ep im.Endpoint, conditions ...string) []error {
	e := &endpoint{ep: ep, conditions: conditions, named: map[matter.ClusterID]bool{}}
	e.descriptor()
	for _, c := range ep.Clusters {
		e.errs = append(e.errs, Cluster(c.Spec())...)
	}
	e.deviceType(datamodel.BaseDeviceType)
	for _, id := range ep.DeviceTypes {
		if d := datamodel.DeviceTypeByID(id); d == nil {
			e.errorf("there are no facts of device type 0x%04X", uint32(id))
		} else {
			e.deviceType(d)
		}
	}
	for _, c := range ep.Clusters {
		if s := c.Spec(); !e.named[s.ID] {
			e.errorf("no device type lists cluster %s", s.Name)
		}
	}
	for i := range e.errs {
		e.errs[i] = fmt.Errorf("endpoint %d: %w", ep.ID, e.errs[i])
	}
	return e.errs
}

// endpoint compares an endpoint with its device types.
type endpoint struct {
	ep         im.Endpoint
	conditions []string
	named      map[matter.ClusterID]bool // clusters that a device type lists
	errs       []error
}

func (e *endpoint) errorf(format string, args ...any) {
	e.errs = append(e.errs, fmt.Errorf(format, args...))
}

func (e *endpoint) find(id matter.ClusterID) *im.Spec {
	for _, c := range e.ep.Clusters {
		if s := c.Spec(); s.ID == id {
			return s
		}
	}
	return nil
}

// descriptor checks that the descriptor agrees with the endpoint, with the
// revisions of the data model.
func (e *endpoint) descriptor() {
	i := slices.IndexFunc(e.ep.Clusters, func(c im.Cluster) bool { return c.Spec().ID == datamodel.DescriptorID })
	if i < 0 {
		e.errorf("no descriptor")
		return
	}
	var w tlv.Writer
	if err := e.ep.Clusters[i].Read(&im.Request{}, datamodel.DescriptorAttrDeviceTypeList, &w, tlv.Anonymous); err != nil {
		e.errorf("reading the device types: %w", err)
		return
	}
	var ids []matter.DeviceTypeID
	r := tlv.NewReader(w.Bytes())
	for r.EnterArray(); r.Next(); {
		var id matter.DeviceTypeID
		var revision uint16
		for r.EnterStruct(); r.Next(); {
			switch r.ContextTag() {
			case 0:
				id = matter.DeviceTypeID(r.Uint32())
			case 1:
				revision = r.Uint16()
			}
		}
		r.Exit()
		ids = append(ids, id)
		if d := datamodel.DeviceTypeByID(id); d != nil && d.Revision != revision {
			e.errorf("%s has revision %d, want %d", d.Name, revision, d.Revision)
		}
	}
	if err := r.End(); err != nil || !slices.Equal(ids, e.ep.DeviceTypes) {
		e.errorf("device types are %v to controllers and %v to access control (%v)", ids, e.ep.DeviceTypes, err)
	}
}

func (e *endpoint) deviceType(d *datamodel.DeviceType) {
	for i := range d.Clusters {
		q := &d.Clusters[i]
		if !q.Server {
			continue
		}
		e.named[q.ID] = true
		env := datamodel.Env{Revision: d.Revision, Has: func(name string) bool { return slices.Contains(e.conditions, name) }}
		s := e.find(q.ID)
		e.conforms(d, env, "cluster "+q.Name, q.Conformance, s != nil)
		if s == nil {
			continue
		}
		env.Cluster, env.Features = datamodel.ClusterByID(q.ID), s.Features
		e.elements(d, env, q, s)
	}
}

// elements checks the requirements of a device type for the elements of a cluster.
func (e *endpoint) elements(d *datamodel.DeviceType, env datamodel.Env, q *datamodel.ClusterRequirement, s *im.Spec) {
	for _, f := range q.Features {
		there := slices.ContainsFunc(env.Cluster.Features, func(x datamodel.Feature) bool { return x.Code == f.Code && s.Features&(1<<x.Bit) != 0 })
		e.conforms(d, env, "feature "+f.Code+" of "+q.Name, f.Conformance, there)
	}
	for _, a := range q.Attributes {
		if a.Conformance != "" {
			there := slices.ContainsFunc(s.Attributes, func(x im.Attribute) bool { return x.ID == a.ID })
			e.conforms(d, env, a.Name+" of "+q.Name, a.Conformance, there)
		}
	}
	for _, c := range q.Commands {
		there := slices.ContainsFunc(s.Commands, func(x im.Command) bool { return x.ID == c.ID })
		e.conforms(d, env, c.Name+" of "+q.Name, c.Conformance, there)
	}
	for _, v := range q.Events {
		there := slices.ContainsFunc(s.Events, func(x im.Event) bool { return x.ID == v.ID })
		e.conforms(d, env, v.Name+" of "+q.Name, v.Conformance, there)
	}
}

// conforms checks an element or a cluster against the requirement of a device type.
// If its condition is false, that of the cluster applies.
func (e *endpoint) conforms(d *datamodel.DeviceType, env datamodel.Env, what string, conformance datamodel.Conformance, there bool) {
	switch v := conformance.Evaluate(env); {
	case v == datamodel.Mandatory && !there:
		e.errorf("%s wants %s, conformance %s", d.Name, what, conformance)
	case (v == datamodel.Provisional || conformance == "X") && there:
		e.errorf("%s: %s is %v, conformance %s", d.Name, what, v, conformance)
	}
}
