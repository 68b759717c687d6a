package store

import (
	"errors"
	"fmt"
)

// SchemaVersion is the version that this code reads and writes. Every change to the
// content of records needs a new one; testdata/README.md says how to make it.
const SchemaVersion = 4

// digestSince is the schema that introduced the present digest, which contains the
// number of its transaction.
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

// A migration migrates a store from the version that is its index in the list to the
// next. Once released it never changes, nor does anything that it uses.
type migration func(*raw) error

var migrations = []migration{1: migrate1, 2: migrate2, 3: migrate3}

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

// schemaVersion returns the schema version of the file, 0 if it has none.
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

// migrate runs the steps from the given version on, in the caller's transaction.
func (tx *Tx) migrate(from int, steps []migration) (err error) {
	defer tx.s.guard(&err)
	for v := from; v < len(steps); v++ {
		if err := steps[v](&tx.raw); errors.Is(err, ErrDamaged) || errors.Is(err, ErrNewer) {
			return err
		} else if err != nil {
			return fmt.Errorf("migrate %s from schema %d to %d: %w", tx.path, v, v+1, err)
		}
	}
	d, err := tx.computeDigest()
	if err != nil {
		return err
	}
	tx.digest = &d
	return tx.write(bucketMeta, keySchema, len(steps))
}
