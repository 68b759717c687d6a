package store

import (
	"bytes"
	"errors"
	"fmt"
	"slices"

	"go.etcd.io/bbolt"

	"github.com/opcredsd/opcredsd/pkg/matter"
)

// content is every record of a store.
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

// load decodes every record. It fails, with ErrDamaged, at one that cannot be
// read and at a bucket that is missing, and with ErrNewer at what a newer version
// has written.
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

// places are the names within the buckets whose keys are fixed; nil stands for
// the file's root.
var places = []struct {
	bucket []byte
	names  [][]byte
}{
	{nil, buckets},
	{bucketMeta, [][]byte{keySchema, keyDigest}},
	{bucketNode, [][]byte{keyNode, keyAttestation, keyComposition, keyNextEndpoint}},
}

// checkNames looks for names that the schema does not know. As the digest holds,
// they are no damage.
func (tx *Tx) checkNames() (err error) {
	defer tx.s.guard(&err)
	for _, p := range places {
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
	got, err := tx.sumUp()
	if err != nil {
		return err
	}
	id := uint64(tx.b.ID())
	if tx.b.Writable() {
		id-- // it may not have written anything
	}
	if err := want.hold(got, id); err != nil {
		return damaged(tx.path, err.Error())
	}
	return nil
}

// sumUp returns the digest of the records that are there.
func (tx *Tx) sumUp() (d digest, err error) {
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

// Check looks at every page and every record of the store, and at what must hold
// between records: a fabric has its root, NOC, key, IPK and an administrator;
// every record belongs to a known fabric and stands under its own key; counters
// are ahead of what was reserved.
//
// The error joins all findings. It wraps ErrDamaged if one of them means that
// the store must not be used; a lone ErrNoAdministrator does not, as a fabric's
// administrator may bring it about.
func (s *Store) Check() error {
	// A transaction that writes keeps others from doing so during the walk.
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

// findings returns what does not hold.
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
