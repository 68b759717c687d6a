package store

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"github.com/opcredsd/opcredsd/pkg/matter"
)

// Tx is a transaction. It is valid only during the call of the function that gets it,
// and only on that function's goroutine. Its methods return copies.
type Tx struct {
	raw
	s      *Store
	digest *digest // nil until the transaction changes a record
}

// digest covers all records and the transaction that wrote the last of them. It shows
// a record that is missing and a page in an old state, as a worn card or an
// interrupted commit may leave it.
type digest struct {
	Records     int    `json:"records"`
	Sum         uint64 `json:"sum"` // of the records' hashes, modulo 2^64
	Transaction uint64 `json:"transaction"`
}

func (d *digest) add(bucket, key, value []byte) {
	d.Records++
	d.Sum += hash(bucket, key, value)
}

func (d *digest) remove(bucket, key, value []byte) {
	d.Records--
	d.Sum -= hash(bucket, key, value)
}

// verify returns an error unless d is the digest of the records that were found in
// transaction id. The second meta page of a backup has a number that is one lower than
// its transaction's.
func (d digest) verify(found digest, id uint64) error {
	switch {
	case d.Transaction != id && d.Transaction != id+1:
		return fmt.Errorf("records of transaction %d in %d", d.Transaction, id)
	case d.Records != found.Records || d.Sum != found.Sum:
		return fmt.Errorf("%d records, and not those last written, which are %d", found.Records, d.Records)
	}
	return nil
}

// change sets the value of a key, or deletes it if value is nil, and updates the digest.
func (tx *Tx) change(bucket, key, value []byte) error {
	b := tx.b.Bucket(bucket)
	if err := tx.openDigest(); err != nil {
		return err
	}
	if old := b.Get(key); old != nil {
		tx.digest.remove(bucket, key, old)
	}
	if value == nil {
		return b.Delete(key)
	}
	tx.digest.add(bucket, key, value)
	return b.Put(key, value)
}

// openDigest reads the digest before the transaction changes it.
func (tx *Tx) openDigest() error {
	if tx.digest != nil {
		return nil
	}
	d := new(digest)
	if ok, err := tx.get(bucketMeta, keyDigest, d); err != nil {
		return err
	} else if !ok {
		return damaged(tx.s.path, "no digest")
	}
	tx.digest = d
	return nil
}

// finish writes the digest.
func (tx *Tx) finish() error {
	if err := tx.openDigest(); err != nil {
		return err
	}
	tx.digest.Transaction = uint64(tx.b.ID())
	return tx.put(bucketMeta, keyDigest, tx.digest)
}

// get decodes one record into v.
func (tx *Tx) get(bucket, key []byte, v any) (ok bool, err error) {
	defer tx.s.guard(&err)
	return tx.read(bucket, key, v)
}

// put stores a record and updates the digest.
func (tx *Tx) put(bucket, key []byte, v any) (err error) {
	defer tx.s.guard(&err)
	value, err := seal(bucket, key, v)
	if err != nil {
		return err
	}
	return tx.store(bucket, key, value)
}

// store stores a sealed record and updates the digest.
func (tx *Tx) store(bucket, key, value []byte) error {
	tx.values = append(tx.values, value)
	if bytes.Equal(bucket, bucketMeta) { // the digest does not cover itself
		return tx.b.Bucket(bucket).Put(key, value)
	}
	return tx.change(bucket, key, value)
}

func (tx *Tx) delete(bucket, key []byte) (err error) {
	defer tx.s.guard(&err)
	return tx.change(bucket, key, nil)
}

// deletePrefix deletes the records whose keys begin with prefix.
func (tx *Tx) deletePrefix(bucket, prefix []byte) (err error) {
	defer tx.s.guard(&err)
	var keys [][]byte // a cursor does not survive deletions
	c := tx.b.Bucket(bucket).Cursor()
	for k, _ := c.Seek(prefix); k != nil && bytes.HasPrefix(k, prefix); k, _ = c.Next() {
		keys = append(keys, bytes.Clone(k))
	}
	for _, k := range keys {
		if err := tx.change(bucket, k, nil); err != nil {
			return err
		}
	}
	return nil
}

// list decodes the records of a bucket in the order of their keys. keyOf returns the
// key that a record must have.
func list[T any](tx *Tx, bucket []byte, keyOf func(*T) []byte) (all []T, err error) {
	defer tx.s.guard(&err)
	err = tx.b.Bucket(bucket).ForEach(func(k, value []byte) error {
		var v T
		if err := unseal(bucket, k, value, &v); err != nil {
			return tx.unreadable(bucket, k, err)
		}
		if !bytes.Equal(k, keyOf(&v)) {
			return damaged(tx.s.path, fmt.Sprintf("%s %x: record of another key", bucket, k))
		}
		all = append(all, v)
		return nil
	})
	return all, err
}

func fabricKey(i matter.FabricIndex) []byte { return []byte{byte(i)} }

func peerKey(i matter.FabricIndex, peer matter.NodeID) []byte {
	return binary.BigEndian.AppendUint64(fabricKey(i), uint64(peer))
}

func subscriptionKey(i matter.FabricIndex, peer matter.NodeID, id uint32) []byte {
	return binary.BigEndian.AppendUint32(peerKey(i, peer), id)
}

// Fabrics returns all fabrics by ascending index.
func (tx *Tx) Fabrics() ([]Fabric, error) {
	return list(tx, bucketFabrics, func(f *Fabric) []byte { return fabricKey(f.Index) })
}

// PutFabric stores f and replaces the fabric that had its index.
func (tx *Tx) PutFabric(f Fabric) error {
	if err := f.Validate(); err != nil {
		return err
	}
	return tx.put(bucketFabrics, fabricKey(f.Index), f)
}

// DeleteFabric removes the fabric, if it is there, and every record that belongs
// to it.
func (tx *Tx) DeleteFabric(i matter.FabricIndex) error {
	for _, bucket := range [][]byte{bucketFabrics, bucketResumptions, bucketSubscriptions} {
		if err := tx.deletePrefix(bucket, fabricKey(i)); err != nil {
			return err
		}
	}
	return nil
}

// DeleteFabrics removes all fabrics and all records that belong to them.
func (tx *Tx) DeleteFabrics() error {
	for _, bucket := range [][]byte{bucketFabrics, bucketResumptions, bucketSubscriptions} {
		if err := tx.deletePrefix(bucket, nil); err != nil {
			return err
		}
	}
	return nil
}

// known returns ErrNotFound unless the fabric is stored. No record may belong to a
// fabric that is only staged.
func (tx *Tx) known(i matter.FabricIndex) (err error) {
	defer tx.s.guard(&err)
	if tx.b.Bucket(bucketFabrics).Get(fabricKey(i)) == nil {
		return fmt.Errorf("fabric %d: %w", i, ErrNotFound)
	}
	return nil
}

// Node returns the node's own record; ok is false if there is none yet.
func (tx *Tx) Node() (n Node, ok bool, err error) {
	ok, err = tx.get(bucketNode, keyNode, &n)
	return n, ok, err
}

// PutNode stores the node's own record. Use MutateNode to change it.
func (tx *Tx) PutNode(n Node) error {
	if err := n.Validate(); err != nil {
		return err
	}
	return tx.put(bucketNode, keyNode, n)
}

// MutateNode calls f with the node's own record as it is in this transaction, or a
// zero one, and stores the result. If f returns an error, MutateNode returns it and
// stores nothing.
func (tx *Tx) MutateNode(f func(*Node) error) error {
	n, _, err := tx.Node()
	if err != nil {
		return err
	}
	if err := f(&n); err != nil {
		return err
	}
	return tx.PutNode(n)
}

// Attestation returns the attestation material; ok is false if there is none.
func (tx *Tx) Attestation() (a Attestation, ok bool, err error) {
	ok, err = tx.get(bucketNode, keyAttestation, &a)
	return a, ok, err
}

// PutAttestation stores the attestation material.
func (tx *Tx) PutAttestation(a Attestation) error {
	if err := a.Validate(); err != nil {
		return err
	}
	return tx.put(bucketNode, keyAttestation, a)
}

// Resumptions returns all resumption records, by fabric and peer.
func (tx *Tx) Resumptions() ([]Resumption, error) {
	return list(tx, bucketResumptions, func(r *Resumption) []byte { return peerKey(r.Fabric, r.Peer) })
}

// PutResumption stores r and replaces the peer's earlier record. It returns
// ErrNotFound if the fabric is not stored. The caller limits the number of records.
func (tx *Tx) PutResumption(r Resumption) error {
	if err := errors.Join(r.Validate(), tx.known(r.Fabric)); err != nil {
		return err
	}
	return tx.put(bucketResumptions, peerKey(r.Fabric, r.Peer), r)
}

// DeleteResumption removes the peer's record, if there is one.
func (tx *Tx) DeleteResumption(i matter.FabricIndex, peer matter.NodeID) error {
	return tx.delete(bucketResumptions, peerKey(i, peer))
}

// DeleteResumptions removes the records of all peers of the fabric.
func (tx *Tx) DeleteResumptions(i matter.FabricIndex) error {
	return tx.deletePrefix(bucketResumptions, fabricKey(i))
}

// Subscriptions returns all subscriptions, by fabric, peer and id.
func (tx *Tx) Subscriptions() ([]Subscription, error) {
	return list(tx, bucketSubscriptions, func(s *Subscription) []byte { return subscriptionKey(s.Fabric, s.Peer, s.ID) })
}

// PutSubscription stores s. It returns ErrNotFound if the fabric is not stored.
func (tx *Tx) PutSubscription(s Subscription) error {
	if err := errors.Join(s.Validate(), tx.known(s.Fabric)); err != nil {
		return err
	}
	return tx.put(bucketSubscriptions, subscriptionKey(s.Fabric, s.Peer, s.ID), s)
}

// DeleteSubscription removes the subscription, if it is there.
func (tx *Tx) DeleteSubscription(i matter.FabricIndex, peer matter.NodeID, id uint32) error {
	return tx.delete(bucketSubscriptions, subscriptionKey(i, peer, id))
}

// Counter returns the first value of the counter that has never been reserved, 0 for
// a counter that was never used.
func (tx *Tx) Counter(name string) (next uint64, err error) {
	_, err = tx.get(bucketCounters, []byte(name), &next)
	return next, err
}

// RaiseCounter raises the counter to at least atLeast, so that no lower value is
// reserved any more. It never lowers a counter.
func (tx *Tx) RaiseCounter(name string, atLeast uint64) error {
	next, err := tx.Counter(name)
	if err != nil || next >= atLeast {
		return err
	}
	return tx.put(bucketCounters, []byte(name), atLeast)
}

// reserve advances the counter by block and returns its old value.
func (tx *Tx) reserve(name string, block uint64) (first uint64, err error) {
	if name == "" || block == 0 {
		return 0, invalid("reservation of %d values of counter %q", block, name)
	}
	first, err = tx.Counter(name)
	if err != nil {
		return 0, err
	}
	if first > math.MaxUint64-block {
		return 0, invalid("counter %q is used up", name)
	}
	return first, tx.put(bucketCounters, []byte(name), first+block)
}
