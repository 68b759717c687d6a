// Package doorlock implements the Door Lock cluster, 0x0101 revision 10 ("Matter
// Application Cluster Specification", section 5.2), as far as a bridged lock needs
// it: locking, unlocking, and events with the cause. Users and credentials are
// managed by the lock.
package doorlock

import (
	"time"

	"github.com/opcredsd/opcredsd/pkg/cluster"
	"github.com/opcredsd/opcredsd/pkg/datamodel"
	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/tlv"
)

// supportedModes is SupportedOperatingModes, in which a 0 means supported: only
// Normal and NoRemoteLockUnlock, which are mandatory.
const supportedModes = 0xFFF6

// OperationTime is the maximum time for the lock to carry out a command.
const OperationTime = 30 * time.Second

// Lock is the state of a lock.
type Lock struct {
	State cluster.Null[datamodel.DoorLockLockState]
	Door  cluster.Null[datamodel.DoorLockDoorState]
	PIN   bool // the lock accepts a PIN from a controller

	wanted operation
}

// operation is a controller's command that the lock has not carried out so far.
type operation struct {
	state  datamodel.DoorLockLockState
	fabric matter.FabricIndex
	node   matter.NodeID
	until  time.Time // zero: there is none
}

// Cluster is the Door Lock cluster.
var Cluster = cluster.Define(cluster.Def[Lock]{
	Facts: datamodel.DoorLock,
	Attributes: []cluster.Attribute[Lock]{
		cluster.NullUint(datamodel.DoorLockAttrLockState, func(s *Lock) *cluster.Null[datamodel.DoorLockLockState] { return &s.State }),
		cluster.Constant[Lock](datamodel.DoorLockAttrLockType, uint64(datamodel.DoorLockLockTypeOther)),
		cluster.Computed(datamodel.DoorLockAttrActuatorEnabled, func(_ *Lock, w *tlv.Writer, t tlv.Tag) { w.Bool(t, true) }, nil),
		cluster.NullUint(datamodel.DoorLockAttrDoorState, func(s *Lock) *cluster.Null[datamodel.DoorLockDoorState] { return &s.Door }),
		cluster.Constant[Lock](datamodel.DoorLockAttrOperatingMode, uint64(datamodel.DoorLockOperatingModeNormal)),
		cluster.Constant[Lock](datamodel.DoorLockAttrSupportedOperatingModes, supportedModes),
	},
	Commands: []cluster.Command[Lock]{
		cluster.DoWith(datamodel.DoorLockCmdLockDoor, func(c *cluster.Context, s *Lock, f *pinCode) error {
			return s.operate(c, "lock", datamodel.DoorLockLockStateLocked, f)
		}),
		cluster.DoWith(datamodel.DoorLockCmdUnlockDoor, func(c *cluster.Context, s *Lock, f *pinCode) error {
			return s.operate(c, "unlock", datamodel.DoorLockLockStateUnlocked, f)
		}),
	},
})

type pinCode struct{ PINCode cluster.Opt[[]byte] }

// maxPIN is the maximum length of a PIN in octets (section 5.2.10.1.1).
const maxPIN = 32

// operate sends a command to the lock. The state changes only when the lock reports
// it.
func (s *Lock) operate(c *cluster.Context, name string, to datamodel.DoorLockLockState, f *pinCode) error {
	a := cluster.Action{Name: name}
	if f.PINCode.Valid {
		if len(f.PINCode.V) > maxPIN {
			return matter.StatusConstraintError
		}
		if !s.PIN {
			return matter.StatusFailure
		}
		a.PIN = string(f.PINCode.V)
	}
	c.Do(a)
	s.wanted = operation{state: to, until: c.Now.Add(OperationTime)}
	if r := c.Request; r != nil {
		s.wanted.fabric, s.wanted.node = r.Subject.Fabric, r.Subject.Node
	}
	return nil
}

// Rules returns the rules of the lock's state.
func Rules() cluster.Rules[Lock] { return cluster.Rules[Lock]{Tick: tick} }

// tick ends an operation that the lock has not carried out (section 5.2.11.4). A lock
// that was in the wanted state already has nothing to report.
func tick(c *cluster.Context, s *Lock) time.Time {
	if o := s.wanted; !o.until.IsZero() && !c.Now.Before(o.until) {
		s.wanted = operation{}
		if s.State == cluster.Some(o.state) {
			return time.Time{}
		}
		c.Emit(datamodel.DoorLockID, datamodel.DoorLockEventLockOperationError, func(w *tlv.Writer) {
			w.Uint(tlv.Context(0), uint64(o.kind()))
			w.Uint(tlv.Context(1), uint64(datamodel.DoorLockOperationSourceRemote))
			w.Uint(tlv.Context(2), uint64(datamodel.DoorLockOperationErrorUnspecified))
			w.Null(tlv.Context(3))
			o.writeSource(w, 4)
		})
	}
	return s.wanted.until
}

func (o *operation) kind() datamodel.DoorLockLockOperationType {
	if o.state == datamodel.DoorLockLockStateUnlocked {
		return datamodel.DoorLockLockOperationTypeUnlock
	}
	return datamodel.DoorLockLockOperationTypeLock
}

// writeSource writes the cause, from field n on: fabric and node, or null.
func (o *operation) writeSource(w *tlv.Writer, n uint8) {
	if o.fabric == matter.NoFabric {
		w.Null(tlv.Context(n))
		w.Null(tlv.Context(n + 1))
		return
	}
	w.Uint(tlv.Context(n), uint64(o.fabric))
	w.Uint(tlv.Context(n+1), uint64(o.node))
}

// ReportState sets the lock's state. The first report is not an operation.
func (s *Lock) ReportState(c *cluster.Context, is datamodel.DoorLockLockState) {
	was := s.State
	s.State = cluster.Some(is)
	if was == s.State || !was.Valid {
		return
	}
	if is == datamodel.DoorLockLockStateNotFullyLocked {
		s.wanted = operation{}
		c.EmitNumber(datamodel.DoorLockID, datamodel.DoorLockEventDoorLockAlarm, uint64(datamodel.DoorLockAlarmCodeLockJammed))
		return
	}
	o, source := operation{state: is}, datamodel.DoorLockOperationSourceUnspecified
	if s.wanted.state == is && !s.wanted.until.IsZero() {
		o, source = s.wanted, datamodel.DoorLockOperationSourceRemote
	}
	s.wanted = operation{}
	c.Emit(datamodel.DoorLockID, datamodel.DoorLockEventLockOperation, func(w *tlv.Writer) {
		w.Uint(tlv.Context(0), uint64(o.kind()))
		w.Uint(tlv.Context(1), uint64(source))
		w.Null(tlv.Context(2))
		o.writeSource(w, 3)
	})
}

// ReportDoor sets the state of the door.
func (s *Lock) ReportDoor(c *cluster.Context, is datamodel.DoorLockDoorState) {
	was := s.Door
	s.Door = cluster.Some(is)
	if was == s.Door || !was.Valid {
		return
	}
	c.EmitNumber(datamodel.DoorLockID, datamodel.DoorLockEventDoorStateChange, uint64(is))
}
