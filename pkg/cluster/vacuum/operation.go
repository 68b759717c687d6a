package vacuum

import (
	"slices"

	"github.com/opcredsd/opcredsd/pkg/cluster"
	"github.com/opcredsd/opcredsd/pkg/datamodel"
	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/tlv"
)

const (
	stopped  = datamodel.RVCOperationalStateOperationalStateStopped
	running  = datamodel.RVCOperationalStateOperationalStateRunning
	paused   = datamodel.RVCOperationalStateOperationalStatePaused
	faulty   = datamodel.RVCOperationalStateOperationalStateError
	seeking  = datamodel.RVCOperationalStateOperationalStateSeekingCharger
	charging = datamodel.RVCOperationalStateOperationalStateCharging
	docked   = datamodel.RVCOperationalStateOperationalStateDocked
)

// states are the states that a vacuum can be in.
var states = []State{stopped, running, paused, faulty, seeking, charging, docked}

// OperationalState is the RVC Operational State cluster. There are no phases.
var OperationalState = cluster.Define(cluster.Def[Vacuum]{
	Facts: datamodel.RVCOperationalState,
	Attributes: []cluster.Attribute[Vacuum]{
		cluster.Computed(datamodel.RVCOperationalStateAttrPhaseList, func(_ *Vacuum, w *tlv.Writer, t tlv.Tag) { w.Null(t) }, nil),
		cluster.Computed(datamodel.RVCOperationalStateAttrCurrentPhase, func(_ *Vacuum, w *tlv.Writer, t tlv.Tag) { w.Null(t) }, nil),
		cluster.Computed(datamodel.RVCOperationalStateAttrOperationalStateList, writeStates, nil),
		cluster.Uint(datamodel.RVCOperationalStateAttrOperationalState, func(s *Vacuum) *State { return &s.State }),
		cluster.Computed(datamodel.RVCOperationalStateAttrOperationalError,
			func(s *Vacuum, w *tlv.Writer, t tlv.Tag) { writeFault(s.Fault, w, t) },
			func(a, b *Vacuum) bool { return a.Fault == b.Fault }),
	},
	Commands: []cluster.Command[Vacuum]{
		operate(datamodel.RVCOperationalStateCmdPause, "pause", paused, (*Vacuum).canPause),
		operate(datamodel.RVCOperationalStateCmdResume, "resume", running, (*Vacuum).canResume),
		operate(datamodel.RVCOperationalStateCmdGoHome, "go_home", seeking, (*Vacuum).canGoHome),
	},
})

// Operation is the part of RVC Operational State that a vacuum serves.
var Operation = cluster.Selection{
	Commands: []matter.CommandID{datamodel.RVCOperationalStateCmdPause, datamodel.RVCOperationalStateCmdResume, datamodel.RVCOperationalStateCmdGoHome},
	Events:   []matter.EventID{datamodel.RVCOperationalStateEventOperationCompletion},
}

func writeStates(_ *Vacuum, w *tlv.Writer, t tlv.Tag) {
	w.StartArray(t)
	for _, s := range states {
		w.StartStruct(tlv.Anonymous)
		w.Uint(tlv.Context(0), uint64(s))
		w.End()
	}
	w.End()
}

// writeFault writes an ErrorStateStruct.
func writeFault(f Fault, w *tlv.Writer, t tlv.Tag) {
	w.StartStruct(t)
	w.Uint(tlv.Context(0), uint64(f))
	w.End()
}

// operate returns a command that requests something from the vacuum. It does
// nothing if the vacuum is in the resulting state already (section 1.14.6).
func operate(id matter.CommandID, action string, to State, can func(*Vacuum) Fault) cluster.Command[Vacuum] {
	type none struct{}
	return cluster.Reply(id, func(c *cluster.Context, s *Vacuum, _ *none, w *tlv.Writer) error {
		fault := datamodel.RVCOperationalStateErrorStateNoError
		if s.State != to {
			if fault = can(s); fault == datamodel.RVCOperationalStateErrorStateNoError {
				c.Do(cluster.Action{Name: action})
			}
		}
		writeFault(fault, w, tlv.Context(0))
		return nil
	})
}

// in returns no error if the vacuum is in one of the states.
func (s *Vacuum) in(all ...State) Fault {
	if slices.Contains(all, s.State) {
		return datamodel.RVCOperationalStateErrorStateNoError
	}
	return datamodel.RVCOperationalStateErrorStateCommandInvalidInState
}

// canPause and canGoHome check that there is something to interrupt (sections 7.4.5
// and 1.14.6.1).
func (s *Vacuum) canPause() Fault  { return s.in(running, seeking) }
func (s *Vacuum) canGoHome() Fault { return s.in(stopped, running, paused) }

// canResume checks that a run can be continued: it was paused, or the vacuum has
// interrupted it to charge (section 1.14.6.4).
func (s *Vacuum) canResume() Fault {
	if s.Run == Idle {
		return s.in(paused) // on its way to the charger
	}
	return s.in(paused, charging, docked)
}

// setFault sets the fault. A new fault is an event (section 1.14.7.1).
func (s *Vacuum) setFault(c *cluster.Context, is Fault) {
	was := s.Fault
	s.Fault = is
	if is == was || is == datamodel.RVCOperationalStateErrorStateNoError {
		return
	}
	c.Emit(datamodel.RVCOperationalStateID, datamodel.RVCOperationalStateEventOperationalError, func(w *tlv.Writer) {
		writeFault(is, w, tlv.Context(0))
	})
}

// complete emits the event of a run that has ended.
func (s *Vacuum) complete(c *cluster.Context) {
	c.EmitNumber(datamodel.RVCOperationalStateID, datamodel.RVCOperationalStateEventOperationCompletion, uint64(s.Fault))
}
