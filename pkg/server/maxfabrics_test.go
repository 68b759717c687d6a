package server_test

import (
	"crypto/rand"
	"errors"
	"testing"
	"testing/synctest"

	"github.com/opcredsd/opcredsd/internal/commissioner"
	"github.com/opcredsd/opcredsd/pkg/cert"
	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/mcrypto"
	"github.com/opcredsd/opcredsd/pkg/server"
	"github.com/opcredsd/opcredsd/pkg/store"
)

// fill stores fabrics 1 to n, as commissioning does.
func fill(t *testing.T, dir string, n int) {
	t.Helper()
	key := func() *mcrypto.PrivateKey {
		k, err := mcrypto.GenerateKey(rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	root, err := cert.NewRoot(rand.Reader, key(), 1, 0, cert.Validity{NotBefore: 1})
	if err != nil {
		t.Fatal(err)
	}
	st, err := store.Open(dir+"/"+store.FileName, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	err = st.Update(func(tx *store.Tx) error {
		for i := 1; i <= n; i++ {
			k := key()
			noc, err := root.IssueNOC(k.Public(), 1, matter.FabricID(i))
			if err != nil {
				return err
			}
			err = tx.PutFabric(store.Fabric{
				Index: matter.FabricIndex(i), FabricID: matter.FabricID(i), NodeID: 1, VendorID: 0xFFF1,
				Root: root.Certificate.Raw(), NOC: noc.Raw(), Key: k.Scalar(),
				ACL:     []store.ACLEntry{{Privilege: matter.PrivilegeAdminister, AuthMode: matter.AuthModeCASE, Subjects: []matter.NodeID{1}}},
				KeySets: []store.GroupKeySet{{Keys: []store.GroupKey{{Key: make([]byte, 16)}}}},
			})
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// A node with one free place for a fabric accepts one more and refuses the next,
// and serves all it has.
func TestMostFabrics(t *testing.T) {
	const max = 254
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, dir)
		r.start()
		c, a := r.client(), r.authority(commissioner.AuthorityOptions{})
		done := r.commission(c, a)
		r.stop()
		// Index 254 stays free, wherever the search for an index begins.
		st, err := store.Open(dir+"/"+store.FileName, store.Options{})
		r.must(err)
		var first store.Fabric
		r.must(st.Update(func(tx *store.Tx) error {
			list, err := tx.Fabrics()
			first = list[0]
			return err
		}))
		r.must(st.Close())
		fill(t, dir, max-1)
		st, err = store.Open(dir+"/"+store.FileName, store.Options{})
		r.must(err)
		r.must(st.Update(func(tx *store.Tx) error { return tx.PutFabric(first) }))
		r.must(st.Close())

		r.opt.MaxFabrics = max
		r.start()
		defer r.finish()
		s := r.session(c, a, done.Node)
		if n, m := r.number(s, clOpCreds, 3), r.number(s, clOpCreds, 2); n != max-1 || m != max {
			t.Fatalf("%d of %d fabrics", n, m)
		}
		last := r.join(c, s, r.authority(commissioner.AuthorityOptions{}))
		if last.Fabric != max {
			t.Errorf("the last fabric is %d", last.Fabric)
		}
		if n := len(r.announced.of("_matter._tcp")); n != max {
			t.Errorf("%d announced", n)
		}
		if list, nocs := r.fabrics(last.CASE, false), r.nocs(last.CASE, false); len(list) != max || len(nocs) != max {
			t.Errorf("%d fabrics and %d NOCs in chunks", len(list), len(nocs))
		}
		x := r.authority(commissioner.AuthorityOptions{})
		r.must(last.CASE.ArmFailSafe(r.ctx, 60, 0))
		n := fields(x, r.noc(x, r.csr(last.CASE, false)))
		r.must(last.CASE.AddRoot(r.ctx, x.Root()))
		r.want("one more", r.addNOC(last.CASE, n), tableFull)
		r.want("RemoveFabric", r.creds(last.CASE, cmdRemove, 0, 100), ok)
		_, err = last.CASE.AddNOC(r.ctx, n)
		r.must(err)
		r.must(r.session(c, x, noc(t, n.NOC).NodeID()).CommissioningComplete(r.ctx))
	})
}

func TestMaxFabricsBounds(t *testing.T) {
	for max, good := range map[int]bool{4: false, 5: true, 254: true, 255: false, -1: false} {
		err := server.Options{StateDir: "x", MaxFabrics: max}.Check()
		var usage *server.UsageError
		if good != (err == nil) || !good && !errors.As(err, &usage) {
			t.Errorf("%d: %v", max, err)
		}
	}
}
