// Package diagnosticlogs implements the Diagnostic Logs cluster, 0x0032 (section
// 11.11). It returns the newest lines of the node's log that fit into one response.
// BDX is not supported.
package diagnosticlogs

import (
	"time"

	"github.com/opcredsd/opcredsd/pkg/cluster"
	"github.com/opcredsd/opcredsd/pkg/datamodel"
	"github.com/opcredsd/opcredsd/pkg/im"
	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/tlv"
)

// ID is the cluster's id.
const ID = datamodel.DiagnosticLogsID

const (
	cmdRetrieveLogs = datamodel.DiagnosticLogsCmdRetrieveLogsRequest

	// maxContent is the maximum length of LogContent in octets.
	maxContent       = 1024
	maxDesignatorLen = 32
)

// intent is the requested kind of log (section 11.11.4.1).
type intent uint8

// The same log is returned for end user support, 0, and the network, 1.
const crashLogs intent = 2

// bdx is the transfer protocol BDX; 0 means in the response (section 11.11.4.3).
const bdx = 1

// Status of a response (section 11.11.4.2).
const (
	success   = 0
	exhausted = 1 // BDX was requested, but the response contains the whole log
	noLogs    = 2
)

var spec = cluster.NewSpec(datamodel.DiagnosticLogs, cluster.Selection{})

// Options are the cluster's dependencies. All are required.
type Options struct {
	// Logs returns the newest entries of the log, oldest first, in at most limit
	// octets, and the time of the first of them; nothing if there are none.
	Logs func(limit int) (text []byte, oldest time.Time)
	// Started is when the node's system time began.
	Started time.Time
	// ClockTrusted reports whether the wall clock showed a plausible time at that
	// moment.
	ClockTrusted func(at time.Time) bool
}

// Cluster serves the cluster.
type Cluster struct {
	im.ReadOnly
	opt Options
}

// New returns the cluster.
func New(opt Options) *Cluster { return &Cluster{opt: opt} }

// Spec returns the cluster's metadata.
func (c *Cluster) Spec() *im.Spec { return spec }

// Read is not called, since there are no attributes.
func (c *Cluster) Read(*im.Request, matter.AttributeID, *tlv.Writer, tlv.Tag) error {
	return matter.StatusUnsupportedAttribute
}

// Invoke executes RetrieveLogsRequest. There is no crash log, since the service
// manager, and not the node, records a crash.
func (c *Cluster) Invoke(_ *im.Request, _ matter.CommandID, fields tlv.Element, w *tlv.Writer) error {
	why, protocol, err := decode(fields)
	if err != nil {
		return err
	}
	var text []byte
	var oldest time.Time
	if why != crashLogs {
		text, oldest = c.opt.Logs(maxContent)
	}
	status := uint64(success)
	switch {
	case len(text) == 0:
		status = noLogs
	case protocol == bdx:
		status = exhausted
	}
	w.Uint(tlv.Context(0), status)
	w.Octets(tlv.Context(1), text)
	if len(text) == 0 {
		return nil
	}
	if c.opt.ClockTrusted(oldest) {
		w.Uint(tlv.Context(2), uint64(oldest.UnixMicro()-matter.EpochOffset*1_000_000))
	}
	w.Uint(tlv.Context(3), uint64(max(0, oldest.Sub(c.opt.Started)).Microseconds()))
	return nil
}

func decode(fields tlv.Element) (why intent, protocol uint8, err error) {
	var have [3]bool
	long := false
	r := fields.Reader()
	for r.EnterStruct(); r.Next(); {
		tag := r.ContextTag()
		switch tag {
		case 0:
			why = intent(r.Uint8())
		case 1:
			protocol = r.Uint8()
		case 2:
			long = len(r.Text()) > maxDesignatorLen
		default:
			continue
		}
		have[tag] = true
	}
	if err := r.End(); err != nil {
		return 0, 0, im.CommandError(err)
	}
	switch {
	case !have[0] || !have[1] || why > crashLogs || protocol > bdx:
		return 0, 0, matter.StatusInvalidCommand
	case protocol == bdx && !have[2]:
		return 0, 0, matter.StatusInvalidCommand
	case long:
		return 0, 0, matter.StatusConstraintError
	}
	return why, protocol, nil
}
