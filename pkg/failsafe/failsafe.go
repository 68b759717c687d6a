package failsafe

import (
	"fmt"
	"time"

	"github.com/opcredsd/opcredsd/pkg/cert"
	"github.com/opcredsd/opcredsd/pkg/fabric"
	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/mcrypto"
)

// Times of the fail-safe (sections 11.10.5.4 and 5.5). ExpiryLength is the least time that
// a commissioner should arm it for, and the time that PASE arms it for. MaxCumulative
// bounds its whole duration, however often it is armed.
const (
	ExpiryLength  = 60 * time.Second
	MaxCumulative = 900 * time.Second
)

// NOCChange is the command of the fail-safe period that changed a fabric.
type NOCChange uint8

// The changes.
const (
	None NOCChange = iota
	Added
	Updated
)

// Reason is why a fail-safe ended before it was completed.
type Reason uint8

// The reasons.
const (
	NoReason      Reason = iota // it was completed
	Timeout                     // its time was up
	Disarmed                    // ArmFailSafe with 0 seconds
	Revoked                     // RevokeCommissioning
	SessionLost                 // the PASE session that had armed it is gone
	FabricRemoved               // its fabric was removed
)

// String returns the reason for the log.
func (r Reason) String() string {
	switch r {
	case NoReason:
		return "completed"
	case Timeout:
		return "timeout"
	case Disarmed:
		return "disarmed"
	case Revoked:
		return "commissioning revoked"
	case SessionLost:
		return "session lost"
	case FabricRemoved:
		return "fabric removed"
	}
	return fmt.Sprintf("reason %d", uint8(r))
}

// Ended describes a fail-safe that has ended.
type Ended struct {
	Fabric    matter.FabricIndex // as [FailSafe.Fabric] was
	NOC       NOCChange          // that was committed or rolled back
	Completed bool
	Reason    Reason
	Session   uint64 // as [FailSafe.Session] was
}

// Options are the parameters of a FailSafe.
type Options struct {
	MaxCumulative time.Duration // 0: the constant MaxCumulative
}

// FailSafe is the one fail-safe context of a node. It is not safe for concurrent
// use.
type FailSafe struct {
	table *fabric.Table
	max   time.Duration

	armed      bool
	context    context
	breadcrumb uint64

	ended    Ended
	hasEnded bool
}

// context is the state from arming to the end.
type context struct {
	fabric   matter.FabricIndex
	session  uint64
	deadline time.Time
	limit    time.Time // latest possible deadline
	root     *cert.Certificate
	csr      csr
	noc      NOCChange
	changer  uint64 // session of the command that made noc
}

// csr is the key pair of the last CSRRequest.
type csr struct {
	key       *mcrypto.PrivateKey // nil if there is none
	forUpdate bool
	session   uint64
}

// New returns a fail-safe that is not armed. It stages fabrics in t.
func New(t *fabric.Table, opt Options) *FailSafe {
	if opt.MaxCumulative == 0 {
		opt.MaxCumulative = MaxCumulative
	}
	return &FailSafe{table: t, max: opt.MaxCumulative}
}

// Armed reports whether the fail-safe is armed.
func (f *FailSafe) Armed() bool { return f.armed }

// Fabric returns the fabric of the context: the accessing fabric of the session that
// armed it, and after AddNOC the new fabric. It is [matter.NoFabric] while not armed, and
// over PASE before AddNOC.
func (f *FailSafe) Fabric() matter.FabricIndex { return f.context.fabric }

// ArmedFor reports whether the fail-safe is armed for accessing fabric i.
func (f *FailSafe) ArmedFor(i matter.FabricIndex) bool { return f.armed && f.context.fabric == i }

// Session returns the serial number of the session that armed the fail-safe
// first; 0 while not armed.
func (f *FailSafe) Session() uint64 { return f.context.session }

// Arm arms the fail-safe for the duration d, for accessing fabric i and the session with
// this serial number. If it is armed already, Arm sets a new deadline, at most
// MaxCumulative after the first arming (section 11.10.7.2). Arm returns false, and does
// nothing, if the fail-safe is armed for another fabric or if the end of the last context
// has not been taken yet.
func (f *FailSafe) Arm(now time.Time, i matter.FabricIndex, d time.Duration, session uint64) bool {
	if f.hasEnded || f.armed && f.context.fabric != i {
		return false
	}
	if !f.armed {
		f.armed = true
		f.context = context{fabric: i, session: session, limit: now.Add(f.max)}
	}
	f.context.deadline = now.Add(d)
	if f.context.deadline.After(f.context.limit) {
		f.context.deadline = f.context.limit
	}
	return true
}

// Expire ends the fail-safe and rolls back everything staged. It does nothing if not
// armed.
func (f *FailSafe) Expire(r Reason) {
	if !f.armed {
		return
	}
	if f.table.Pending() != nil {
		f.table.Rollback()
	}
	f.end(Ended{Reason: r})
}

// Complete commits everything staged in one transaction and ends the fail-safe. If it
// returns an error, nothing has changed. The caller has checked that the fail-safe is
// armed for the accessing fabric.
func (f *FailSafe) Complete() error {
	if !f.armed {
		panic("BUG: failsafe: Complete while not armed")
	}
	if f.table.Pending() != nil {
		if err := f.table.Commit(); err != nil {
			return fmt.Errorf("committing the fail-safe: %w", err)
		}
	}
	f.end(Ended{Completed: true})
	return nil
}

func (f *FailSafe) end(e Ended) {
	e.Fabric, e.NOC, e.Session = f.context.fabric, f.context.noc, f.context.session
	f.ended, f.hasEnded = e, true
	f.armed, f.context, f.breadcrumb = false, context{}, 0
}

// Ending reports whether the end of a context has not been taken yet.
func (f *FailSafe) Ending() bool { return f.hasEnded }

// TakeEnded returns the context that has ended since the last call.
func (f *FailSafe) TakeEnded() (Ended, bool) {
	e, ok := f.ended, f.hasEnded
	f.ended, f.hasEnded = Ended{}, false
	return e, ok
}

// FabricRemoved ends the context if it belongs to fabric i, which has been removed.
func (f *FailSafe) FabricRemoved(i matter.FabricIndex) {
	if i != matter.NoFabric && f.ArmedFor(i) {
		f.Expire(FabricRemoved)
	}
}

// Deadline returns when the fail-safe expires; ok is false while not armed.
func (f *FailSafe) Deadline() (t time.Time, ok bool) { return f.context.deadline, f.armed }

// Advance ends the fail-safe if its deadline has passed.
func (f *FailSafe) Advance(now time.Time) {
	if f.armed && !now.Before(f.context.deadline) {
		f.Expire(Timeout)
	}
}

// Breadcrumb returns the value that a commissioner has set. It becomes 0 when a context
// ends.
func (f *FailSafe) Breadcrumb() uint64 { return f.breadcrumb }

// SetBreadcrumb sets the commissioner's value.
func (f *FailSafe) SetBreadcrumb(v uint64) { f.breadcrumb = v }
