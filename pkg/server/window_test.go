package server_test

import (
	"errors"
	"reflect"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/opcredsd/opcredsd/internal/commissioner"
	"github.com/opcredsd/opcredsd/pkg/exchange"
	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/mcrypto"
)

// Commands of Administrator Commissioning, all of them timed.
const (
	cmdOpenEnhanced matter.CommandID = 0
	cmdOpenBasic    matter.CommandID = 1
	cmdRevoke       matter.CommandID = 2
)

// window invokes a command of Administrator Commissioning.
func (r *rig) window(s *commissioner.Session, cmd matter.CommandID, pairs ...any) string {
	_, err := s.InvokeTimed(r.ctx, 0, clWindow, cmd, args(pairs...), 5*time.Second)
	return outcome(err)
}

// windowState is the state in the attributes; -1 is null.
type windowState struct{ status, fabric, vendor int64 }

var closedWindow = windowState{0, -1, -1}

func (r *rig) windowState(s *commissioner.Session) windowState {
	r.t.Helper()
	return windowState{r.number(s, clWindow, 0), r.number(s, clWindow, 1), r.number(s, clWindow, 2)}
}

// silent reports whether the node does not answer PASE at all, not even with an
// acknowledgement.
func (r *rig) silent(c *commissioner.Client) bool {
	_, err := c.PASE(r.ctx, deviceAddr, passcode)
	return errors.Is(err, exchange.ErrNoAck)
}

const otherPasscode = 34567890

func TestOpenCommissioningWindow(t *testing.T) {
	twoFabrics(t, commissioner.AuthorityOptions{}, func(p *pair) {
		r, s := p.rig, p.one.CASE
		salt := make([]byte, 33)
		v, err := mcrypto.NewVerifier(otherPasscode, salt[:32], 1000)
		r.must(err)
		good := v.Bytes()
		offCurve := good
		offCurve[96] ^= 1
		f := []any{0, 179, 1, good[:96], 2, 4096, 3, 999, 4, salt}
		set := func(field int, v any) { f = slices.Concat(f[:2*field+1], []any{v}, f[2*field+2:]) }
		step := func(what, want string) {
			t.Helper()
			r.want(what, r.window(s, cmdOpenEnhanced, f...), want)
		}
		r.want("not timed", r.command(s, clWindow, cmdOpenEnhanced, f...), needsTimed)
		r.want("not timed, without fields", r.command(s, clWindow, cmdOpenEnhanced), needsTimed)
		for i := 0; i < len(f); i += 2 {
			r.want("a field is missing", r.window(s, cmdOpenEnhanced, slices.Concat(f[:i], f[i+2:])...), invalidCommand)
		}
		r.must(p.two.CASE.ArmFailSafe(r.ctx, 60, 0))
		step("another's fail-safe", windowBusy)
		r.must(p.two.CASE.ArmFailSafe(r.ctx, 0, 0))
		r.must(s.ArmFailSafe(r.ctx, 60, 0))
		step("own fail-safe", windowBusy)
		r.must(s.ArmFailSafe(r.ctx, 0, 0))
		step("999 iterations", pakeParameter)
		set(3, 100001)
		step("100001 iterations", pakeParameter)
		set(3, 1000)
		step("salt of 33 octets", pakeParameter)
		set(4, salt[:15])
		step("salt of 15 octets", pakeParameter)
		set(4, salt[:32])
		step("179 s", invalidCommand)
		set(0, 901)
		step("901 s", invalidCommand)
		set(0, 180)
		step("discriminator 4096", invalidCommand)
		set(2, 0xABC)
		step("verifier of 96 octets", pakeParameter)
		set(1, offCurve[:])
		step("verifier off the curve", pakeParameter)
		set(1, make([]byte, 97))
		step("verifier of zeros", pakeParameter)
		if got := r.windowState(s); got != closedWindow {
			t.Errorf("after refusals: %+v", got)
		}
		set(1, good[:])
		step("right", ok)
		if got := r.windowState(p.two.CASE); got != (windowState{1, 1, int64(p.a.VendorID)}) {
			t.Errorf("open: %+v", got)
		}
		step("open already", windowBusy)
		r.want("open already, a field is missing", r.window(s, cmdOpenEnhanced, f[2:]...), invalidCommand)
		r.want("open already, all wrong", r.window(s, cmdOpenEnhanced, 0, 1, 1, salt, 2, 4096, 3, 1, 4, salt), windowBusy)
		r.want("open already, basic", r.window(p.two.CASE, cmdOpenBasic, 0, 1), windowBusy)

		services := r.announced.of("_matterc._udp")
		if len(services) != 1 || !slices.Contains(services[0].Subtypes, "_L2748") || !slices.Contains(services[0].TXT, "CM=2") || !slices.Contains(services[0].TXT, "D=2748") {
			t.Errorf("announced: %+v", services)
		}
		if _, err := p.c.PASE(r.ctx, deviceAddr, passcode); err == nil {
			t.Error("the node's own passcode opens an enhanced window")
		}
		pase, err := p.c.PASE(r.ctx, deviceAddr, otherPasscode)
		r.must(err)
		r.want("over PASE", r.window(pase, cmdOpenEnhanced, f...), pakeParameter)
		r.want("basic over PASE", r.window(pase, cmdOpenBasic, 0, 180), pakeParameter)
		r.join(p.c, pase, r.authority(commissioner.AuthorityOptions{}))
		if got := r.windowState(s); got != closedWindow {
			t.Errorf("after a commissioning: %+v", got)
		}
		if _, err := p.c.PASE(r.ctx, deviceAddr, otherPasscode); err == nil {
			t.Error("the passcode of a closed window is good")
		}
	})
}

func TestOpenBasicCommissioningWindow(t *testing.T) {
	twoFabrics(t, commissioner.AuthorityOptions{}, func(p *pair) {
		r, s := p.rig, p.two.CASE
		r.want("not timed", r.command(s, clWindow, cmdOpenBasic, 0, 180), needsTimed)
		r.want("no time", r.window(s, cmdOpenBasic), invalidCommand)
		r.must(p.one.CASE.ArmFailSafe(r.ctx, 60, 0))
		r.want("another's fail-safe, bad time", r.window(s, cmdOpenBasic, 0, 1), windowBusy)
		r.must(p.one.CASE.ArmFailSafe(r.ctx, 0, 0))
		r.want("179 s", r.window(s, cmdOpenBasic, 0, 179), invalidCommand)
		r.want("901 s", r.window(s, cmdOpenBasic, 0, 901), invalidCommand)
		r.want("900 s", r.window(s, cmdOpenBasic, 0, 900), ok)
		if got := r.windowState(p.one.CASE); got != (windowState{2, 2, int64(p.b.VendorID)}) {
			t.Errorf("open: %+v", got)
		}
		if services := r.announced.of("_matterc._udp"); len(services) != 1 || !slices.Contains(services[0].TXT, "CM=1") {
			t.Errorf("announced: %+v", services)
		}
		r.want("again", r.window(s, cmdOpenBasic, 0, 900), windowBusy)
		r.want("again, without a time", r.window(s, cmdOpenBasic), invalidCommand)
		r.want("again, too short", r.window(s, cmdOpenBasic, 0, 1), windowBusy)
		r.commission(p.c, r.authority(commissioner.AuthorityOptions{}))
	})
}

func TestRevokeCommissioning(t *testing.T) {
	twoFabrics(t, commissioner.AuthorityOptions{}, func(p *pair) {
		r, s := p.rig, p.one.CASE
		r.want("not timed", r.command(s, clWindow, cmdRevoke), needsTimed)
		r.want("none open", r.window(s, cmdRevoke), windowNotOpen)
		r.must(s.OpenEnhancedWindow(r.ctx, 180, otherPasscode, 5))
		r.want("open", r.window(p.two.CASE, cmdRevoke), ok)
		r.want("again", r.window(s, cmdRevoke), windowNotOpen)
		synctest.Wait()
		if got := r.windowState(s); got != closedWindow || len(r.announced.of("_matterc._udp")) != 0 {
			t.Errorf("revoked: %+v", got)
		}
		if !r.silent(p.c) {
			t.Error("PASE is answered")
		}
		// A handshake in progress ends, even though its window was another one's.
		r.must(s.OpenBasicWindow(r.ctx, 180))
		pase := r.pase(p.c)
		r.must(pase.AddRoot(r.ctx, r.authority(commissioner.AuthorityOptions{}).Root()))
		r.want("with a commissioner inside", r.window(p.two.CASE, cmdRevoke), ok)
		r.eventually("its session ends", time.Second, func() bool { return r.left(pase) })
		if len(r.roots(s, false)) != 2 || r.armed(s) {
			t.Error("the fail-safe goes on")
		}
		r.must(s.OpenBasicWindow(r.ctx, 180))
		r.commission(p.c, r.authority(commissioner.AuthorityOptions{}))
	})
}

func TestWindowTimeout(t *testing.T) {
	bubble(t, 1, clean, func(r *rig) {
		c := r.client()
		one := r.commission(c, r.authority(commissioner.AuthorityOptions{})).CASE
		opened := time.Now()
		r.must(one.OpenBasicWindow(r.ctx, 180))
		time.Sleep(170 * time.Second)
		s := r.pase(c)
		r.must(s.ArmFailSafe(r.ctx, 120, 0))
		time.Sleep(time.Until(opened.Add(181 * time.Second)))
		if got := r.windowState(one); got != closedWindow {
			t.Errorf("after its time: %+v", got)
		}
		// A commissioner that has a session may continue.
		r.join(c, s, r.authority(commissioner.AuthorityOptions{}))
		if !r.silent(c) {
			t.Error("PASE is answered")
		}
	})
	// The initial window closes too, and opens again at a start.
	bubble(t, 1, clean, func(r *rig) {
		c := r.client()
		time.Sleep(15*time.Minute + time.Second)
		synctest.Wait()
		if len(r.announced.of("_matterc._udp")) != 0 || !r.silent(c) {
			t.Error("open after 15 minutes")
		}
		r.restart()
		r.commission(c, r.authority(commissioner.AuthorityOptions{}))
	})
}

// There is one commissioner at a time: others get no answer, and the node is not
// discoverable.
func TestOneCommissioner(t *testing.T) {
	bubble(t, 1, clean, func(r *rig) {
		s := r.pase(r.client())
		synctest.Wait()
		if len(r.announced.of("_matterc._udp")) != 0 {
			t.Error("announced while a commissioner is inside")
		}
		if !r.silent(r.client()) {
			t.Error("a second PASE is answered")
		}
		if !r.alive(s) {
			t.Error("the first session ended")
		}
		s.Close()
		r.eventually("announced again", time.Second, func() bool { return len(r.announced.of("_matterc._udp")) == 1 })
		r.pase(r.client())
	})
}

// Twenty failures close a window, whether of the passcode or of the commissioning.
func TestTwentyFailures(t *testing.T) {
	fail := func(r *rig, c *commissioner.Client) {
		r.t.Helper()
		if _, err := c.PASE(r.ctx, deviceAddr, passcode+1); err == nil {
			r.t.Fatal("a wrong passcode opens a session")
		}
	}
	bubble(t, 1, clean, func(r *rig) {
		c := r.client()
		fail(r, c)
		s := r.pase(c)
		time.Sleep(61 * time.Second) // the fail-safe has expired
		if seen, err := r.srv.Inspect(); err != nil || !r.left(s) || seen.Failures != 2 {
			t.Errorf("%d failures, %v; the session is gone: %v", seen.Failures, err, r.left(s))
		}
		one := r.commission(c, r.authority(commissioner.AuthorityOptions{})).CASE
		r.must(one.OpenEnhancedWindow(r.ctx, 900, otherPasscode, 1))
		for range 19 {
			fail(r, c)
		}
		if got := r.windowState(one); got.status != 1 {
			r.t.Fatalf("after 19 failures: %+v", got)
		}
		fail(r, c)
		synctest.Wait()
		if got := r.windowState(one); got != closedWindow || len(r.announced.of("_matterc._udp")) != 0 {
			t.Errorf("after 20 failures: %+v", got)
		}
		if _, err := c.PASE(r.ctx, deviceAddr, otherPasscode); err == nil {
			t.Error("the right passcode comes after 20 wrong ones")
		}
		r.must(one.OpenBasicWindow(r.ctx, 180)) // begins to count again
		fail(r, c)
		r.commission(c, r.authority(commissioner.AuthorityOptions{}))
	})
}

// The attributes of the initial window are those of a closed one, and so are the
// answers to the commands.
func TestInitialWindow(t *testing.T) {
	bubble(t, 1, clean, func(r *rig) {
		c := r.client()
		s := r.pase(c)
		if got := r.windowState(s); got != closedWindow {
			t.Errorf("%+v", got)
		}
		// Only time and a new fabric close it.
		r.want("revoke", r.window(s, cmdRevoke), windowNotOpen)
		r.want("open another", r.window(s, cmdOpenBasic, 0, 180), pakeParameter)
		a := r.authority(commissioner.AuthorityOptions{})
		done, err := s.Join(r.ctx, a)
		r.must(err)
		r.want("revoke, by the new fabric", r.window(s, cmdRevoke), windowNotOpen)
		r.want("open another, in the fail-safe", r.window(s, cmdOpenBasic, 0, 180), windowBusy)
		r.must(r.session(c, a, done.Node).CommissioningComplete(r.ctx))
	})
}

// If the last administrator opens a window and leaves, its codes stay valid for the
// next owner, whoever removes the fabric (section 11.19.7.2).
func TestWindowOutlivesTheLastFabric(t *testing.T) {
	for name, remove := range map[string]func(r *rig, s *commissioner.Session){
		"by itself":       func(r *rig, s *commissioner.Session) { r.want("RemoveFabric", r.creds(s, cmdRemove, 0, 1), ok) },
		"by the operator": func(r *rig, _ *commissioner.Session) { r.must(r.srv.Operator().RemoveFabric(r.ctx, 1)) },
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, 1, clean, func(r *rig) {
				c, a := r.client(), r.authority(commissioner.AuthorityOptions{})
				s := r.commission(c, a).CASE
				r.must(s.OpenEnhancedWindow(r.ctx, 180, otherPasscode, 0xABC))
				r.wait(time.Second)
				before := r.announced.of("_matterc._udp")
				remove(r, s)
				r.wait(time.Second)
				if after := r.announced.of("_matterc._udp"); !reflect.DeepEqual(before, after) {
					t.Errorf("announced %+v, and before %+v", after, before)
				}
				pase, err := c.PASE(r.ctx, deviceAddr, otherPasscode)
				r.must(err)
				if got := r.windowState(pase); got != (windowState{1, -1, int64(a.VendorID)}) {
					t.Errorf("window %+v", got)
				}
				done := r.join(c, pase, r.authority(commissioner.AuthorityOptions{}))
				r.wait(time.Hour)
				if got := r.windowState(done.CASE); got != closedWindow || len(r.announced.of("_matterc._udp")) != 0 {
					t.Errorf("after a commissioning: %+v", got)
				}
			})
		})
	}
}

// If nobody uses that window, the initial one follows, as for any node without
// fabrics, unless the operator has closed the window.
func TestInitialWindowFollowsThatOfTheLastFabric(t *testing.T) {
	bubble(t, 1, clean, func(r *rig) {
		c := r.client()
		leave := func(index matter.FabricIndex) {
			s := r.commission(c, r.authority(commissioner.AuthorityOptions{})).CASE
			r.must(s.OpenEnhancedWindow(r.ctx, 180, otherPasscode, 0xABC))
			r.must(r.srv.Operator().RemoveFabric(r.ctx, index))
		}
		initial := func() bool {
			r.wait(time.Second)
			services := r.announced.of("_matterc._udp")
			return len(services) == 1 && slices.Contains(services[0].TXT, "CM=1")
		}
		leave(1)
		r.wait(180 * time.Second)
		if !initial() {
			t.Error("not commissionable after the window timed out")
		}
		leave(2)
		for range 20 {
			if _, err := c.PASE(r.ctx, deviceAddr, passcode); err == nil {
				t.Fatal("the node's own passcode opens an enhanced window")
			}
		}
		if !initial() {
			t.Error("not commissionable after the window was used up")
		}
		leave(3)
		r.must(r.srv.Operator().CloseWindow(r.ctx))
		r.wait(time.Hour)
		if services := r.announced.of("_matterc._udp"); len(services) != 0 {
			t.Errorf("the operator has closed the window, and announced is %+v", services)
		}
	})
}
