package window

import (
	"bytes"
	"crypto/rand"
	"errors"
	"io"
	"testing"
	"time"

	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/mcrypto"
)

var start = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func passcode(w0 byte, discriminator uint16) Passcode {
	p := Passcode{Salt: bytes.Repeat([]byte{w0}, 16), Iterations: 1000, Discriminator: discriminator}
	p.Verifier.W0[0] = w0
	return p
}

func newWindow(t *testing.T) *Window {
	t.Helper()
	return New(passcode(1, 3840), rand.Reader)
}

func openBasic(t *testing.T, w *Window, now time.Time) {
	t.Helper()
	if err := w.OpenBasic(now, MinTimeout, 1, 0xFFF1); err != nil {
		t.Fatalf("OpenBasic: %v", err)
	}
}

func wantOffer(t *testing.T, w *Window, what string, w0 byte) {
	t.Helper()
	p, ok := w.Offer()
	if !ok || p.Verifier.W0[0] != w0 {
		t.Errorf("%s: Offer = passcode %d, %v, want passcode %d", what, p.Verifier.W0[0], ok, w0)
	}
}

func wantNoOffer(t *testing.T, w *Window, what string) {
	t.Helper()
	if _, ok := w.Offer(); ok {
		t.Errorf("%s: Offer = true, want false", what)
	}
}

func wantAdvertised(t *testing.T, w *Window, what string, want bool) {
	t.Helper()
	if a, ok := w.Advertise(); ok != want {
		t.Errorf("%s: Advertise = %+v, %v, want %v", what, a, ok, want)
	}
}

func TestKinds(t *testing.T) {
	for _, tt := range []struct {
		name          string
		open          func(w *Window) error
		kind          Kind
		passcode      byte
		discriminator uint16
		mode          uint8
		admin         bool
	}{
		{"initial", func(w *Window) error { return w.OpenInitial(start, DefaultInitial) }, Initial, 1, 3840, 1, false},
		{"basic", func(w *Window) error { return w.OpenBasic(start, MinTimeout, 2, 0xFFF2) }, Basic, 1, 3840, 1, true},
		{"enhanced", func(w *Window) error { return w.OpenEnhanced(start, MinTimeout, passcode(9, 77), 2, 0xFFF2) }, Enhanced, 9, 77, 2, true},
		{"basic, by the operator", func(w *Window) error { return w.OpenBasic(start, MinTimeout, matter.NoFabric, 0) }, Basic, 1, 3840, 1, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWindow(t)
			wantNoOffer(t, w, "closed")
			wantAdvertised(t, w, "closed", false)
			if err := tt.open(w); err != nil {
				t.Fatalf("opening: %v", err)
			}
			if w.Kind() != tt.kind || w.Kind().String() == "" {
				t.Errorf("Kind = %v, want %v", w.Kind(), tt.kind)
			}
			wantOffer(t, w, "open", tt.passcode)
			a, ok := w.Advertise()
			if !ok || a.Discriminator != tt.discriminator || a.Mode != tt.mode {
				t.Errorf("Advertise = %+v, %v, want discriminator %d, mode %d", a, ok, tt.discriminator, tt.mode)
			}
			fabric, vendor, ok := w.Admin()
			if ok != tt.admin || ok && (fabric != 2 || vendor != 0xFFF2) {
				t.Errorf("Admin = %d, %04X, %v, want known = %v", fabric, vendor, ok, tt.admin)
			}
			w.Close()
			if w.Open() || w.enhanced.Verifier != (mcrypto.Verifier{}) {
				t.Error("the window is open, or keeps its verifier, after Close")
			}
			if _, _, ok := w.Admin(); ok {
				t.Error("Admin is known after Close")
			}
		})
	}
}

func TestOpenTwice(t *testing.T) {
	w := newWindow(t)
	openBasic(t, w, start)
	if err := w.OpenBasic(start, MinTimeout, 1, 0xFFF1); !errors.Is(err, ErrOpen) {
		t.Errorf("OpenBasic = %v, want ErrOpen", err)
	}
	if err := w.OpenEnhanced(start, MinTimeout, passcode(9, 77), 1, 0xFFF1); !errors.Is(err, ErrOpen) {
		t.Errorf("OpenEnhanced = %v, want ErrOpen", err)
	}
	wantOffer(t, w, "refused a second window", 1)
	if err := w.OpenInitial(start, DefaultInitial); err != nil || w.Kind() != Initial {
		t.Errorf("OpenInitial = %v, kind %v", err, w.Kind())
	}
}

func TestInstanceIsNewForEachOpening(t *testing.T) {
	w := newWindow(t)
	seen := map[uint64]bool{}
	for range 4 {
		openBasic(t, w, start)
		a, _ := w.Advertise()
		if seen[a.Instance] {
			t.Errorf("instance %016X twice", a.Instance)
		}
		seen[a.Instance] = true
		w.Begin()
		w.Failed(start)
		if b, _ := w.Advertise(); b.Instance != a.Instance {
			t.Error("the instance changed within one window")
		}
		w.Close()
	}
}

func TestTimeout(t *testing.T) {
	w := newWindow(t)
	if _, ok := w.Deadline(); ok {
		t.Error("a closed window has a deadline")
	}
	openBasic(t, w, start)
	end, ok := w.Deadline()
	if !ok || !end.Equal(start.Add(MinTimeout)) {
		t.Fatalf("Deadline = %v, %v", end, ok)
	}
	w.Advance(end.Add(-1))
	if !w.Open() {
		t.Error("closed before its time")
	}
	w.Advance(end)
	if w.Open() {
		t.Error("open after its time")
	}
}

func TestInitialIsBounded(t *testing.T) {
	w := newWindow(t)
	if err := w.OpenInitial(start, 49*time.Hour); err != nil {
		t.Fatal(err)
	}
	if end, _ := w.Deadline(); !end.Equal(start.Add(MaxInitial)) {
		t.Errorf("Deadline = %v, want 48 hours on", end)
	}
}

func TestHandshake(t *testing.T) {
	w := newWindow(t)
	openBasic(t, w, start)
	w.Begin()
	wantNoOffer(t, w, "handshake under way")
	wantAdvertised(t, w, "handshake under way", true)
	w.SessionEnded(start) // another's fail-safe ended, without a PASE session
	wantNoOffer(t, w, "handshake still under way")
	if !w.Succeeded() {
		t.Fatal("Succeeded = false")
	}
	wantNoOffer(t, w, "session lives")
	wantAdvertised(t, w, "session lives", false)
	if !w.Open() {
		t.Error("the window closed when the session came")
	}
	w.SessionEnded(start.Add(time.Minute))
	wantOffer(t, w, "session gone", 1)
	wantAdvertised(t, w, "session gone", true)
	if w.Failures() != 1 {
		t.Errorf("Failures = %d, want 1", w.Failures())
	}
	w.SessionEnded(start.Add(time.Minute))
	if w.Failures() != 1 {
		t.Error("a session that was none counts as a failed attempt")
	}
}

func TestTimeoutLetsCommissioningGoOn(t *testing.T) {
	t.Run("handshake", func(t *testing.T) {
		w := newWindow(t)
		openBasic(t, w, start)
		w.Begin()
		w.Advance(start.Add(MinTimeout))
		wantNoOffer(t, w, "after the time")
		wantAdvertised(t, w, "after the time", false)
		if !w.Succeeded() {
			t.Error("a handshake that had begun in time did not succeed")
		}
	})
	t.Run("session", func(t *testing.T) {
		w := newWindow(t)
		openBasic(t, w, start)
		w.Begin()
		w.Succeeded()
		w.SessionEnded(start.Add(MinTimeout))
		if w.Open() {
			t.Error("the window is open after its time")
		}
		wantAdvertised(t, w, "after the time", false)
		openBasic(t, w, start.Add(time.Hour))
		wantOffer(t, w, "opened again", 1)
	})
	t.Run("a session made after the time, then another window", func(t *testing.T) {
		w := newWindow(t)
		openBasic(t, w, start)
		w.Begin()
		w.Advance(start.Add(MinTimeout))
		w.Succeeded()
		openBasic(t, w, start.Add(MinTimeout))
		w.SessionEnded(start.Add(MinTimeout))
		if w.Failures() != 0 {
			t.Error("it counts as a failed attempt of the later window")
		}
	})
	t.Run("the session of an earlier window", func(t *testing.T) {
		w := newWindow(t)
		openBasic(t, w, start)
		w.Begin()
		w.Succeeded()
		w.Advance(start.Add(MinTimeout))
		openBasic(t, w, start.Add(MinTimeout))
		wantNoOffer(t, w, "the earlier session lives")
		w.SessionEnded(start.Add(MinTimeout))
		if w.Failures() != 0 {
			t.Error("it counts as a failed attempt of the later window")
		}
		wantOffer(t, w, "the earlier session is gone", 1)
	})
}

func TestCloseDuringHandshake(t *testing.T) {
	w := newWindow(t)
	openBasic(t, w, start)
	w.Begin()
	w.Close()
	if w.Succeeded() {
		t.Error("a handshake succeeded after the window was closed")
	}
	openBasic(t, w, start)
	if w.Succeeded() {
		t.Error("it succeeded in the next window")
	}
	w.Failed(start)
	wantOffer(t, w, "the next window", 1)
}

func TestTwentyFailures(t *testing.T) {
	for _, tt := range []struct {
		name string
		fail func(w *Window)
	}{
		{"handshakes", func(w *Window) { w.Begin(); w.Failed(start) }},
		{"requests that never became a handshake", func(w *Window) { w.Failed(start) }},
		{"sessions", func(w *Window) { w.Begin(); w.Succeeded(); w.SessionEnded(start) }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWindow(t)
			if err := w.OpenEnhanced(start, MinTimeout, passcode(9, 77), 1, 0xFFF1); err != nil {
				t.Fatal(err)
			}
			for i := range MaxAttempts {
				if !w.Open() {
					t.Fatalf("closed after %d failures", i)
				}
				tt.fail(w)
			}
			if w.Open() || w.enhanced.Verifier != (mcrypto.Verifier{}) {
				t.Fatalf("open, or the verifier kept, after %d failures", MaxAttempts)
			}
			openBasic(t, w, start)
			tt.fail(w)
			if !w.Open() {
				t.Error("the count went on into the next window")
			}
		})
	}
}

func TestFailedWithoutWindow(t *testing.T) {
	w := newWindow(t)
	w.Failed(start)
	if w.Failures() != 0 {
		t.Errorf("Failures = %d, want 0", w.Failures())
	}
}

func TestFabricRemoved(t *testing.T) {
	w := newWindow(t)
	if err := w.OpenBasic(start, MinTimeout, 3, 0xFFF1); err != nil {
		t.Fatal(err)
	}
	w.FabricRemoved(2)
	if f, _, _ := w.Admin(); f != 3 {
		t.Errorf("removing another fabric: Admin = %d, want 3", f)
	}
	w.FabricRemoved(3)
	if f, v, ok := w.Admin(); f != matter.NoFabric || v != 0xFFF1 || !ok {
		t.Errorf("Admin = %d, %04X, %v, want 0, FFF1, true", f, v, ok)
	}
	if !w.Open() {
		t.Error("the window closed with the fabric")
	}
}

func TestFollowWithInitial(t *testing.T) {
	w := newWindow(t)
	follow := func() {
		t.Helper()
		if err := w.FollowWithInitial(start, time.Hour); err != nil {
			t.Fatal(err)
		}
	}
	want := func(what string, now time.Duration, k Kind) {
		t.Helper()
		w.Advance(start.Add(now))
		if w.Kind() != k {
			t.Errorf("%s: %v, want %v", what, w.Kind(), k)
		}
	}
	follow()
	want("none was open", 0, Initial)
	w.Close()
	openBasic(t, w, start)
	follow()
	want("one is open", MinTimeout-1, Basic)
	want("it timed out", MinTimeout, Initial)
	want("and this, too", MinTimeout+time.Hour-1, Initial)
	want("and this, too", MinTimeout+time.Hour, Closed)
	openBasic(t, w, start)
	follow()
	for range MaxAttempts {
		w.Begin()
		w.Failed(start)
	}
	want("it was used up", 0, Initial)
	if w.Failures() != 0 {
		t.Errorf("%d failures in the initial window", w.Failures())
	}
	w.Close()
	openBasic(t, w, start)
	follow()
	w.Close()
	want("it was closed", time.Hour, Closed)
	openBasic(t, w, start)
	want("another one timed out", MinTimeout, Closed)
}

func TestBrokenRandom(t *testing.T) {
	w := New(passcode(1, 3840), bytes.NewReader(nil))
	for name, open := range map[string]func() error{
		"initial":  func() error { return w.OpenInitial(start, DefaultInitial) },
		"basic":    func() error { return w.OpenBasic(start, MinTimeout, 1, 0xFFF1) },
		"enhanced": func() error { return w.OpenEnhanced(start, MinTimeout, passcode(9, 77), 1, 0xFFF1) },
	} {
		if err := open(); !errors.Is(err, io.EOF) || w.Open() {
			t.Errorf("%s: error %v, open %v", name, err, w.Open())
		}
	}
}

func TestKindNames(t *testing.T) {
	seen := map[string]bool{}
	for k := Closed; k <= Enhanced+1; k++ {
		if s := k.String(); s == "" || seen[s] {
			t.Errorf("kind %d: %q", uint8(k), s)
		} else {
			seen[s] = true
		}
	}
}

func TestBeginWithoutOffer(t *testing.T) {
	w := newWindow(t)
	defer func() {
		if recover() == nil {
			t.Error("Begin on a closed window does not panic")
		}
	}()
	w.Begin()
}
