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

// Limits of a window (sections 5.4.2.3, 11.19.8 and 13.3). An administrator opens one for
// MinTimeout to MaxTimeout. The initial window of a node may last up to MaxInitial, as
// extended announcement.
const (
	MinTimeout     = 180 * time.Second
	MaxTimeout     = 900 * time.Second
	DefaultInitial = 15 * time.Minute
	MaxInitial     = 48 * time.Hour

	MaxAttempts      = 20
	MaxDiscriminator = 0x0FFF
)

// ErrOpen is returned when a window is opened while another one is open.
var ErrOpen = errors.New("a commissioning window is open already")

// Passcode is a setup passcode in the form of its verifier, and its discriminator.
type Passcode struct {
	Verifier      mcrypto.Verifier
	Salt          []byte // 16 to 32 octets
	Iterations    uint32 // 1000 to 100000
	Discriminator uint16 // 0 to MaxDiscriminator
}

// Kind is the kind of the open window.
type Kind uint8

// The kinds.
const (
	Closed   Kind = iota
	Initial       // opened by the node itself, because it has no fabric
	Basic         // opened by an administrator, with the node's own passcode
	Enhanced      // opened by an administrator, with a passcode of its own
)

// String returns the kind for the log.
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

// Advertisement is the content of the commissionable service.
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

// pairing is the progress of a commissioner.
type pairing uint8

const (
	idle        pairing = iota // ended by Begin
	handshake                  // PASE under way; ended by Failed, Succeeded or Close
	established                // there is a PASE session; ended by SessionEnded
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
	next     time.Duration // of the initial window that follows this one; 0: none follows

	pairing pairing
	counts  bool // the session was opened in the present window
}

// admin is the administrator who opened the window.
type admin struct {
	fabric matter.FabricIndex
	vendor matter.VendorID
	known  bool
}

// New returns a closed window. The initial and the basic window use the passcode onboard.
// Instance names are drawn from rand.
func New(onboard Passcode, rand io.Reader) *Window {
	return &Window{onboard: onboard, rand: rand}
}

// OpenInitial opens the window of a node without fabrics for d, at most MaxInitial. It
// closes an open window first.
func (w *Window) OpenInitial(now time.Time, d time.Duration) error {
	w.Close()
	return w.open(now, min(d, MaxInitial), Initial, admin{})
}

// FollowWithInitial is OpenInitial for a node whose last fabric has been removed. An open
// window stays open, as its administrator has given its passcode to somebody. The initial
// window opens when that one times out or has had MaxAttempts failures, but not after
// Close.
func (w *Window) FollowWithInitial(now time.Time, d time.Duration) error {
	if w.Open() {
		w.next = min(d, MaxInitial)
		return nil
	}
	return w.OpenInitial(now, d)
}

// OpenBasic opens a basic window for d. fabric and vendor are those of the administrator
// who opens it; fabric is [matter.NoFabric] for the operator of the node. It returns
// ErrOpen if a window is open.
func (w *Window) OpenBasic(now time.Time, d time.Duration, fabric matter.FabricIndex, vendor matter.VendorID) error {
	if w.Open() {
		return ErrOpen
	}
	return w.open(now, d, Basic, admin{fabric, vendor, fabric != matter.NoFabric})
}

// OpenEnhanced is OpenBasic with a passcode for this window only. The caller has checked
// the ranges of p.
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

// Close closes the window, if one is open. Nothing is announced or accepted any more, and
// a handshake that has begun fails. Close does not end a PASE session.
func (w *Window) Close() {
	w.next = 0
	w.end()
}

// end is Close, except that the initial window may follow.
func (w *Window) end() {
	w.expire()
	if w.pairing == handshake {
		w.pairing = idle
	}
}

// expire closes the window. A commissioning that has begun continues.
func (w *Window) expire() {
	w.kind, w.admin = Closed, admin{}
	w.enhanced.Verifier.Wipe()
	w.enhanced = Passcode{}
	w.counts = false
}

// Kind returns the kind of the open window, or Closed.
func (w *Window) Kind() Kind { return w.kind }

// Open reports whether a window of any kind is open. It stays open while a commissioner
// uses it.
func (w *Window) Open() bool { return w.kind != Closed }

// Admin returns the administrator who opened the window; ok is false if it was not opened
// by one. fabric is [matter.NoFabric] after that fabric has been removed.
func (w *Window) Admin() (fabric matter.FabricIndex, vendor matter.VendorID, ok bool) {
	return w.admin.fabric, w.admin.vendor, w.admin.known
}

// FabricRemoved removes fabric i from Admin. The window stays open (section 11.19.7.2).
func (w *Window) FabricRemoved(i matter.FabricIndex) {
	if w.admin.fabric == i {
		w.admin.fabric = matter.NoFabric
	}
}

// Offer returns the passcode for a new PASE handshake. ok is false if no window is open,
// if a handshake has begun, or if there is a PASE session.
func (w *Window) Offer() (p Passcode, ok bool) {
	if !w.Open() || w.pairing != idle {
		return Passcode{}, false
	}
	if w.kind == Enhanced {
		return w.enhanced, true
	}
	return w.onboard, true
}

// Begin records that a handshake with the offered passcode has begun.
func (w *Window) Begin() {
	if !w.Open() || w.pairing != idle {
		panic("BUG: window: a handshake begins without an offer")
	}
	w.pairing = handshake
}

// Failed records that a handshake has failed or timed out. The window closes at the
// MaxAttempts-th failure of any kind.
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

// Succeeded records that the handshake is complete. It returns false if there must not be
// a session, because the window was closed meanwhile.
func (w *Window) Succeeded() bool {
	if w.pairing != handshake {
		return false
	}
	w.pairing, w.counts = established, w.Open()
	return true
}

// SessionEnded records the end of the PASE session. If the window is still open, it counts
// as a failed attempt, and announcement continues.
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

// Failures returns how many attempts have failed in the present or the last window.
func (w *Window) Failures() int { return w.failures }

// Advertise returns what to announce; ok is false if no window is open or if there is a
// PASE session.
func (w *Window) Advertise() (a Advertisement, ok bool) {
	if !w.Open() || w.pairing == established {
		return Advertisement{}, false
	}
	if w.kind == Enhanced {
		return Advertisement{Discriminator: w.enhanced.Discriminator, Mode: modeEnhanced, Instance: w.instance}, true
	}
	return Advertisement{Discriminator: w.onboard.Discriminator, Mode: modeOnboard, Instance: w.instance}, true
}

// Deadline returns when the window times out; ok is false if none is open.
func (w *Window) Deadline() (t time.Time, ok bool) { return w.deadline, w.Open() }

// Advance closes the window if its deadline has passed, and opens the one that follows.
func (w *Window) Advance(now time.Time) {
	w.timeout(now)
	if w.next > 0 && !w.Open() {
		if err := w.open(now, w.next, Initial, admin{}); err != nil {
			panic("BUG: window: " + err.Error())
		}
	}
}

// timeout closes the window if its deadline has passed.
func (w *Window) timeout(now time.Time) {
	if w.Open() && !now.Before(w.deadline) {
		w.expire()
	}
}
