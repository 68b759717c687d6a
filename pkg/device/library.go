package device

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/opcredsd/opcredsd/pkg/datamodel"
	"github.com/opcredsd/opcredsd/pkg/matter"
)

// kind is one type of the library.
type kind struct {
	id    matter.DeviceTypeID
	build func(b *builder) error
}

// library contains the types by the names that parts use.
var library = merge(
	climateKinds,
	coverKinds,
	lightKinds,
	lockKinds,
	sensorKinds,
	buttonKinds,
	meterKinds,
	alarmKinds,
	airKinds,
	pumpKinds,
	vacuumKinds,
)

func merge(families ...map[string]kind) map[string]kind {
	all := map[string]kind{}
	for _, f := range families {
		maps.Copy(all, f)
	}
	return all
}

// builder is the argument of a type's build function.
type builder struct {
	*Endpoint
	part    *Part
	profile Profile
}

// Types returns the names of all types, sorted.
func Types() []string { return slices.Sorted(maps.Keys(library)) }

// TypeError is returned for a type that does not exist.
type TypeError struct{ Type string }

func (e *TypeError) Error() string {
	return fmt.Sprintf("type: there is no type %q; there are %s", e.Type, strings.Join(Types(), ", "))
}

// OptionError is returned for an option that does not match its type.
type OptionError struct {
	Option string
	Reason string
}

func (e *OptionError) Error() string { return fmt.Sprintf("options.%s: %s", e.Option, e.Reason) }

// New returns the endpoint of a part. send receives the commands of controllers;
// its error is returned to the controller. The error of New is a *TypeError or
// *OptionError. New adds to the part's options what its state implies.
func New(deviceID string, p *Part, send Send) (*Endpoint, error) {
	return newEndpoint(deviceID, p, Profile{}, send)
}

func newEndpoint(deviceID string, p *Part, profile Profile, send Send) (*Endpoint, error) {
	k, ok := library[p.Type]
	if !ok {
		return nil, &TypeError{p.Type}
	}
	if other := profile.plainer[p.Type]; other != nil {
		k = other.kind
	}
	e := &Endpoint{send: send, command: Command{Device: deviceID, Part: p.ID}}
	e.addType(k.id)
	b := &builder{Endpoint: e, part: p, profile: profile}
	if err := k.build(b); err != nil {
		return nil, err
	}
	if p.Meter && k.id != datamodel.DeviceTypeElectricalSensor {
		e.addType(datamodel.DeviceTypeElectricalSensor)
		if err := b.addMeter(func(*Property) {}); err != nil {
			return nil, err
		}
	}
	if err := b.checkProperties(); err != nil {
		return nil, err
	}
	return e, nil
}

// addType adds a device type with the revision of the data model.
func (e *Endpoint) addType(id matter.DeviceTypeID) {
	e.Types = append(e.Types, TypeID{ID: id, Revision: datamodel.DeviceTypeByID(id).Revision})
}
