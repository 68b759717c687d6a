package store

import (
	"bytes"
	"errors"
	"fmt"
	"slices"

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
}

// load decodes every record. It fails, with ErrDamaged, at one that cannot be
// read and at a bucket that is missing or unknown.
func (tx *Tx) load() (c content, err error) {
	if err := tx.checkNames(); err != nil {
		return c, err
	}
	if err := tx.checkDigest(); err != nil {
		return c, err
	}
	var errs [6]error
	c.fabrics, errs[0] = tx.Fabrics()
	c.node, _, errs[1] = tx.Node()
	a, ok, err := tx.Attestation()
	if ok {
		c.attestation = &a
	}
	errs[2] = err
	c.resumptions, errs[3] = tx.Resumptions()
	c.subscriptions, errs[4] = tx.Subscriptions()
	c.counters, errs[5] = tx.counters()
	for _, err := range errs {
		if err != nil {
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
	{bucketNode, [][]byte{keyNode, keyAttestation}},
}

// checkNames looks for names that the schema does not know: a record whose key
// is damaged would otherwise just not be there.
func (tx *Tx) checkNames() (err error) {
	defer tx.s.guard(&err)
	for _, name := range buckets {
		if tx.b.Bucket(name) == nil {
			return damaged(tx.s.path, fmt.Sprintf("no bucket %q", name))
		}
	}
	for _, p := range places {
		c := tx.b.Cursor()
		if p.bucket != nil {
			c = tx.b.Bucket(p.bucket).Cursor()
		}
		for k, _ := c.First(); k != nil; k, _ = c.Next() {
			if !slices.ContainsFunc(p.names, func(n []byte) bool { return bytes.Equal(n, k) }) {
				return damaged(tx.s.path, fmt.Sprintf("unknown name %q", k))
			}
		}
	}
	return nil
}

// checkDigest compares the digest with the records.
func (tx *Tx) checkDigest() (err error) {
	defer tx.s.guard(&err)
	var want, got digest
	if ok, err := tx.get(bucketMeta, keyDigest, &want); err != nil {
		return err
	} else if !ok {
		return damaged(tx.s.path, "no digest")
	}
	for _, bucket := range buckets {
		if bytes.Equal(bucket, bucketMeta) {
			continue
		}
		c := tx.b.Bucket(bucket).Cursor()
		for k, v := c.First(); k != nil; k, v = c.Next() {
			got.add(bucket, k, v)
		}
	}
	id := uint64(tx.b.ID())
	if tx.b.Writable() {
		id-- // it may not have written anything
	}
	if err := want.hold(got, id); err != nil {
		return damaged(tx.s.path, err.Error())
	}
	return nil
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
	s.mu.Lock()
	defer s.mu.Unlock()
	for name, end := range s.reserved {
		if c.counters[name] < end {
			fault(fmt.Errorf("counter %s stands at %d, and %d values were given out", name, c.counters[name], end))
		}
	}
	return found
}
