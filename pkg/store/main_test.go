package store

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/opcredsd/opcredsd/pkg/matter"
)

// The test binary runs itself if a test needs a second process.
const roleVariable = "OPCREDSD_STORE_TEST_ROLE"

var roles = map[string]func(args []string) error{
	"hold": func(args []string) error {
		s, err := Open(args[0], Options{})
		if err != nil {
			return err
		}
		fmt.Println("held")
		io.Copy(io.Discard, os.Stdin) // until the parent closes the pipe
		return s.Close()
	},
	"create":   roleCreate,
	"diskfull": roleDiskFull,
}

func TestMain(m *testing.M) {
	if role := roles[os.Getenv(roleVariable)]; role != nil {
		if err := role(os.Args[1:]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// command returns the test binary as a command in another role.
func command(t *testing.T, role string, args ...string) *exec.Cmd {
	t.Helper()
	c := exec.Command(os.Args[0], args...)
	c.Env = append(os.Environ(), roleVariable+"="+role)
	return c
}

func ptr[T any](v T) *T { return &v }

// sampleFabric returns a fabric with all members set, to values that depend on the
// index.
func sampleFabric(i matter.FabricIndex) Fabric {
	fill := func(n int, b byte) []byte { return bytes.Repeat([]byte{b ^ byte(i)}, n) }
	return Fabric{
		Index: i, FabricID: 0xFAB0_0000_0000_0000 + matter.FabricID(i), NodeID: 0x1000 + matter.NodeID(i), VendorID: 0xFFF1,
		Label: fmt.Sprintf("fabric %d é", i), Added: 815000000 + uint32(i),
		Root: fill(230, 1), NOC: fill(250, 2), ICAC: fill(220, 3), Key: fill(32, 4),
		VIDVerificationStatement: fill(85, 5),
		ACL: []ACLEntry{
			{Privilege: matter.PrivilegeAdminister, AuthMode: matter.AuthModeCASE, Subjects: []matter.NodeID{112233, 0xFFFF_FFFD_0001_0001}},
			{Privilege: matter.PrivilegeOperate, AuthMode: matter.AuthModeGroup, Targets: []ACLTarget{
				{Cluster: ptr(matter.ClusterID(6)), Endpoint: ptr(matter.EndpointID(1))}, {DeviceType: ptr(matter.DeviceTypeID(0x100))}}},
		},
		Extension:   fill(10, 6),
		KeySets:     []GroupKeySet{{ID: 0, Keys: []GroupKey{{Key: fill(16, 7)}}}, {ID: 42, Policy: 1, Keys: []GroupKey{{Key: fill(16, 8), Start: 1}, {Key: fill(16, 9), Start: 1<<63 + 1}}}},
		GroupKeyMap: []GroupKeyMapping{{Group: 1, KeySet: 42}},
		Groups:      []Group{{ID: 1, Name: "lights", Endpoints: []matter.EndpointID{1, 2}}},
	}
}

func sampleResumption(i matter.FabricIndex, peer matter.NodeID) Resumption {
	return Resumption{Fabric: i, Peer: peer, ID: bytes.Repeat([]byte{byte(peer)}, 16), SharedSecret: bytes.Repeat([]byte{byte(i)}, 32), CATs: []matter.CAT{0x10001}}
}

func sampleSubscription(i matter.FabricIndex, peer matter.NodeID, id uint32) Subscription {
	return Subscription{Fabric: i, Peer: peer, ID: id, MinInterval: 1, MaxInterval: 3600, FabricFiltered: true,
		Attributes: []AttributePath{{}, {Endpoint: ptr(matter.EndpointID(0)), Cluster: ptr(matter.ClusterID(0x3E)), Attribute: ptr(matter.AttributeID(1)), Flags: 3}},
		Events:     []EventPath{{Cluster: ptr(matter.ClusterID(0x1F)), Urgent: true}}}
}

func sampleNode() Node {
	return Node{Passcode: 20212223, Salt: bytes.Repeat([]byte{1}, 32), Iterations: 10000, Verifier: bytes.Repeat([]byte{2}, 97), Discriminator: 0xF00,
		UniqueID: "0123456789abcdef", Location: "XX", NextFabricIndex: 3, LastKnownGoodTime: 815000000, RebootCount: 7}
}

func sampleAttestation() Attestation {
	return Attestation{DAC: []byte{1}, PAI: []byte{2}, CD: []byte{3}, Key: bytes.Repeat([]byte{4}, 32), VendorID: 0xFFF1, ProductID: 0x8001, Test: true}
}

// sampleDevice returns a device; the record of the first is larger than a page.
func sampleDevice(i int) (id string, value []byte) {
	n := 20
	if i == 0 {
		n = 1100
	}
	return fmt.Sprintf("z2m:0x00124b%08x", i), bytes.Repeat([]byte{byte(i), 0, '"', 0xFF}, n)
}

// newStore opens a new store in its own directory. At the end of the test it is
// checked and closed.
func newStore(t testing.TB) *Store {
	t.Helper()
	s := open(t, filepath.Join(t.TempDir(), FileName))
	t.Cleanup(func() {
		if err := s.Check(); err != nil && s.failure() == nil {
			t.Errorf("store does not pass its check after the test: %v", err)
		}
		s.Close()
	})
	return s
}

func open(t testing.TB, path string) *Store {
	t.Helper()
	s, err := Open(path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func update(t testing.TB, s *Store, f func(tx *Tx) error) {
	t.Helper()
	if err := s.Update(f); err != nil {
		t.Fatal(err)
	}
}

// fillStore stores records of every kind, in several transactions.
func fillStore(t testing.TB, s *Store, fabrics int) {
	t.Helper()
	update(t, s, func(tx *Tx) error {
		if err := tx.PutNode(sampleNode()); err != nil {
			return err
		}
		return tx.PutAttestation(sampleAttestation())
	})
	for i := matter.FabricIndex(1); int(i) <= fabrics; i++ {
		update(t, s, func(tx *Tx) error {
			if err := tx.PutFabric(sampleFabric(i)); err != nil {
				return err
			}
			for peer := matter.NodeID(1); peer <= 3; peer++ {
				if err := tx.PutResumption(sampleResumption(i, peer)); err != nil {
					return err
				}
				if err := tx.PutSubscription(sampleSubscription(i, peer, 77)); err != nil {
					return err
				}
			}
			return nil
		})
	}
	update(t, s, func(tx *Tx) error {
		for i := range fabrics + 1 {
			id, value := sampleDevice(i)
			if err := errors.Join(tx.PutDevice(id, value), tx.PutEndpoint(matter.EndpointID(i), value[:4])); err != nil {
				return err
			}
		}
		return tx.PutComposition(Composition{Version: uint32(fabrics) + 1, Digest: bytes.Repeat([]byte{5}, 32)})
	})
	if _, err := s.Reserve("events", 1000); err != nil {
		t.Fatal(err)
	}
}

// contentOf reads all records.
func contentOf(t testing.TB, s *Store) content {
	t.Helper()
	var c content
	if err := s.View(func(tx *Tx) (err error) {
		c, err = tx.load()
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return c
}

// backupOf returns a compact copy of the file.
func backupOf(t testing.TB, s *Store) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := s.Backup(&b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}
