package window

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/mcrypto"
)

// Limits of a window (sections 5.4.2.3, 11.19.8 and 13.3). The commands of an
// administrator take MinTimeout to MaxTimeout; the initial window of a node may
// last up to MaxInitial, as extended announcement.
const (
	MinTimeout     = 180 * time.Second
	MaxTimeout     = 900 * time.Second
	DefaultInitial = 15 * time.Minute
	MaxInitial     = 48 * time.Hour

	MaxAttempts      = 20
	MaxDiscriminator = 0x0FFF
)

// ErrOpen is what opening a window returns while one is open.
var ErrOpen = errors.New("a commissioning window is open already")

// Passcode is what a node knows of a setup passcode, and the discriminator that
// goes with it.
type Passcode struct {
	Verifier      mcrypto.Verifier
	Salt          []byte // 16 to 32 octets
	Iterations    uint32 // 1000 to 100000
	Discriminator uint16 // 0 to MaxDiscriminator
}

// Kind says which window is open.
type Kind uint8

// The kinds.
const (
	Closed   Kind = iota
	Initial       // opened by the node itself, because it has no fabric
	Basic         // opened by an administrator, with the node's own passcode
	Enhanced      // opened by an administrator, with a passcode of its own
)

// String returns the kind as the operator reads it.
func (k Kind) String() string {
	switch k {
	case Closed:
		return "closed"
	case Initial:
		return "initial"
	case Basic:
		return "basic"
	case Enhanced:
		return "enhanced"
	}
	return fmt.Sprintf("kind %d", uint8(k))
}

// Advertisement is what the commissionable service announces.
type Advertisement struct {
	Discriminator uint16
	Mode          uint8  // the CM key: 1 for the node's own passcode, 2 for another
	Instance      uint64 // random, new for every opening
}

// Values of the CM key (section 4.3.1.7).
const (
	modeOnboard  = 1
	modeEnhanced = 2
)

// pairing is how far a commissioner has come.
type pairing uint8

const (
	idle        pairing = iota // ended by Begin
	handshake                  // PASE under way; ended by Failed, Succeeded or Close
	established                // a PASE session lives; ended by SessionEnded
)

// Window is the commissioning window of a node. It is not safe for concurrent
// use.
type Window struct {
	rand    io.Reader
	onboard Passcode

	kind     Kind
	deadline time.Time
	enhanced Passcode // wiped unless kind is Enhanced
	instance uint64
	failures int
	admin    admin
	next     time.Duration // of the initial window that follows this one; 0: none does

	pairing pairing
	counts  bool // the session was opened through the window that is open now
}

// admin is who opened the window.
type admin struct {
	fabric matter.FabricIndex
	vendor matter.VendorID
	known  bool
}

// New returns a closed window. onboard is the passcode of the initial and the
// basic window; rand yields the instance names.
func New(onboard Passcode, rand io.Reader) *Window {
	return &Window{onboard: onboard, rand: rand}
}

// OpenInitial opens the window of a node without fabrics for d, at most
// MaxInitial. A window that is open is opened anew.
func (w *Window) OpenInitial(now time.Time, d time.Duration) error {
	w.Close()
	return w.open(now, min(d, MaxInitial), Initial, admin{})
}

// FollowWithInitial opens the window of a node without fabrics for d, as OpenInitial
// does. If a window is open it stays, as its passcode is known to somebody; the initial
// one follows when that one times out or is used up, unless Close comes first.
func (w *Window) FollowWithInitial(now time.Time, d time.Duration) error {
	if w.Open() {
		w.next = min(d, MaxInitial)
		return nil
	}
	return w.OpenInitial(now, d)
}

// OpenBasic opens a basic window for d, in the name of the administrator of
// fabric, whose vendor id is vendor; [matter.NoFabric] stands for the operator of
// the node. ErrOpen if one is open.
func (w *Window) OpenBasic(now time.Time, d time.Duration, fabric matter.FabricIndex, vendor matter.VendorID) error {
	if w.Open() {
		return ErrOpen
	}
	return w.open(now, d, Basic, admin{fabric, vendor, fabric != matter.NoFabric})
}

// OpenEnhanced is OpenBasic with a passcode that serves this window alone. The
// caller has checked p's ranges.
func (w *Window) OpenEnhanced(now time.Time, d time.Duration, p Passcode, fabric matter.FabricIndex, vendor matter.VendorID) error {
	if w.Open() {
		return ErrOpen
	}
	if err := w.open(now, d, Enhanced, admin{fabric, vendor, fabric != matter.NoFabric}); err != nil {
		return err
	}
	w.enhanced = p
	return nil
}

func (w *Window) open(now time.Time, d time.Duration, k Kind, a admin) error {
	var b [8]byte
	if _, err := io.ReadFull(w.rand, b[:]); err != nil {
		return fmt.Errorf("drawing an instance name: %w", err)
	}
	w.kind, w.admin, w.next = k, a, 0
	w.deadline = now.Add(d)
	w.instance = binary.BigEndian.Uint64(b[:])
	w.failures = 0
	return nil
}

// Close closes the window, if it is open: nothing is announced or accepted any
// more, and a handshake under way does not succeed. A PASE session that lives is
// the caller's to end.
func (w *Window) Close() {
	w.next = 0
	w.end()
}

// end is Close, after which the initial window may follow.
func (w *Window) end() {
	w.expire()
	if w.pairing == handshake {
		w.pairing = idle
	}
}

// expire closes the window and lets a commissioning under way go on.
func (w *Window) expire() {
	w.kind, w.admin = Closed, admin{}
	w.enhanced.Verifier.Wipe()
	w.enhanced = Passcode{}
	w.counts = false
}

// Kind returns which window is open.
func (w *Window) Kind() Kind { return w.kind }

// Open reports whether a window of any kind is open, also while a commissioner
// is busy in it.
func (w *Window) Open() bool { return w.kind != Closed }

// Admin returns who opened the window; ok is false when no administrator did.
// fabric is [matter.NoFabric] once that fabric is removed.
func (w *Window) Admin() (fabric matter.FabricIndex, vendor matter.VendorID, ok bool) {
	return w.admin.fabric, w.admin.vendor, w.admin.known
}

// FabricRemoved forgets the fabric that opened the window; the window stays open
// (section 11.19.7.2).
func (w *Window) FabricRemoved(i matter.FabricIndex) {
	if w.admin.fabric == i {
		w.admin.fabric = matter.NoFabric
	}
}

// Offer returns the passcode that a PASE handshake may use now: ok is false
// unless a window is open, no handshake is under way and no PASE session lives.
func (w *Window) Offer() (p Passcode, ok bool) {
	if !w.Open() || w.pairing != idle {
		return Passcode{}, false
	}
	if w.kind == Enhanced {
		return w.enhanced, true
	}
	return w.onboard, true
}

// Begin says that a handshake has begun on what Offer returned.
func (w *Window) Begin() {
	if !w.Open() || w.pairing != idle {
		panic("BUG: window: a handshake begins without an offer")
	}
	w.pairing = handshake
}

// Failed says that a handshake failed or ran out of time. The window closes at
// the MaxAttempts-th failure of any kind.
func (w *Window) Failed(now time.Time) {
	if w.pairing == handshake {
		w.pairing = idle
	}
	w.timeout(now)
	w.count()
	w.Advance(now)
}

func (w *Window) count() {
	if !w.Open() {
		return
	}
	if w.failures++; w.failures >= MaxAttempts {
		w.end()
	}
}

// Succeeded says that the handshake has led to a session. It returns false if
// the session must not come to be, because the window was closed meanwhile.
func (w *Window) Succeeded() bool {
	if w.pairing != handshake {
		return false
	}
	w.pairing, w.counts = established, w.Open()
	return true
}

// SessionEnded says that the PASE session is gone. In a window that is still
// open it was a failed attempt, and announcement goes on.
func (w *Window) SessionEnded(now time.Time) {
	if w.pairing != established {
		return
	}
	w.pairing = idle
	w.timeout(now)
	if w.counts {
		w.counts = false
		w.count()
	}
	w.Advance(now)
}

// Failures returns how many attempts failed in the window that is open.
func (w *Window) Failures() int { return w.failures }

// Advertise returns what to announce; ok is false when nothing is: no window, or
// a PASE session lives.
func (w *Window) Advertise() (a Advertisement, ok bool) {
	if !w.Open() || w.pairing == established {
		return Advertisement{}, false
	}
	if w.kind == Enhanced {
		return Advertisement{Discriminator: w.enhanced.Discriminator, Mode: modeEnhanced, Instance: w.instance}, true
	}
	return Advertisement{Discriminator: w.onboard.Discriminator, Mode: modeOnboard, Instance: w.instance}, true
}

// Deadline returns when the window closes by itself; ok is false if none is open.
func (w *Window) Deadline() (t time.Time, ok bool) { return w.deadline, w.Open() }

// Advance closes the window if its time is up, and opens the one that follows.
func (w *Window) Advance(now time.Time) {
	w.timeout(now)
	if w.next > 0 && !w.Open() {
		if err := w.open(now, w.next, Initial, admin{}); err != nil {
			panic("BUG: window: " + err.Error())
		}
	}
}

// timeout closes the window if its time is up.
func (w *Window) timeout(now time.Time) {
	if w.Open() && !now.Before(w.deadline) {
		w.expire()
	}
}
