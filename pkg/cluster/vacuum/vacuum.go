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

// OperationTime is the maximum time for the vacuum to begin a command.
const OperationTime = 30 * time.Second

// The modes of RVC Run Mode.
const (
	Idle     uint8 = 0
	Cleaning uint8 = 1
	Mapping  uint8 = 2
)

// State is the activity of the vacuum, and Fault why it is not active.
type (
	State = datamodel.RVCOperationalStateOperationalState
	Fault = datamodel.RVCOperationalStateErrorState
)

// MaxAreas is the maximum number of areas of a vacuum; the cluster allows 255.
const MaxAreas = 64

// Config is what a vacuum supports. It never changes.
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
	Areas uint64 // selected areas as bits by index of Config.Areas; 0: everywhere

	wanted cluster.Null[uint8] // the mode that a controller wants, until the vacuum is in it
}

// New returns the state of an idle vacuum. It keeps c.
func New(c *Config) Vacuum {
	c.cleanModes = nil
	for _, name := range c.CleanModes {
		c.cleanModes = append(c.cleanModes, cleanMode(name, c.cleanModes))
	}
	return Vacuum{config: c}
}

// WantedRun returns the wanted mode.
func (s *Vacuum) WantedRun() uint8 { return s.wanted.Or(s.Run) }

// ReportRun sets the mode that the vacuum reports. The end of a run is an event
// (section 1.14.7.2).
func (s *Vacuum) ReportRun(c *cluster.Context, mode uint8) {
	was := s.Run
	s.Run, s.wanted = mode, cluster.Null[uint8]{}
	if was != Idle && mode == Idle {
		s.complete(c)
	}
}

// ReportState sets the state that the vacuum reports. An error without a fault
// becomes the fault that the vacuum cannot continue.
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

// ReportFault sets the fault that the vacuum reports. After a fault the state is
// Stopped until ReportState sets another one.
func (s *Vacuum) ReportFault(c *cluster.Context, is Fault) {
	if is != datamodel.RVCOperationalStateErrorStateNoError {
		s.State = datamodel.RVCOperationalStateOperationalStateError
	} else if s.State == datamodel.RVCOperationalStateOperationalStateError {
		s.State = datamodel.RVCOperationalStateOperationalStateStopped
	}
	s.setFault(c, is)
}

// Rules returns the rules for the state of a vacuum.
func Rules() cluster.Rules[Vacuum] { return cluster.Rules[Vacuum]{Restored: restored} }

// restored drops modes that the vacuum no longer has.
func restored(s *Vacuum) {
	if int(s.Run) >= len(s.config.runModes()) {
		s.Run = Idle
	}
	if int(s.Clean) >= len(s.config.cleanModes) {
		s.Clean = 0
	}
}
