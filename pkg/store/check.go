package store

import (
	"bytes"
	"errors"
	"fmt"
	"slices"

	"go.etcd.io/bbolt"

	"github.com/opcredsd/opcredsd/pkg/matter"
)

// content holds all records of a store.
type content struct {
	fabrics       []Fabric
	node          Node
	attestation   *Attestation
	resumptions   []Resumption
	subscriptions []Subscription
	counters      map[string]uint64
	devices       map[string][]byte
	endpoints     map[matter.EndpointID][]byte
	nextEndpoint  matter.EndpointID
	composition   Composition
}

// load decodes all records. It returns ErrDamaged if a record cannot be read or a
// bucket is missing, and ErrNewer if a newer version has written the store.
func (tx *Tx) load() (c content, err error) {
	if err := tx.checkDigest(); err != nil {
		return c, err
	}
	if err := tx.checkNames(); err != nil {
		return c, err
	}
	for _, read := range []func(*Tx) error{
		func(tx *Tx) (err error) { c.fabrics, err = tx.Fabrics(); return err },
		func(tx *Tx) (err error) { c.node, _, err = tx.Node(); return err },
		func(tx *Tx) error {
			a, ok, err := tx.Attestation()
			if ok {
				c.attestation = &a
			}
			return err
		},
		func(tx *Tx) (err error) { c.resumptions, err = tx.Resumptions(); return err },
		func(tx *Tx) (err error) { c.subscriptions, err = tx.Subscriptions(); return err },
		func(tx *Tx) (err error) { c.counters, err = tx.counters(); return err },
		func(tx *Tx) error {
			c.devices = make(map[string][]byte)
			return tx.Devices(func(id string, value []byte) error { c.devices[id] = value; return nil })
		},
		func(tx *Tx) error {
			c.endpoints = make(map[matter.EndpointID][]byte)
			return tx.Endpoints(func(n matter.EndpointID, value []byte) error { c.endpoints[n] = value; return nil })
		},
		func(tx *Tx) (err error) { c.nextEndpoint, err = tx.NextEndpoint(); return err },
		func(tx *Tx) (err error) { c.composition, err = tx.Composition(); return err },
	} {
		if err := read(tx); err != nil {
			return c, err
		}
	}
	return c, nil
}

// fixedNames are the keys of the buckets whose keys are fixed; nil stands for the
// file's root.
var fixedNames = []struct {
	bucket []byte
	names  [][]byte
}{
	{nil, buckets},
	{bucketMeta, [][]byte{keySchema, keyDigest}},
	{bucketNode, [][]byte{keyNode, keyAttestation, keyComposition, keyNextEndpoint}},
}

// checkNames returns ErrNewer if there is a name that the schema does not know. The
// caller has checked the digest, so the name is not damage.
func (tx *Tx) checkNames() (err error) {
	defer tx.s.guard(&err)
	for _, p := range fixedNames {
		c := tx.b.Cursor()
		if p.bucket != nil {
			c = tx.b.Bucket(p.bucket).Cursor()
		}
		for k, _ := c.First(); k != nil; k, _ = c.Next() {
			if !slices.ContainsFunc(p.names, func(n []byte) bool { return bytes.Equal(n, k) }) {
				return newer(tx.path, fmt.Sprintf("it has %q, which this version does not know", k))
			}
		}
	}
	return nil
}

// checkDigest compares the digest with the records.
func (tx *Tx) checkDigest() (err error) {
	defer tx.s.guard(&err)
	for _, name := range buckets {
		if tx.b.Bucket(name) == nil {
			return damaged(tx.path, fmt.Sprintf("no bucket %q", name))
		}
	}
	var want digest
	if ok, err := tx.get(bucketMeta, keyDigest, &want); err != nil {
		return err
	} else if !ok {
		return damaged(tx.path, "no digest")
	}
	got, err := tx.computeDigest()
	if err != nil {
		return err
	}
	id := uint64(tx.b.ID())
	if tx.b.Writable() {
		id-- // this transaction has not written its digest
	}
	if err := want.verify(got, id); err != nil {
		return damaged(tx.path, err.Error())
	}
	return nil
}

// computeDigest returns the digest of the records, without a transaction.
func (tx *Tx) computeDigest() (d digest, err error) {
	err = tx.b.ForEach(func(bucket []byte, b *bbolt.Bucket) error {
		if bytes.Equal(bucket, bucketMeta) {
			return nil
		}
		return b.ForEach(func(k, v []byte) error {
			d.add(bucket, k, v)
			return nil
		})
	})
	return d, err
}

func (tx *Tx) counters() (all map[string]uint64, err error) {
	defer tx.s.guard(&err)
	all = make(map[string]uint64)
	err = tx.b.Bucket(bucketCounters).ForEach(func(k, _ []byte) error {
		name := string(k)
		all[name], err = tx.Counter(name)
		return err
	})
	return all, err
}

// Check checks all pages and records of the store, and the relations between records:
// a fabric has its root, NOC, key, IPK and an administrator; each record belongs to a
// known fabric and has the right key; counters are ahead of the values that were
// reserved.
//
// The error joins all findings. It wraps ErrDamaged if the store must not be used.
// ErrNoAdministrator alone does not, as an administrator may cause it.
func (s *Store) Check() error {
	// A writable transaction keeps others from writing during the walk.
	return s.transact(!s.opt.ReadOnly, func(tx *Tx) error {
		info, err := s.file.Stat()
		if err != nil {
			return fmt.Errorf("database: %w", err)
		}
		metas, err := findMetas(s.file)
		if err == nil {
			_, err = checkPages(s.file, info.Size(), metas[0])
		}
		if err != nil {
			return damaged(s.path, err.Error())
		}
		c, err := tx.load()
		if err != nil {
			return err
		}
		return errors.Join(s.findings(&c)...)
	}, s.leave)
}

// findings returns the faults in the content.
func (s *Store) findings(c *content) (found []error) {
	fault := func(err error) {
		if err != nil {
			found = append(found, damaged(s.path, err.Error()))
		}
	}
	known := make(map[matter.FabricIndex]bool)
	for i := range c.fabrics {
		f := &c.fabrics[i]
		known[f.Index] = true
		fault(f.Validate())
		if !f.administered() {
			found = append(found, fmt.Errorf("fabric %d: %w", f.Index, ErrNoAdministrator))
		}
	}
	fault(c.node.Validate())
	if c.attestation != nil {
		fault(c.attestation.Validate())
	}
	for i := range c.resumptions {
		r := &c.resumptions[i]
		fault(r.Validate())
		if !known[r.Fabric] {
			fault(fmt.Errorf("resumption record of fabric %d, which is not there", r.Fabric))
		}
	}
	for i := range c.subscriptions {
		sub := &c.subscriptions[i]
		fault(sub.Validate())
		if !known[sub.Fabric] {
			fault(fmt.Errorf("subscription of fabric %d, which is not there", sub.Fabric))
		}
	}
	if c.nextEndpoint == 0 {
		fault(errors.New("next endpoint 0"))
	}
	for n := range c.endpoints {
		if n >= c.nextEndpoint {
			fault(fmt.Errorf("attributes of endpoint %d, and the next one is %d", n, c.nextEndpoint))
		}
	}
	fault(c.composition.Validate())
	s.mu.Lock()
	defer s.mu.Unlock()
	for name, end := range s.reserved {
		if c.counters[name] < end {
			fault(fmt.Errorf("counter %s stands at %d, and %d values were given out", name, c.counters[name], end))
		}
	}
	return found
}
