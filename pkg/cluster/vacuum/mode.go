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

// RunMode is the RVC Run Mode cluster.
var RunMode = modes(datamodel.RVCRunMode, (*Config).runModes, func(s *Vacuum) *uint8 { return &s.Run }, (*Vacuum).changeRun)

// CleanMode is the RVC Clean Mode cluster.
var CleanMode = modes(datamodel.RVCCleanMode, func(c *Config) []mode { return c.cleanModes },
	func(s *Vacuum) *uint8 { return &s.Clean }, (*Vacuum).changeClean)

// CleanFeatures announce that the clean mode can be changed during a run. Whether
// it takes effect is up to the vacuum.
const CleanFeatures = datamodel.RVCCleanModeFeatureDirectModeChange

// modes defines a mode cluster. The two differ in their ids, and in change, which
// returns a status and its text.
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

// status is the status of a ChangeToModeResponse (section 1.10.7.2).
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

// changeRun requests the vacuum to begin or to end a run. A change between two
// kinds of run must go through Idle (section 7.2.5.1). A vacuum with a fault does
// not begin a run.
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

// faultStatus returns the status of a run that cannot begin because of a fault
// (section 7.2.7.1). The numbers of both lists are the same as far as both go.
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

// words maps parts of mode names to their meaning.
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

// ownTag is the first tag without a standard meaning.
const ownTag = 0x8000

// cleanMode returns the mode for a name. A name that contains neither vacuum nor
// mop means vacuum. Modes must differ in their tags (section 1.10.6.1), so a mode
// that would be equal to another one gets a tag of its own.
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
