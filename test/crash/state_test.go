//go:build crash

package crash

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"

	"github.com/opcredsd/opcredsd/pkg/fabric"
	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/provision"
	"github.com/opcredsd/opcredsd/pkg/store"
)

// state is what must change atomically.
type state struct {
	schema   int                // 0 before a first start, even if there is a file
	codes    string             // QR code payload; none before a first start
	material string             // digest of the attestation material; empty in an expected state: unknown
	label    string             // of the node
	next     matter.FabricIndex // index of the next fabric
	fabrics  []store.Fabric
	bridge   bridge
	bridged  bool // the bridge shows its devices
}

// bridge is the stored state of a bridge.
type bridge struct {
	devices     map[string]string
	endpoints   map[matter.EndpointID]string // by endpoint: attributes
	next        matter.EndpointID            // number of the next endpoint
	composition uint32                       // configuration version
}

// noDevices returns the state of a bridge without devices.
func noDevices() bridge {
	return bridge{devices: map[string]string{}, endpoints: map[matter.EndpointID]string{}, next: 1}
}

// read reads the state from the store.
func (b *bridge) read(tx *store.Tx) error {
	err := tx.Devices(func(id string, value []byte) error { b.devices[id] = canonical(value); return nil })
	if err != nil {
		return err
	}
	err = tx.Endpoints(func(n matter.EndpointID, value []byte) error { b.endpoints[n] = string(value); return nil })
	if err != nil {
		return err
	}
	if b.next, err = tx.NextEndpoint(); err != nil {
		return err
	}
	c, err := tx.Composition()
	b.composition = c.Version
	return err
}

// anyCodes in an expected state stands for unknown codes.
const anyCodes = "*"

// anyLabel stands for the label of a node that has just lost its last fabric. The
// node deletes it afterwards, by the next start at the latest.
const anyLabel = "*"

// readState opens a store, checks all of it, and returns its state. An empty
// directory is the state before a first start.
func readState(dir string, opt store.Options) (s state, err error) {
	return readFile(filepath.Join(dir, store.FileName), opt)
}

func readFile(name string, opt store.Options) (s state, err error) {
	s.bridge = noDevices()
	st, err := store.Open(name, opt)
	if opt.ReadOnly && errors.Is(err, fs.ErrNotExist) {
		return s, nil
	}
	if err != nil {
		return state{}, err
	}
	defer func() { err = errors.Join(err, st.Close()) }()
	if err := errors.Join(st.Check(), fabric.Check(st)); err != nil {
		return state{}, fmt.Errorf("store check: %w", err)
	}
	err = st.View(func(tx *store.Tx) error {
		if s.fabrics, err = tx.Fabrics(); err != nil {
			return err
		}
		n, ok, err := tx.Node()
		if err != nil || !ok {
			return err
		}
		s.schema = st.Schema()
		a, have, err := tx.Attestation()
		if err != nil {
			return err
		}
		if !have {
			return errors.New("a node record without attestation material")
		}
		s.material = digest(&a)
		p, err := provision.Codes(&n, a.VendorID, a.ProductID)
		s.codes, s.label, s.next = p.QR(), n.NodeLabel, n.NextFabricIndex
		return errors.Join(err, s.bridge.read(tx))
	})
	return s, err
}

func digest(a *store.Attestation) string {
	sum := sha256.Sum256(bytes.Join([][]byte{a.DAC, a.PAI, a.CD, a.Key}, nil))
	return hex.EncodeToString(sum[:])
}

// is returns how s differs from the expected state, or nil. The key of an expected
// fabric may be unknown; the check includes that it matches the NOC.
func (s *state) is(want *state) error {
	switch {
	case s.schema != want.schema:
		return fmt.Errorf("schema %d in place of %d", s.schema, want.schema)
	case s.material != want.material && want.material != "":
		return errors.New("other attestation material")
	case s.codes != want.codes && (s.codes == "" || want.codes != anyCodes):
		return fmt.Errorf("pairing codes %q in place of %q", s.codes, want.codes)
	case s.label != want.label && want.label != anyLabel:
		return fmt.Errorf("node label %q in place of %q", s.label, want.label)
	case s.next != want.next:
		return fmt.Errorf("next fabric index %d in place of %d", s.next, want.next)
	case len(s.fabrics) != len(want.fabrics):
		return fmt.Errorf("%d fabrics in place of %d", len(s.fabrics), len(want.fabrics))
	}
	if err := s.bridge.is(&want.bridge, want.bridged); err != nil {
		return fmt.Errorf("records of the bridge: %w", err)
	}
	for i := range want.fabrics {
		if err := sameFabric(s.fabrics[i], want.fabrics[i]); err != nil {
			return err
		}
	}
	return nil
}

// anyDate is the date of a fabric that was added in the test.
const anyDate = 1

// sameFabric returns an error that names the difference.
func sameFabric(got, want store.Fabric) error {
	if want.Key == nil {
		got.Key = nil
	}
	if want.Added == anyDate && got.Added != 0 {
		got.Added = anyDate
	}
	var members [2]map[string]json.RawMessage
	for i, f := range []store.Fabric{got, want} {
		text, err := json.Marshal(f)
		if err == nil {
			err = json.Unmarshal(text, &members[i])
		}
		if err != nil {
			return err
		}
	}
	for _, name := range slices.Sorted(maps.Keys(members[1])) {
		if a, b := members[0][name], members[1][name]; !bytes.Equal(a, b) {
			return fmt.Errorf("fabric %d: %s is %.80s in place of %.80s", want.Index, name, a, b)
		}
	}
	if len(members[0]) != len(members[1]) {
		return fmt.Errorf("fabric %d has %d members in place of %d", want.Index, len(members[0]), len(members[1]))
	}
	return nil
}

// clone returns a copy that may be changed.
func (s *state) clone() state {
	c := *s
	c.fabrics = nil
	for _, f := range s.fabrics {
		c.fabrics = append(c.fabrics, f.Clone())
	}
	return c
}

// outcome is the state that was found.
type outcome uint8

const (
	before outcome = iota
	after
)

// promise is how far a scenario has come, which determines the allowed states.
type promise struct {
	begun    bool // the last step has begun: the new state is allowed
	answered bool // it was answered: the new state is required
}

// judge returns which of the states of an attempt s is, or an error if that is not
// allowed.
func (a *attempt) judge(s *state, p promise) (outcome, error) {
	want := a.base.state
	if a.s.changes() {
		want = a.s.after(a)
	}
	notAfter, notBefore := s.is(&want), s.is(&a.base.state)
	switch {
	case notAfter == nil && notBefore == nil:
		return after, nil
	case notAfter == nil && !p.begun:
		return after, errors.New("the state after, though the last step was yet to come")
	case notAfter == nil:
		return after, nil
	case notBefore != nil:
		return before, fmt.Errorf("neither the state before (%w) nor the one after (%w)", notBefore, notAfter)
	case p.answered:
		return before, fmt.Errorf("the state before, though the command was answered (%w)", notAfter)
	}
	return before, nil
}
