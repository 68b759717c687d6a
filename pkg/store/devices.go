package store

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strings"

	"github.com/opcredsd/opcredsd/pkg/matter"
)

// Bounds of the records of devices and endpoints. The caller limits their number.
const (
	MinDeviceID    = 3        // octets
	MaxDeviceID    = 128      // octets
	MaxDevice      = 64 << 10 // octets of a device's record
	MaxAttributes  = 64 << 10 // octets of an endpoint's kept attributes
	MaxEndpoint    = 0xFFFE   // highest number of an endpoint
	maxFingerprint = 64       // octets of a composition's digest
)

// Composition describes the set of endpoints and clusters that the node shows.
type Composition struct {
	Version uint32 `json:"version"`          // ConfigurationVersion (section 11.1.5.24); 0 before the first one
	Digest  []byte `json:"digest,omitempty"` // of the set with this version, at most 64 octets; none after a restore
}

// Validate returns an error that wraps ErrInvalid if c may not be stored.
func (c *Composition) Validate() error {
	if len(c.Digest) > maxFingerprint {
		return invalid("composition with a digest of %d octets", len(c.Digest))
	}
	return nil
}

// Composition returns the record of the node's composition, or a zero one.
func (tx *Tx) Composition() (c Composition, err error) {
	_, err = tx.get(bucketNode, keyComposition, &c)
	return c, err
}

// PutComposition stores the record of the node's composition. It returns ErrInvalid if
// the version is lower than the stored one.
func (tx *Tx) PutComposition(c Composition) error {
	old, err := tx.Composition()
	if err != nil {
		return err
	}
	if c.Version < old.Version {
		return invalid("version %d of the composition after %d", c.Version, old.Version)
	}
	if err := c.Validate(); err != nil {
		return err
	}
	return tx.put(bucketNode, keyComposition, c)
}

// Devices calls f for each bridged device, in the order of the ids, with a copy of its
// record. If f returns an error, Devices stops and returns it.
func (tx *Tx) Devices(f func(id string, value []byte) error) error {
	all, err := tx.octets(bucketDevices)
	if err != nil {
		return err
	}
	for _, r := range all {
		if !validDeviceID(string(r.key)) {
			return damaged(tx.path, fmt.Sprintf("devices %x: not the id of a device", r.key))
		}
		if err := f(string(r.key), r.value); err != nil {
			return err
		}
	}
	return nil
}

// PutDevice stores the record of a bridged device and replaces an earlier one. The id
// is SOURCE:KEY, MinDeviceID to MaxDeviceID octets of A-Z, a-z, 0-9, '.', '_', ':' and
// '-'. The record, at most MaxDevice octets, has the caller's form.
func (tx *Tx) PutDevice(id string, value []byte) error {
	switch {
	case !validDeviceID(id):
		return invalid("device with an id of %d octets that is not SOURCE:KEY", len(id))
	case len(value) > MaxDevice:
		return invalid("device with a record of %d octets", len(value))
	}
	return tx.putOctets(bucketDevices, []byte(id), value)
}

// DeleteDevice removes the record of a bridged device, if there is one. The numbers of
// its endpoints are not reserved again.
func (tx *Tx) DeleteDevice(id string) error {
	if !validDeviceID(id) {
		return nil
	}
	return tx.delete(bucketDevices, []byte(id))
}

// DeleteDevices removes the records of all bridged devices. A factory reset does not
// call it, as devices keep their numbers.
func (tx *Tx) DeleteDevices() error { return tx.deletePrefix(bucketDevices, nil) }

func validDeviceID(id string) bool {
	if len(id) < MinDeviceID || len(id) > MaxDeviceID {
		return false
	}
	source, key, _ := strings.Cut(id, ":")
	return source != "" && key != "" && strings.IndexFunc(id, func(r rune) bool {
		switch {
		case 'A' <= r && r <= 'Z', 'a' <= r && r <= 'z', '0' <= r && r <= '9', strings.ContainsRune("._:-", r):
			return false
		}
		return true
	}) < 0
}

// Endpoints calls f for each endpoint that has kept attributes, by ascending number,
// with a copy of the record. If f returns an error, Endpoints stops and returns it.
func (tx *Tx) Endpoints(f func(n matter.EndpointID, value []byte) error) error {
	all, err := tx.octets(bucketEndpoints)
	if err != nil {
		return err
	}
	for _, r := range all {
		if len(r.key) != 2 {
			return damaged(tx.path, fmt.Sprintf("endpoints %x: not the number of an endpoint", r.key))
		}
		if err := f(matter.EndpointID(binary.BigEndian.Uint16(r.key)), r.value); err != nil {
			return err
		}
	}
	return nil
}

// Endpoint returns the kept attributes of an endpoint; ok is false if it has none.
func (tx *Tx) Endpoint(n matter.EndpointID) (value []byte, ok bool, err error) {
	defer tx.s.guard(&err)
	k := endpointKey(n)
	sealed := tx.b.Bucket(bucketEndpoints).Get(k)
	if sealed == nil {
		return nil, false, nil
	}
	text, err := unsealText(bucketEndpoints, k, sealed)
	if err != nil {
		return nil, false, tx.unreadable(bucketEndpoints, k, err)
	}
	return bytes.Clone(text), true, nil
}

// PutEndpoint stores the kept attributes of an endpoint, at most MaxAttributes octets in
// the caller's form, and replaces earlier ones. ReserveEndpoints does not return the
// number n after that.
func (tx *Tx) PutEndpoint(n matter.EndpointID, value []byte) error {
	if n > MaxEndpoint || len(value) > MaxAttributes {
		return invalid("endpoint %d with %d octets of attributes", n, len(value))
	}
	if err := tx.RaiseNextEndpoint(n + 1); err != nil {
		return err
	}
	return tx.putOctets(bucketEndpoints, endpointKey(n), value)
}

// DeleteEndpoint removes the kept attributes of an endpoint, if there are any.
func (tx *Tx) DeleteEndpoint(n matter.EndpointID) error {
	return tx.delete(bucketEndpoints, endpointKey(n))
}

// DeleteEndpoints removes the kept attributes of all endpoints.
func (tx *Tx) DeleteEndpoints() error { return tx.deletePrefix(bucketEndpoints, nil) }

// NextEndpoint returns the number that ReserveEndpoints will return next, at least 1;
// MaxEndpoint+1 if none is left.
func (tx *Tx) NextEndpoint() (matter.EndpointID, error) {
	next := matter.EndpointID(1)
	_, err := tx.get(bucketNode, keyNextEndpoint, &next)
	return next, err
}

// ReserveEndpoints reserves the next count numbers for endpoints and returns the first.
// Once the transaction has been committed, no number is reserved again, not even after
// an older backup is restored over this database.
func (tx *Tx) ReserveEndpoints(count int) (first matter.EndpointID, err error) {
	if first, err = tx.NextEndpoint(); err != nil {
		return 0, err
	}
	if left := MaxEndpoint + 1 - int(first); count < 1 || count > left {
		return 0, invalid("%d endpoints, where %d can be numbered", count, left)
	}
	return first, tx.put(bucketNode, keyNextEndpoint, int(first)+count)
}

// RaiseNextEndpoint raises the next number to at least atLeast. It never lowers it.
func (tx *Tx) RaiseNextEndpoint(atLeast matter.EndpointID) error {
	next, err := tx.NextEndpoint()
	if err != nil || next >= atLeast {
		return err
	}
	return tx.put(bucketNode, keyNextEndpoint, atLeast)
}

func endpointKey(n matter.EndpointID) []byte { return binary.BigEndian.AppendUint16(nil, uint16(n)) }

// keyValue is a record in the caller's form.
type keyValue struct{ key, value []byte }

// octets returns copies of all records of a bucket in the order of their keys.
func (tx *Tx) octets(bucket []byte) (all []keyValue, err error) {
	defer tx.s.guard(&err)
	err = tx.b.Bucket(bucket).ForEach(func(k, sealed []byte) error {
		value, err := unsealText(bucket, k, sealed)
		if err != nil {
			return tx.unreadable(bucket, k, err)
		}
		all = append(all, keyValue{bytes.Clone(k), bytes.Clone(value)})
		return nil
	})
	return all, err
}

func (tx *Tx) putOctets(bucket, key, value []byte) (err error) {
	defer tx.s.guard(&err)
	return tx.store(bucket, key, sealText(bucket, key, value))
}
