//go:build crash

package crash

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"sync"

	"github.com/opcredsd/opcredsd/internal/commissioner"
	"github.com/opcredsd/opcredsd/pkg/admin"
	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/mcrypto"
	"github.com/opcredsd/opcredsd/pkg/store"
	"github.com/opcredsd/opcredsd/pkg/tlv"
	"golang.org/x/sys/unix"
)

// scenario is an operation that must be atomic.
type scenario struct {
	name    string
	fabrics int                                   // of the base
	prepare func(b *base) error                   // further changes to the base of the stopped node; or nil
	process string                                // the command under test; empty: run
	open    func(context.Context, *attempt) error // before calls are counted
	steps   []step                                // while calls are counted
	after   func(*attempt) state                  // what the answer to the last step promises
	keeps   string                                // file that then contains the previous state; or empty
	says    string                                // logged if the new state exists although the step may still fail; or empty

	// fromStart counts the calls from the start of the process. open does not fail
	// then if the process ends. answered, if set, reports from the output whether
	// the process has confirmed the operation.
	fromStart bool
	bridged   bool // the daemon bridges devices of the base
	long      bool // not in the short form
	answered  func(*attempt) bool

	once sync.Once
	made *base
	err  error
}

// step is one request to the node. It can be repeated after a failure.
type step struct {
	name string
	do   func(context.Context, *attempt) error
}

func (s *scenario) command(a *attempt) string {
	switch s.process {
	case "":
		return "run"
	case restoreCommand:
		return s.process + " " + a.base.backup
	case importCommand:
		return s.process + " " + a.base.importFlags()
	}
	return s.process
}

// changes reports whether the states before and after differ.
func (s *scenario) changes() bool { return s.after != nil }

const (
	restoreCommand = "store restore"
	importCommand  = "attestation import"
)

// scenarios are the scenarios under test. To add one, add an element: its base, its
// steps, and the state after them.
var scenarios = []*scenario{
	{
		name: "first start", fromStart: true,
		steps: []step{{"start", serves}}, answered: hasPrinted, after: afterFirstStart,
	},
	{
		name: "first start, after one cut off", prepare: cutOffFirstStart, fromStart: true,
		steps: []step{{"start", serves}}, answered: hasPrinted, after: afterFirstStart,
	},
	{
		name: "start", fabrics: 2, fromStart: true,
		steps: []step{{"start", serves}},
	},
	{
		name: "upgrade from schema 1", prepare: placeOld(1), fromStart: true,
		steps: []step{{"start", serves}}, answered: hasPrinted, after: afterUpgrade,
		keeps: "opcredsd.db.schema1", says: "upgraded the database",
	},
	{
		name: "upgrade from schema 2", prepare: placeOld(2), fromStart: true,
		steps: []step{{"start", serves}}, answered: hasPrinted, after: afterUpgrade,
		keeps: "opcredsd.db.schema2", says: "upgraded the database",
	},
	{
		name: "upgrade from schema 3", prepare: placeOld(3), fromStart: true,
		steps: []step{{"start", serves}}, answered: hasPrinted, after: afterUpgrade,
		keeps: "opcredsd.db.schema3", says: "upgraded the database",
	},
	{
		name: "upgrade by a restore", fabrics: 1, prepare: backUpSchema1, process: restoreCommand, fromStart: true,
		steps: []step{{"restore", exits}}, answered: hasPrinted,
		after: afterRestore,
		keeps: "opcredsd.db.before-restore",
	},
	{
		name: "stop", fabrics: 2, open: enter,
		steps: []step{{"stop", stops}},
	},
	{
		name:  "AddNOC, first fabric",
		steps: commission, after: afterAddNOC,
	},
	{
		name: "AddNOC, second fabric", fabrics: 1,
		open: enterAndOpen, steps: commission, after: afterAddNOC,
	},
	{
		name: "AddNOC, sixteenth fabric", fabrics: 15,
		open: enterAndOpen, steps: commission, after: afterAddNOC,
	},
	{
		name: "UpdateNOC", fabrics: 2, open: enter,
		steps: updateNOC, after: afterUpdateNOC,
	},
	{
		name: "RemoveFabric, own", fabrics: 2, open: enter,
		steps: []step{removeFabric(0)}, after: without(0),
	},
	{
		name: "RemoveFabric, other", fabrics: 2, open: enter,
		steps: []step{removeFabric(1)}, after: without(1),
	},
	{
		name: "RemoveFabric, one of sixteen", fabrics: 16, open: enter,
		steps: []step{removeFabric(9)}, after: without(9),
	},
	{
		name: "RemoveFabric, last", fabrics: 1, open: enter,
		steps: []step{removeFabric(0)}, after: without(0),
	},
	{
		name: "ACL write", fabrics: 2, open: enter,
		steps: []step{{"write", func(ctx context.Context, a *attempt) error {
			return writeAttribute(ctx, a.session, clusterAccessControl, attrACL, aclValue(twoEntries(a)))
		}}},
		after: func(a *attempt) state {
			s := a.base.state.clone()
			s.fabrics[0].ACL = twoEntries(a)
			return s
		},
	},
	{
		name: "UpdateFabricLabel", fabrics: 2, open: enter,
		steps: []step{{"UpdateFabricLabel", func(ctx context.Context, a *attempt) error {
			return a.session.UpdateFabricLabel(ctx, "kitchen")
		}}},
		after: func(a *attempt) state {
			s := a.base.state.clone()
			s.fabrics[0].Label = "kitchen"
			return s
		},
	},
	{
		name: "NodeLabel write", fabrics: 2, open: enter,
		steps: []step{{"write", func(ctx context.Context, a *attempt) error {
			return writeAttribute(ctx, a.session, clusterBasicInformation, attrNodeLabel, func(w *tlv.Writer, t tlv.Tag) { w.Text(t, "attic") })
		}}},
		after: func(a *attempt) state {
			s := a.base.state.clone()
			s.label = "attic"
			return s
		},
	},
	{
		name: "KeySetWrite", fabrics: 2, open: enter,
		steps: []step{{"KeySetWrite", func(ctx context.Context, a *attempt) error {
			return a.session.KeySetWrite(ctx, 42, epochKeys[0], epochKeys[1])
		}}},
		after: afterKeySetWrite,
	},
	{
		name: "SetVIDVerificationStatement", fabrics: 2,
		open: func(ctx context.Context, a *attempt) error { return enterAs(ctx, a, 1) }, // no ICAC
		steps: []step{{"SetVIDVerificationStatement", func(ctx context.Context, a *attempt) error {
			return setVID(ctx, a.session, 0xFFF2, vidStatement, vidSigner)
		}}},
		after: func(a *attempt) state {
			s := a.base.state.clone()
			f := &s.fabrics[1]
			f.VendorID, f.VIDVerificationStatement, f.VVSC = 0xFFF2, vidStatement, vidSigner
			return s
		},
	},
	{
		name: "attestation import", fabrics: 2, prepare: makeMaterial, open: enter,
		steps: []step{{"import", func(ctx context.Context, a *attempt) error {
			m := a.base.material
			_, err := operator(a.node).ImportAttestation(ctx, admin.AttestationMaterial{DAC: m.DAC, PAI: m.PAI, CD: m.CD, Key: m.Key})
			return err
		}}},
		after: afterImport,
	},
	{
		name: "attestation import, not running", fabrics: 2, prepare: makeMaterial, process: importCommand, fromStart: true,
		steps: []step{{"import", exits}}, answered: hasPrinted, after: afterImport,
	},
	{
		name: "factory reset", fabrics: 2, open: enter,
		steps: []step{{"factory-reset", func(ctx context.Context, a *attempt) error { return operator(a.node).FactoryReset(ctx) }}},
		after: afterReset,
	},
	{
		name: "factory reset, not running", fabrics: 2, process: "factory-reset --yes", fromStart: true,
		steps: []step{{"factory-reset", exits}}, answered: hasPrinted, after: afterReset,
	},
	{
		name: "store restore", fabrics: 2, prepare: backUp, process: restoreCommand, fromStart: true,
		steps: []step{{"restore", exits}}, answered: hasPrinted, after: afterRestore,
		keeps: "opcredsd.db.before-restore",
	},
}

// serves is the step of a start.
func serves(_ context.Context, a *attempt) error { return a.node.serving() }

// stops is the step of a stop.
func stops(_ context.Context, a *attempt) error {
	a.node.signal(unix.SIGTERM)
	<-a.node.dead
	if !a.node.status.Exited() || a.node.status.ExitStatus() != 0 {
		return errDead
	}
	return nil
}

// exits is the step of a command that ends by itself.
func exits(_ context.Context, a *attempt) error {
	<-a.node.dead
	if !a.node.status.Exited() || a.node.status.ExitStatus() != 0 {
		return errDead
	}
	return nil
}

// hasPrinted reports whether the operator got an answer: the codes, after a first
// start.
func hasPrinted(a *attempt) bool {
	if a.s.process == "" {
		return a.node.codes() != ""
	}
	return printed(a.node.out) != ""
}

// enter opens a session of the first member.
func enter(ctx context.Context, a *attempt) error { return enterAs(ctx, a, 0) }

func enterAs(ctx context.Context, a *attempt, i int) (err error) {
	m := a.members[i]
	if a.session, _, err = a.client.CASE(ctx, a.node.addr(), m.Authority, m.node, nil); err != nil {
		return fmt.Errorf("CASE: %w", err)
	}
	a.events, err = lastEvent(ctx, a.session, false)
	return err
}

// enterAndOpen also opens a commissioning window.
func enterAndOpen(ctx context.Context, a *attempt) error {
	if err := enter(ctx, a); err != nil {
		return err
	}
	return a.session.OpenBasicWindow(ctx, 180)
}

// commission is a commissioning from the first message to the last answer.
var commission = []step{
	{"AddNOC", func(ctx context.Context, a *attempt) (err error) {
		if a.newest, err = commissioner.NewAuthority(commissioner.AuthorityOptions{ICAC: true}); err != nil {
			return err
		}
		p, err := a.client.PASE(ctx, a.node.addr(), a.base.passcode)
		if err != nil {
			return fmt.Errorf("PASE: %w", err)
		}
		return join(ctx, a, p)
	}},
	{"CASE", func(ctx context.Context, a *attempt) (err error) {
		a.opened, _, err = a.client.CASE(ctx, a.node.addr(), a.newest, a.noc.NodeID(), nil)
		return err
	}},
	{"CommissioningComplete", complete},
}

// join executes PASE to AddNOC.
func join(ctx context.Context, a *attempt, p *commissioner.Session) error {
	n := a.newest
	if err := p.ArmFailSafe(ctx, 120, 1); err != nil {
		return fmt.Errorf("ArmFailSafe: %w", err)
	}
	pub, err := p.CSR(ctx, false, nil)
	if err != nil {
		return fmt.Errorf("CSRRequest: %w", err)
	}
	if err := p.AddRoot(ctx, n.Root()); err != nil {
		return fmt.Errorf("AddTrustedRootCertificate: %w", err)
	}
	if a.noc, err = n.IssueNOC(pub, commissioner.RandomNodeID()); err != nil {
		return err
	}
	_, err = p.AddNOC(ctx, commissioner.NOC{NOC: a.noc.Raw(), ICAC: n.ICAC(), IPK: n.EpochKey[:], Admin: n.NodeID, Vendor: n.VendorID})
	return err
}

func complete(ctx context.Context, a *attempt) error { return a.opened.CommissioningComplete(ctx) }

func afterAddNOC(a *attempt) state {
	s := a.base.state.clone()
	if a.noc == nil {
		return s
	}
	n := a.newest
	index := max(s.next, matter.MinFabricIndex)
	s.next = index + 1
	s.fabrics = append(s.fabrics, store.Fabric{
		Index: index, FabricID: n.FabricID, NodeID: a.noc.NodeID(), VendorID: n.VendorID, Added: anyDate,
		Root: n.Root(), NOC: a.noc.Raw(), ICAC: n.ICAC(),
		ACL:     []store.ACLEntry{administers(n)},
		KeySets: []store.GroupKeySet{{Keys: []store.GroupKey{{Key: n.IPK()}}}},
	})
	return s
}

// administers returns the entry that AddNOC creates.
func administers(n *commissioner.Authority) store.ACLEntry {
	return store.ACLEntry{Privilege: matter.PrivilegeAdminister, AuthMode: matter.AuthModeCASE, Subjects: []matter.NodeID{n.NodeID}}
}

func twoEntries(a *attempt) []store.ACLEntry {
	return []store.ACLEntry{
		administers(a.members[0].Authority),
		{Privilege: matter.PrivilegeOperate, AuthMode: matter.AuthModeCASE, Subjects: []matter.NodeID{0x1234, 0x5678}},
	}
}

// updateNOC gives the first member's node another key and node id.
var updateNOC = []step{
	{"UpdateNOC", func(ctx context.Context, a *attempt) error {
		if err := a.session.ArmFailSafe(ctx, 120, 1); err != nil {
			return fmt.Errorf("ArmFailSafe: %w", err)
		}
		pub, err := a.session.CSR(ctx, true, nil)
		if err != nil {
			return fmt.Errorf("CSRRequest: %w", err)
		}
		m := &a.members[0]
		if a.noc, err = m.IssueNOC(pub, commissioner.RandomNodeID()); err != nil {
			return err
		}
		if _, err := a.session.UpdateNOC(ctx, a.noc.Raw(), m.ICAC()); err != nil {
			return err
		}
		m.node = a.noc.NodeID()
		return nil
	}},
	{"CASE", func(ctx context.Context, a *attempt) (err error) {
		m := a.members[0]
		a.opened, _, err = a.client.CASE(ctx, a.node.addr(), m.Authority, m.node, nil)
		return err
	}},
	{"CommissioningComplete", complete},
}

func afterUpdateNOC(a *attempt) state {
	s := a.base.state.clone()
	if a.noc != nil {
		f := &s.fabrics[0]
		f.NOC, f.NodeID, f.Key = a.noc.Raw(), a.noc.NodeID(), nil
	}
	return s
}

func removeFabric(i int) step {
	return step{"RemoveFabric", func(ctx context.Context, a *attempt) error { return a.session.RemoveFabric(ctx, a.members[i].index) }}
}

func without(i int) func(*attempt) state {
	return func(a *attempt) state {
		s := a.base.state.clone()
		s.fabrics = append(s.fabrics[:i], s.fabrics[i+1:]...)
		if len(s.fabrics) == 0 {
			s.label = anyLabel
		}
		return s
	}
}

// The values of KeySetWrite and SetVIDVerificationStatement.
var (
	epochKeys    = [][16]byte{{1: 0xAB}, {2: 0xCD}}
	vidStatement = bytes.Repeat([]byte{0x55}, 85)
	vidSigner    = bytes.Repeat([]byte{0x66}, 300)
)

func afterKeySetWrite(a *attempt) state {
	s := a.base.state.clone()
	set := store.GroupKeySet{ID: 42}
	for i, k := range epochKeys {
		key, err := mcrypto.OperationalGroupKey(k[:], a.members[0].CompressedFabricID())
		if err != nil {
			panic(err)
		}
		set.Keys = append(set.Keys, store.GroupKey{Key: key[:], Start: uint64(i + 1)})
	}
	s.fabrics[0].KeySets = append(s.fabrics[0].KeySets, set)
	return s
}

func afterImport(a *attempt) state {
	s := a.base.state.clone()
	s.material = digest(&a.base.material)
	return s
}

func afterReset(a *attempt) state {
	s := a.base.state.clone()
	s.fabrics, s.label = nil, ""
	s.bridge.endpoints = map[matter.EndpointID]string{}
	return s
}

func afterUpgrade(a *attempt) state {
	s := a.base.state.clone()
	s.schema = store.SchemaVersion
	return s
}

// afterRestore returns the state of the backup, without reusing numbers that the
// previous database has given.
func afterRestore(a *attempt) state {
	s := a.base.restored.clone()
	was := &a.base.state.bridge
	s.bridge.next = was.next
	s.bridge.composition = was.composition + 1<<16
	return s
}

func afterFirstStart(a *attempt) state {
	return state{schema: store.SchemaVersion, codes: cmp.Or(a.codes, a.node.codes(), anyCodes), bridge: noDevices()}
}
