package store

import (
	"bytes"
	"encoding/json"
	"fmt"

	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/mcrypto"
	"github.com/opcredsd/opcredsd/pkg/tlv"
)

// This file is frozen. It holds the form of schema 1 and the step to schema 2, and does
// not change with the code of today. See the README in testdata.

// The buckets of schema 1, and keys in "meta".
var (
	meta1    = []byte("meta")
	fabrics1 = []byte("fabrics")
	digestK1 = []byte("digest")

	buckets1 = [][]byte{meta1, []byte("node"), fabrics1, []byte("resumptions"), []byte("subscriptions"), []byte("counters")}
)

// keySet1 is a group key set as schema 1 kept it: with epoch keys.
type keySet1 struct {
	ID     uint16 `json:"id"`
	Policy uint8  `json:"policy"`
	Keys   []struct {
		Key   []byte `json:"key"`
		Start uint64 `json:"start"`
	} `json:"keys"`
}

// keySet2 is one of schema 2, with the operational keys of its fabric.
type keySet2 struct {
	ID     uint16      `json:"id"`
	Policy uint8       `json:"policy"`
	Keys   []groupKey2 `json:"keys"`
}

type groupKey2 struct {
	Key   []byte `json:"operational_key"`
	Start uint64 `json:"start"`
}

// digest1 is the digest of schema 1.
type digest1 struct {
	Records int    `json:"records"`
	Sum     uint32 `json:"sum"` // of the records' checksums, bit by bit
}

// checkDigest1 compares the records with the digest of schema 1.
func checkDigest1(r *raw) error {
	var want, got digest1
	if _, err := r.read(meta1, digestK1, &want); err != nil {
		return err
	}
	for _, bucket := range buckets1 {
		b := r.b.Bucket(bucket)
		switch {
		case b == nil:
			return damaged(r.path, fmt.Sprintf("no bucket %q", bucket))
		case bytes.Equal(bucket, meta1):
			continue
		}
		c := b.Cursor()
		for k, v := c.First(); k != nil; k, v = c.Next() {
			got.Records++
			got.Sum ^= sum(bucket, k, v)
		}
	}
	if got != want {
		return damaged(r.path, fmt.Sprintf("%d records, and not those last written, which are %d", got.Records, want.Records))
	}
	return nil
}

// migrate1 is the step from schema 1 to 2: it replaces the epoch keys of all
// fabrics by the operational keys that follow from them. Nothing else changes.
func migrate1(r *raw) error {
	if err := checkDigest1(r); err != nil {
		return err
	}
	var keys [][]byte // a cursor does not survive changes
	err := r.b.Bucket(fabrics1).ForEach(func(k, _ []byte) error {
		keys = append(keys, bytes.Clone(k))
		return nil
	})
	if err != nil {
		return err
	}
	for _, k := range keys {
		var record map[string]json.RawMessage
		if _, err := r.read(fabrics1, k, &record); err != nil {
			return err
		}
		if record["key_sets"], err = derive2(record); err != nil {
			return damaged(r.path, fmt.Sprintf("fabric %x: %v", k, err))
		}
		if err := r.write(fabrics1, k, record); err != nil {
			return err
		}
	}
	return nil
}

// derive2 returns the key sets of a fabric record of schema 1 as those of schema 2.
func derive2(record map[string]json.RawMessage) (json.RawMessage, error) {
	var root []byte
	var id uint64
	var old []keySet1
	for name, v := range map[string]any{"root": &root, "fabric_id": &id, "key_sets": &old} {
		if err := decode(record[name], v); err != nil {
			return nil, err
		}
	}
	key, err := rootPublicKey(root)
	if err != nil {
		return nil, err
	}
	compressed, err := mcrypto.CompressedFabricID(key, matter.FabricID(id))
	if err != nil {
		return nil, err
	}
	sets := make([]keySet2, len(old))
	for i, s := range old {
		sets[i] = keySet2{ID: s.ID, Policy: s.Policy}
		for _, k := range s.Keys {
			derived, err := mcrypto.OperationalGroupKey(k.Key, compressed)
			if err != nil {
				return nil, err
			}
			sets[i].Keys = append(sets[i].Keys, groupKey2{derived[:], k.Start})
		}
	}
	return json.Marshal(sets)
}

// rootPublicKey returns the public key in a certificate in Matter TLV (section
// 6.5.2).
func rootPublicKey(certificate []byte) (key []byte, err error) {
	const ecPublicKey = 9
	r := tlv.NewReader(certificate)
	for r.EnterStruct(); r.Next(); {
		if r.ContextTag() == ecPublicKey {
			key = r.Octets()
		}
	}
	if err := r.End(); err != nil {
		return nil, fmt.Errorf("root certificate: %w", err)
	}
	return key, nil
}
