package store

import (
	"errors"
	"fmt"
)

// SchemaVersion is the version that this code reads and writes. Every change of
// what the records hold is a new one; testdata/README.md says what belongs to it.
const SchemaVersion = 3

// digestSince is the schema that has brought the digest of today, which names its
// transaction.
const digestSince = 2

// The buckets of this schema, and their keys.
var (
	bucketMeta          = []byte("meta")          // keySchema, keyDigest
	bucketNode          = []byte("node")          // keyNode, keyAttestation, keyComposition, keyNextEndpoint
	bucketFabrics       = []byte("fabrics")       // fabric index, one octet
	bucketResumptions   = []byte("resumptions")   // fabric index, peer
	bucketSubscriptions = []byte("subscriptions") // fabric index, peer, subscription id
	bucketCounters      = []byte("counters")      // name
	bucketDevices       = []byte("devices")       // id of a bridged device
	bucketEndpoints     = []byte("endpoints")     // endpoint number, two octets

	keySchema       = []byte("schema")
	keyDigest       = []byte("digest")
	keyNode         = []byte("node")
	keyAttestation  = []byte("attestation")
	keyComposition  = []byte("composition")
	keyNextEndpoint = []byte("next-endpoint")
)

var buckets = [][]byte{
	bucketMeta, bucketNode, bucketFabrics, bucketResumptions, bucketSubscriptions, bucketCounters,
	bucketDevices, bucketEndpoints,
}

// A migration brings a store from the version of its place in the list to the
// next. Once released it never changes, and it uses nothing that can change.
type migration func(*raw) error

var migrations = []migration{1: migrate1, 2: migrate2}

// initialise makes an empty store.
func (tx *Tx) initialise() (err error) {
	defer tx.s.guard(&err)
	for _, name := range buckets {
		if _, err := tx.b.CreateBucketIfNotExists(name); err != nil {
			return err
		}
	}
	tx.digest = new(digest)
	return tx.write(bucketMeta, keySchema, SchemaVersion)
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
		if err := steps[v](&tx.raw); errors.Is(err, ErrDamaged) || errors.Is(err, ErrNewer) {
			return err
		} else if err != nil {
			return fmt.Errorf("migrate %s from schema %d to %d: %w", tx.path, v, v+1, err)
		}
	}
	d, err := tx.sumUp()
	if err != nil {
		return err
	}
	tx.digest = &d
	return tx.write(bucketMeta, keySchema, len(steps))
}
