package vacuum

import (
	"time"

	"github.com/opcredsd/opcredsd/pkg/cluster"
	"github.com/opcredsd/opcredsd/pkg/datamodel"
)

// Bits of [cluster.Context.Want].
const (
	WantRun uint32 = 1 << iota
	WantClean
	WantAreas
)

// OperationTime is how long the vacuum may take to begin what a controller wants.
const OperationTime = 30 * time.Second

// The modes of RVC Run Mode.
const (
	Idle     uint8 = 0
	Cleaning uint8 = 1
	Mapping  uint8 = 2
)

// State is what the vacuum does, and Fault why it does nothing.
type (
	State = datamodel.RVCOperationalStateOperationalState
	Fault = datamodel.RVCOperationalStateErrorState
)

// MaxAreas is how many areas a vacuum can have here; the cluster has room for 255.
const MaxAreas = 64

// Config is what a vacuum can do. It never changes.
type Config struct {
	CanMap     bool
	CleanModes []string // none, or two or more different ones of up to 64 octets
	Areas      []string // up to MaxAreas different ones of up to 128 octets

	cleanModes []mode
}

// Vacuum is the state of a robotic vacuum cleaner.
type Vacuum struct {
	config *Config

	Run   uint8
	Clean uint8 // index of Config.CleanModes
	State State
	Fault Fault
	Areas uint64 // bits by index of Config.Areas: those selected; 0: everywhere

	wanted cluster.Null[uint8] // the mode that a controller wants and the vacuum is not in yet
}

// New returns the state of a vacuum that stands still. It keeps c.
func New(c *Config) Vacuum {
	c.cleanModes = nil
	for _, name := range c.CleanModes {
		c.cleanModes = append(c.cleanModes, cleanMode(name, c.cleanModes))
	}
	return Vacuum{config: c}
}

// WantedRun returns the mode that the vacuum is to come to.
func (s *Vacuum) WantedRun() uint8 { return s.wanted.Or(s.Run) }

// ReportRun takes from the vacuum in which mode it is. A run that has ended makes an event
// (section 1.14.7.2).
func (s *Vacuum) ReportRun(c *cluster.Context, mode uint8) {
	was := s.Run
	s.Run, s.wanted = mode, cluster.Null[uint8]{}
	if was != Idle && mode == Idle {
		s.complete(c)
	}
}

// ReportState takes from the vacuum what it does. An error without a word about it is one
// that keeps it from going on.
func (s *Vacuum) ReportState(c *cluster.Context, is State) {
	fault := datamodel.RVCOperationalStateErrorStateNoError
	if is == datamodel.RVCOperationalStateOperationalStateError {
		if fault = s.Fault; fault == datamodel.RVCOperationalStateErrorStateNoError {
			fault = datamodel.RVCOperationalStateErrorStateUnableToCompleteOperation
		}
	}
	s.State = is
	s.setFault(c, fault)
}

// ReportFault takes from the vacuum why it does nothing. With none, what it does is for
// ReportState to say.
func (s *Vacuum) ReportFault(c *cluster.Context, is Fault) {
	if is != datamodel.RVCOperationalStateErrorStateNoError {
		s.State = datamodel.RVCOperationalStateOperationalStateError
	} else if s.State == datamodel.RVCOperationalStateOperationalStateError {
		s.State = datamodel.RVCOperationalStateOperationalStateStopped
	}
	s.setFault(c, is)
}

// Rules returns what the vacuum's attributes have in common.
func Rules() cluster.Rules[Vacuum] { return cluster.Rules[Vacuum]{Restored: restored} }

// restored drops modes that the vacuum does not have any more.
func restored(s *Vacuum) {
	if int(s.Run) >= len(s.config.runModes()) {
		s.Run = Idle
	}
	if int(s.Clean) >= len(s.config.cleanModes) {
		s.Clean = 0
	}
}
