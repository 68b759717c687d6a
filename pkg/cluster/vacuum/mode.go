package vacuum

import (
	"slices"
	"strings"

	"github.com/opcredsd/opcredsd/pkg/cluster"
	"github.com/opcredsd/opcredsd/pkg/datamodel"
	"github.com/opcredsd/opcredsd/pkg/tlv"
)

// mode is an entry of SupportedModes.
type mode struct {
	label string
	tags  []uint16
}

var runModes = []mode{
	Idle:     {"Idle", []uint16{uint16(datamodel.RVCRunModeModeTagIdle)}},
	Cleaning: {"Cleaning", []uint16{uint16(datamodel.RVCRunModeModeTagCleaning)}},
	Mapping:  {"Mapping", []uint16{uint16(datamodel.RVCRunModeModeTagMapping)}},
}

func (c *Config) runModes() []mode {
	if !c.CanMap {
		return runModes[:Mapping]
	}
	return runModes
}

// RunMode is RVC Run Mode.
var RunMode = modes(datamodel.RVCRunMode, (*Config).runModes, func(s *Vacuum) *uint8 { return &s.Run }, (*Vacuum).changeRun)

// CleanMode is RVC Clean Mode.
var CleanMode = modes(datamodel.RVCCleanMode, func(c *Config) []mode { return c.cleanModes },
	func(s *Vacuum) *uint8 { return &s.Clean }, (*Vacuum).changeClean)

// CleanFeatures say that the way of cleaning can be changed during a run; whether the
// vacuum does so, it says itself.
const CleanFeatures = datamodel.RVCCleanModeFeatureDirectModeChange

// modes defines a cluster of modes. The two differ in their ids, and in what change does,
// which returns a status and its text.
func modes(f *datamodel.Cluster, all func(*Config) []mode, at func(*Vacuum) *uint8, change func(*Vacuum, *cluster.Context, uint8) (status, string)) *cluster.Cluster[Vacuum] {
	return cluster.Define(cluster.Def[Vacuum]{
		Facts: f,
		Attributes: []cluster.Attribute[Vacuum]{
			cluster.Computed(datamodel.RVCRunModeAttrSupportedModes, func(s *Vacuum, w *tlv.Writer, t tlv.Tag) {
				writeModes(all(s.config), w, t)
			}, nil),
			cluster.Uint(datamodel.RVCRunModeAttrCurrentMode, at),
		},
		Commands: []cluster.Command[Vacuum]{
			cluster.Reply(datamodel.RVCRunModeCmdChangeToMode, func(c *cluster.Context, s *Vacuum, f *changeToMode, w *tlv.Writer) error {
				st, text := success, ""
				switch {
				case int(f.NewMode) >= len(all(s.config)):
					st, text = unsupportedMode, "there is no such mode"
				default:
					st, text = change(s, c, f.NewMode)
				}
				w.Uint(tlv.Context(0), uint64(st))
				w.Text(tlv.Context(1), text)
				return nil
			}),
		},
	})
}

type changeToMode struct{ NewMode uint8 }

// status is that of a ChangeToModeResponse (section 1.10.7.2).
type status uint8

const (
	success         status = 0
	unsupportedMode status = 1
	genericFailure  status = 2
	invalidInMode   status = 3
)

func writeModes(all []mode, w *tlv.Writer, t tlv.Tag) {
	w.StartArray(t)
	for i := range all {
		w.StartStruct(tlv.Anonymous)
		w.Text(tlv.Context(0), all[i].label)
		w.Uint(tlv.Context(1), uint64(i))
		w.StartArray(tlv.Context(2))
		for _, tag := range all[i].tags {
			w.StartStruct(tlv.Anonymous)
			w.Uint(tlv.Context(1), uint64(tag))
			w.End()
		}
		w.End()
		w.End()
	}
	w.End()
}

// changeRun asks the vacuum to begin or to end a run. From one kind of run to another it
// is by Idle (section 7.2.5.1), and with a fault it begins none.
func (s *Vacuum) changeRun(c *cluster.Context, to uint8) (status, string) {
	switch {
	case to == s.Run && !s.wanted.Valid:
		return success, ""
	case to != Idle && s.Run != Idle && to != s.Run:
		return invalidInMode, "it is in another run"
	case to != Idle && s.State == datamodel.RVCOperationalStateOperationalStateError:
		return faultStatus(s.Fault), "it has a fault"
	}
	s.wanted = cluster.Some(to)
	c.Want(WantRun)
	return success, ""
}

// faultStatus returns the status of a run that a fault keeps from beginning (section 7.2.7.1).
// The two lists of faults have the same numbers as far as both go.
func faultStatus(f Fault) status {
	if f >= datamodel.RVCOperationalStateErrorStateStuck && f <= datamodel.RVCOperationalStateErrorStateLowBattery {
		return status(f)
	}
	return genericFailure
}

func (s *Vacuum) changeClean(c *cluster.Context, to uint8) (status, string) {
	s.Clean = to
	c.Want(WantClean)
	return success, ""
}

// words are parts of the names of ways to clean, and what they mean.
var words = []struct {
	word string
	tag  datamodel.RVCCleanModeModeTag
}{
	{"vac", datamodel.RVCCleanModeModeTagVacuum}, {"sweep", datamodel.RVCCleanModeModeTagVacuum}, {"suction", datamodel.RVCCleanModeModeTagVacuum},
	{"mop", datamodel.RVCCleanModeModeTagMop}, {"wash", datamodel.RVCCleanModeModeTagMop}, {"wet", datamodel.RVCCleanModeModeTagMop},
	{"deep", datamodel.RVCCleanModeModeTagDeepClean}, {"intens", datamodel.RVCCleanModeModeTagDeepClean},
	{"quiet", datamodel.RVCCleanModeModeTagQuiet}, {"silent", datamodel.RVCCleanModeModeTagQuiet}, {"gentle", datamodel.RVCCleanModeModeTagQuiet},
	{"max", datamodel.RVCCleanModeModeTagMax}, {"turbo", datamodel.RVCCleanModeModeTagMax}, {"boost", datamodel.RVCCleanModeModeTagMax},
	{"eco", datamodel.RVCCleanModeModeTagLowEnergy}, {"min", datamodel.RVCCleanModeModeTagMin},
	{"auto", datamodel.RVCCleanModeModeTagAuto}, {"smart", datamodel.RVCCleanModeModeTagAuto},
	{"quick", datamodel.RVCCleanModeModeTagQuick}, {"fast", datamodel.RVCCleanModeModeTagQuick},
	{"night", datamodel.RVCCleanModeModeTagNight}, {"day", datamodel.RVCCleanModeModeTagDay},
	{"vacation", datamodel.RVCCleanModeModeTagVacation},
}

// ownTag is the first of the tags without a standard meaning.
const ownTag = 0x8000

// cleanMode makes a mode of a name. One that says neither is a vacuum's. Modes need
// different sets of tags (section 1.10.6.2): what the name does not tell apart has a tag
// of its own.
func cleanMode(name string, before []mode) mode {
	m := mode{label: name}
	add := func(tag datamodel.RVCCleanModeModeTag) {
		if !slices.Contains(m.tags, uint16(tag)) && len(m.tags) < 6 {
			m.tags = append(m.tags, uint16(tag))
		}
	}
	lower := strings.ToLower(name)
	for _, w := range words {
		if strings.Contains(lower, w.word) && (w.word != "vac" || !strings.Contains(lower, "vacation")) {
			add(w.tag)
		}
	}
	if !slices.Contains(m.tags, uint16(datamodel.RVCCleanModeModeTagVacuum)) && !slices.Contains(m.tags, uint16(datamodel.RVCCleanModeModeTagMop)) {
		add(datamodel.RVCCleanModeModeTagVacuum)
	}
	slices.Sort(m.tags)
	if slices.ContainsFunc(before, func(o mode) bool { return slices.Equal(o.tags, m.tags) }) {
		m.tags = append(m.tags, uint16(ownTag+len(before)))
	}
	return m
}
