package fabric

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"reflect"
	"slices"

	"github.com/opcredsd/opcredsd/pkg/cert"
	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/mcrypto"
	"github.com/opcredsd/opcredsd/pkg/store"
)

// Fabric is one entry of the table with values derived from it. It is read only.
type Fabric struct {
	store.Fabric

	RootPublicKey  [mcrypto.PublicKeySize]byte
	CompressedID   [8]byte                 // octets in the order of the DNS-SD name
	IPKs           [][mcrypto.KeySize]byte // operational keys of key set 0, newest first
	OperationalKey *mcrypto.PrivateKey
	RootCert       *cert.Certificate
	NOCCert        *cert.Certificate
	ICACCert       *cert.Certificate // nil if the chain has none
	Pending        bool              // staged, in whole or in part
	Provisional    bool              // staged in whole: removed if the fail-safe expires

	destinations []destination // one for each of IPKs
}

// sameIdentity reports whether the values derived from two records are the same, except
// for those derived from key sets.
func sameIdentity(a, b *store.Fabric) bool {
	return a.FabricID == b.FabricID && a.NodeID == b.NodeID && bytes.Equal(a.Root, b.Root) &&
		bytes.Equal(a.NOC, b.NOC) && bytes.Equal(a.ICAC, b.ICAC) && bytes.Equal(a.Key, b.Key)
}

// derive makes the entry for a record and keeps the record. It reuses the derived values
// of old, which may be nil, so that only AddNOC and UpdateNOC parse keys and
// certificates.
func derive(r store.Fabric, old *Fabric) (*Fabric, error) {
	if err := r.Validate(); err != nil {
		return nil, err
	}
	f := &Fabric{Fabric: r}
	if old != nil && sameIdentity(&r, &old.Fabric) {
		f.RootPublicKey, f.CompressedID, f.OperationalKey = old.RootPublicKey, old.CompressedID, old.OperationalKey
		f.RootCert, f.NOCCert, f.ICACCert = old.RootCert, old.NOCCert, old.ICACCert
		if reflect.DeepEqual(r.KeySets, old.KeySets) {
			f.IPKs, f.destinations = old.IPKs, old.destinations
			return f, nil
		}
	} else if err := f.parse(); err != nil {
		return nil, err
	}
	f.takeIPKs()
	return f, nil
}

// parse parses the certificates and the key and compares them with the record.
func (f *Fabric) parse() (err error) {
	if f.RootCert, err = cert.Parse(f.Root); err != nil {
		return fmt.Errorf("root certificate: %w", err)
	}
	if f.NOCCert, err = cert.Parse(f.NOC); err != nil {
		return fmt.Errorf("NOC: %w", err)
	}
	if len(f.ICAC) > 0 {
		if f.ICACCert, err = cert.Parse(f.ICAC); err != nil {
			return fmt.Errorf("ICAC: %w", err)
		}
	}
	if f.OperationalKey, err = mcrypto.ParsePrivateKey(f.Key); err != nil {
		return fmt.Errorf("operational key: %w", err)
	}
	switch {
	case f.NOCCert.FabricID() != f.FabricID:
		return fmt.Errorf("the NOC is for fabric id %v, not %v", f.NOCCert.FabricID(), f.FabricID)
	case f.NOCCert.NodeID() != f.NodeID:
		return fmt.Errorf("the NOC is for node id %v, not %v", f.NOCCert.NodeID(), f.NodeID)
	case f.NOCCert.PublicKey != f.OperationalKey.Public():
		return errors.New("the NOC is for another key")
	}
	f.RootPublicKey = f.RootCert.PublicKey
	f.CompressedID, err = mcrypto.CompressedFabricID(f.RootPublicKey[:], f.FabricID)
	return err
}

func (f *Fabric) takeIPKs() {
	i := slices.IndexFunc(f.KeySets, func(s store.GroupKeySet) bool { return s.ID == 0 })
	keys := slices.Clone(f.KeySets[i].Keys) // Validate has checked that it exists
	slices.SortFunc(keys, func(a, b store.GroupKey) int { return cmp.Compare(b.Start, a.Start) })
	for _, k := range keys {
		f.IPKs = append(f.IPKs, [mcrypto.KeySize]byte(k.Key))
		f.destinations = append(f.destinations, newDestination(k.Key, f.RootPublicKey[:], f.FabricID, f.NodeID))
	}
}

// GroupKey returns the operational key that is derived from an epoch key of 16 octets for
// the fabric with this compressed id. start is the start of the epoch, in microseconds
// since the Matter epoch.
func GroupKey(compressed [8]byte, epochKey []byte, start uint64) (store.GroupKey, error) {
	key, err := mcrypto.OperationalGroupKey(epochKey, compressed)
	return store.GroupKey{Key: key[:], Start: start}, err
}

// Check checks the certificates of all fabrics of a store: that they can be parsed, form a
// chain and fit the fabric's key and identity, and that no fabric is stored twice. It does
// not check the rules for new certificates, as they may have become stricter. The error
// joins all findings; each wraps store.ErrDamaged.
func Check(st *store.Store) error {
	records, err := read(st)
	if err != nil {
		return err
	}
	var found []error
	var seen []*Fabric
	for _, r := range records {
		f, err := derive(r, nil)
		if err == nil {
			err = cert.CheckStored(f.NOCCert, f.ICACCert, f.RootCert)
		}
		if err == nil {
			err = unique(seen, f)
			seen = append(seen, f)
		}
		if err != nil {
			found = append(found, damaged(st, r.Index, err))
		}
	}
	return errors.Join(found...)
}

func read(st *store.Store) (records []store.Fabric, err error) {
	err = st.View(func(tx *store.Tx) error {
		records, err = tx.Fabrics()
		return err
	})
	return records, err
}

// unique returns ErrConflict if all has the fabric f under another index.
func unique(all []*Fabric, f *Fabric) error {
	for _, other := range all {
		if other.Index != f.Index && other.FabricID == f.FabricID && other.RootPublicKey == f.RootPublicKey {
			return fmt.Errorf("%w, as fabric %d", ErrConflict, other.Index)
		}
	}
	return nil
}

func damaged(st *store.Store, i matter.FabricIndex, err error) error {
	return fmt.Errorf("fabric %d in %s is %w (%w): bring a backup back with \"opcredsd store restore FILE\"", i, st.Path(), store.ErrDamaged, err)
}
