package store

import (
	"errors"
	"fmt"
)

// SchemaVersion is the version that this code reads and writes.
const SchemaVersion = 2

// The buckets, which are those of schema 1, and their keys.
var (
	bucketMeta          = []byte("meta")          // keySchema, keyDigest
	bucketNode          = []byte("node")          // keyNode, keyAttestation
	bucketFabrics       = []byte("fabrics")       // fabric index, one octet
	bucketResumptions   = []byte("resumptions")   // fabric index, peer
	bucketSubscriptions = []byte("subscriptions") // fabric index, peer, subscription id
	bucketCounters      = []byte("counters")      // name

	keySchema      = []byte("schema")
	keyDigest      = []byte("digest")
	keyNode        = []byte("node")
	keyAttestation = []byte("attestation")
)

var buckets = [][]byte{bucketMeta, bucketNode, bucketFabrics, bucketResumptions, bucketSubscriptions, bucketCounters}

// A migration brings a store from the version of its place in the list to the
// next. What has been released is never changed: a new schema appends one.
type migration func(*Tx) error

var migrations = []migration{
	0: func(tx *Tx) error {
		for _, name := range buckets {
			if _, err := tx.b.CreateBucketIfNotExists(name); err != nil {
				return err
			}
		}
		return tx.put(bucketMeta, keyDigest, digest1{})
	},
	1: deriveGroupKeys,
}

// schemaVersion returns the version that the file was written with; 0 if it has
// none, as a new one.
func (tx *Tx) schemaVersion() (version int, err error) {
	defer tx.s.guard(&err)
	b := tx.b.Bucket(bucketMeta)
	if b == nil {
		return 0, nil
	}
	value := b.Get(keySchema)
	if value == nil {
		return 0, nil
	}
	if err := unseal(bucketMeta, keySchema, value, &version); err != nil {
		return 0, damaged(tx.s.path, "schema version: "+err.Error())
	}
	if version < 1 {
		return 0, damaged(tx.s.path, fmt.Sprintf("schema version %d", version))
	}
	return version, nil
}

// migrate runs the steps from the given version on. It belongs into one
// transaction: a kill leaves the old version whole.
func (tx *Tx) migrate(from int, steps []migration) (err error) {
	defer tx.s.guard(&err)
	for v := from; v < len(steps); v++ {
		if err := steps[v](tx); errors.Is(err, ErrDamaged) {
			return err
		} else if err != nil {
			return fmt.Errorf("migrate %s from schema %d to %d: %w", tx.s.path, v, v+1, err)
		}
	}
	return tx.put(bucketMeta, keySchema, len(steps))
}
