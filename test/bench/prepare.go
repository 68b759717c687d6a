package main

import (
	"crypto/rand"
	"fmt"
	"path/filepath"

	"github.com/opcredsd/opcredsd/internal/commissioner"
	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/mcrypto"
	"github.com/opcredsd/opcredsd/pkg/store"
)

// fill adds fabrics to the store of a stopped daemon until it has n. It returns the
// administrator of the last one and the node's id on it.
func fill(state string, n int) (last *commissioner.Authority, node matter.NodeID, err error) {
	st, err := store.Open(filepath.Join(state, store.FileName), store.Options{})
	if err != nil {
		return nil, 0, err
	}
	defer st.Close()
	err = st.Update(func(tx *store.Tx) error {
		have, err := tx.Fabrics()
		if err != nil {
			return err
		}
		for i := len(have) + 1; i <= n; i++ {
			var f store.Fabric
			if f, last, err = newFabric(matter.FabricIndex(i)); err != nil {
				return err
			}
			node = f.NodeID
			if err := tx.PutFabric(f); err != nil {
				return fmt.Errorf("fabric %d: %w", i, err)
			}
		}
		return nil
	})
	return last, node, err
}

// newFabric returns a fabric as a commissioning stores it.
func newFabric(i matter.FabricIndex) (f store.Fabric, a *commissioner.Authority, err error) {
	if a, err = commissioner.NewAuthority(commissioner.AuthorityOptions{}); err != nil {
		return f, nil, err
	}
	key, err := mcrypto.GenerateKey(rand.Reader)
	if err != nil {
		return f, nil, err
	}
	node := commissioner.RandomNodeID()
	noc, err := a.IssueNOC(key.Public(), node)
	if err != nil {
		return f, nil, err
	}
	return store.Fabric{
		Index: i, FabricID: a.FabricID, NodeID: node, VendorID: a.VendorID, Label: fmt.Sprintf("fabric %d", i),
		Root: a.Root(), NOC: noc.Raw(), Key: key.Scalar(),
		ACL: []store.ACLEntry{{
			Privilege: matter.PrivilegeAdminister, AuthMode: matter.AuthModeCASE, Subjects: []matter.NodeID{a.NodeID},
		}},
		KeySets: []store.GroupKeySet{{Keys: []store.GroupKey{{Key: a.IPK()}}}},
	}, a, nil
}
