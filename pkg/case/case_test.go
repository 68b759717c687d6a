package casesession

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/opcredsd/opcredsd/pkg/cert"
	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/mcrypto"
	"github.com/opcredsd/opcredsd/pkg/message"
)

// checkAgreement checks that both sides of w have the same result.
func checkAgreement(t *testing.T, w *world, o outcome) {
	t.Helper()
	d, c := o.device, o.controller
	if d.I2R != c.I2R || d.R2I != c.R2I || d.AttestationChallenge != c.AttestationChallenge || d.SharedSecret != c.SharedSecret || d.ResumptionID != c.ResumptionID {
		t.Errorf("secrets differ:\n%+v\n%+v", d, c)
	}
	if d.I2R == d.R2I || d.I2R == [16]byte{} || d.AttestationChallenge == d.I2R || d.SharedSecret == [32]byte{} || d.ResumptionID == [16]byte{} {
		t.Errorf("secrets are not secret: %+v", d)
	}
	if d.Fabric != 3 || d.LocalNode != deviceNode || d.PeerNode != controllerNode || d.PeerSessionID != 0xC0C0 || d.PeerParams != w.initiator.Params || d.CATs != w.controller.noc.CATs() {
		t.Errorf("device: %+v", d)
	}
	if c.Fabric != 1 || c.LocalNode != controllerNode || c.PeerNode != deviceNode || c.PeerSessionID != 0xD0D0 || c.PeerParams != w.responder.Params || c.CATs != w.device.noc.CATs() {
		t.Errorf("controller: %+v", c)
	}
	if d.Resumed != c.Resumed || d.Resumed != (o.opcode == message.OpcodeSigma2Resume) {
		t.Error("resumed or not", d.Resumed, c.Resumed)
	}
}

func TestFullHandshake(t *testing.T) {
	for _, withICAC := range []bool{false, true} {
		for _, cats := range [][]matter.CAT{nil, {0xABCD0001}, {0xABCD0001, 0xABCE0002, 0x0001FFFF}} {
			t.Run(fmt.Sprintf("ICAC %v, %d CATs", withICAC, len(cats)), func(t *testing.T) {
				w := newWorld(t, withICAC, cats...)
				o := w.mustRun(t)
				checkAgreement(t, w, o)
				if again := w.run(t, untouched, untouched, untouched); again.controller.I2R == o.controller.I2R {
					t.Error("two handshakes, one key")
				}
			})
		}
	}
}

// Only one side may have an ICAC.
func TestMixedIssuers(t *testing.T) {
	a := newAuthority(t, true)
	bare := authority{root: a.root}
	w := newWorld(t, false)
	w.device, w.controller = bare.issue(t, deviceNode, homeFabric), a.issue(t, controllerNode, homeFabric)
	w.fabrics = table{w.device.fabric(3, w.ipk)}
	w.initiator.Root, w.initiator.ICAC, w.initiator.NOC, w.initiator.Key = w.controller.root, w.controller.icac, w.controller.noc, w.controller.key
	checkAgreement(t, w, w.mustRun(t))
}

func TestTimeUnknown(t *testing.T) {
	w := newWorld(t, true)
	w.responder.Validity, w.initiator.Validity = cert.VerifyOptions{}, cert.VerifyOptions{}
	checkAgreement(t, w, w.mustRun(t))
}

// Messages with the largest possible certificates fit.
func TestLargestMessages(t *testing.T) {
	w := newWorld(t, true)
	fill := func(c *cert.Certificate, key *mcrypto.PrivateKey) *cert.Certificate {
		template := *c
		n := cert.MaxSize - len(c.Raw()) - 3
		template.Subject = append(slices.Clone(c.Subject), cert.Attribute{Type: cert.AttributeCommonName, Text: strings.Repeat("x", n)})
		big, err := cert.Issue(rand.Reader, &template, key)
		if err != nil || len(big.Raw()) != cert.MaxSize {
			t.Fatal(len(big.Raw()), err)
		}
		return big
	}
	noc, icac := fill(w.controller.noc, w.controller.key), fill(w.controller.icac, w.controller.key)
	id := identity{noc: noc, icac: icac, key: w.controller.key}
	eph := make([]byte, mcrypto.PublicKeySize)
	plaintext, err := id.prove(rand.Reader, eph, eph, make([]byte, ResumptionIDSize))
	if err != nil {
		t.Fatal(err)
	}
	encrypted, err := seal(make([]byte, 32), nil, infoSigma2, nonceSigma2, plaintext)
	if err != nil {
		t.Fatal(err)
	}
	params := message.LocalParameters()
	params.SupportedTransports, params.MaxTCPMessageSize, params.ActiveThreshold = 6, 1<<20, time.Minute
	m := sigma2{random: make([]byte, 32), sessionID: 0xFFFF, ephemeral: eph, encrypted: encrypted, params: params}
	if n := len(m.encode()); n > message.MaxPayload {
		t.Errorf("Sigma2 has %d octets of at most %d", n, message.MaxPayload)
	}
}

func TestResumption(t *testing.T) {
	w := newWorld(t, true, 0xABCD0001)
	full := w.mustRun(t)
	ids := map[[16]byte]bool{full.device.ResumptionID: true}
	keys := map[[16]byte]bool{full.device.I2R: true}
	for range 3 {
		o := w.mustRun(t)
		if o.opcode != message.OpcodeSigma2Resume {
			t.Fatal("not resumed")
		}
		checkAgreement(t, w, o)
		if ids[o.device.ResumptionID] || keys[o.device.I2R] {
			t.Error("an id or a key twice")
		}
		if o.device.SharedSecret != full.device.SharedSecret {
			t.Error("another secret")
		}
		ids[o.device.ResumptionID], keys[o.device.I2R] = true, true
	}
	if len(w.remembered) != 1 {
		t.Errorf("%d records", len(w.remembered))
	}
}

// A resumption that is not possible is not an error: the handshake becomes a full
// one.
func TestResumptionRefused(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(*world)
	}{
		{"forgotten by the device", func(w *world) { clear(w.remembered) }},
		{"other secret", func(w *world) { w.initiator.Resume.SharedSecret[0] ^= 1 }},
		{"other id", func(w *world) { w.initiator.Resume.ID[15] ^= 1 }},
		{"fabric is gone, and here again under another index", func(w *world) { w.fabrics = table{w.device.fabric(4, w.ipk)} }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t, true)
			first := w.mustRun(t)
			tt.change(w)
			o := w.mustRun(t)
			if o.opcode != message.OpcodeSigma2 || o.device.Resumed || o.controller.Resumed {
				t.Error("resumed")
			}
			if o.device.SharedSecret == first.device.SharedSecret || o.device.SharedSecret != o.controller.SharedSecret {
				t.Error("the old secret, or not the same one")
			}
		})
	}
}

// An offer to resume does not help a Sigma1 that is invalid otherwise.
func TestResumptionRefusedAndNoFabric(t *testing.T) {
	w := newWorld(t, false)
	w.mustRun(t)
	clear(w.remembered)
	w.fabrics = nil
	if o := w.run(t, untouched, untouched, untouched); !errors.Is(o.deviceErr, ErrNoSharedRoot) {
		t.Error(o.deviceErr)
	}
}

// A Sigma1 that is repeated leads to different full handshakes, and an eavesdropper
// cannot complete any.
func TestReplayedSigma1(t *testing.T) {
	w := newWorld(t, false)
	o := w.mustRun(t)
	r := NewResponder(w.responder)
	reply, opcode, err := r.Sigma1(o.sigma1)
	if err != nil || opcode != message.OpcodeSigma2 || bytes.Equal(reply, o.reply) {
		t.Fatalf("%x, %d, %v", reply, opcode, err)
	}
	if _, err := r.Sigma3(o.sigma3); !errors.Is(err, errDecrypt) {
		t.Error(err)
	}
}

// A replayed offer to resume must not give a second session with the same keys.
func TestReplayedResumption(t *testing.T) {
	w := newWorld(t, false)
	w.mustRun(t)
	i, r, replay := NewInitiator(w.initiator), NewResponder(w.responder), NewResponder(w.responder)
	offer, err := i.Start()
	if err != nil {
		t.Fatal(err)
	}
	if _, opcode, err := r.Sigma1(offer); err != nil || opcode != message.OpcodeSigma2Resume {
		t.Fatal(opcode, err)
	}
	if _, opcode, err := replay.Sigma1(offer); err != nil || opcode != message.OpcodeSigma2Resume {
		t.Fatal(opcode, err)
	}
	res, err := r.Resumed()
	if err != nil {
		t.Fatal(err)
	}
	w.remembered.replace(res.Record())
	if _, err := replay.Resumed(); !errors.Is(err, errRedeemed) {
		t.Errorf("second session: %v", err)
	}
	// The offer is no longer valid later.
	if _, opcode, err := NewResponder(w.responder).Sigma1(offer); err != nil || opcode != message.OpcodeSigma2 {
		t.Error(opcode, err)
	}
}

// Changes of the fabric count until the initiator's report arrives.
func TestResumedFabricGone(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(*world)
	}{
		{"fabric removed", func(w *world) { w.fabrics = nil }},
		{"node id changed", func(w *world) { w.fabrics[0].NodeID++ }},
		{"record dropped", func(w *world) { clear(w.remembered) }},
	} {
		w := newWorld(t, false)
		w.mustRun(t)
		i, r := NewInitiator(w.initiator), NewResponder(w.responder)
		offer, err := i.Start()
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := r.Sigma1(offer); err != nil {
			t.Fatal(err)
		}
		tt.change(w)
		if _, err := r.Resumed(); !errors.Is(err, errRedeemed) {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
}

// Each side rejects a peer with a false identity.
func TestImpostors(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(*testing.T, *world)
		device error // the device's error; nil: the controller rejects
		want   error
	}{
		{"controller does not know the IPK", func(t *testing.T, w *world) { w.initiator.IPK[0] ^= 1 }, ErrNoSharedRoot, nil},
		{"controller looks for another node", func(t *testing.T, w *world) { w.initiator.PeerNode++ }, ErrNoSharedRoot, nil},
		{"controller has another root", func(t *testing.T, w *world) {
			m := newAuthority(t, true).issue(t, controllerNode, homeFabric)
			// It knows the device's root too. Otherwise it could not address the
			// device.
			w.initiator.ICAC, w.initiator.NOC, w.initiator.Key = m.icac, m.noc, m.key
		}, cert.ErrInvalid, nil},
		{"controller has another key", func(t *testing.T, w *world) { w.initiator.Key = newKey(t) }, mcrypto.ErrSignature, nil},
		{"controller leaves its ICAC out", func(t *testing.T, w *world) { w.initiator.ICAC = nil }, cert.ErrInvalid, nil},
		{"controller has expired", func(t *testing.T, w *world) { w.responder.Validity.Now = 2001 }, cert.ErrValidity, nil},
		{"controller is not valid yet", func(t *testing.T, w *world) { w.responder.Validity.Now = 999 }, cert.ErrValidity, nil},
		{"device has another root", func(t *testing.T, w *world) {
			m := newAuthority(t, true).issue(t, deviceNode, homeFabric)
			m.root = w.device.root
			w.fabrics = table{m.fabric(3, w.ipk)}
		}, nil, cert.ErrInvalid},
		{"device has another key", func(t *testing.T, w *world) { w.fabrics[0].OperationalKey = newKey(t) }, nil, mcrypto.ErrSignature},
		{"device has expired", func(t *testing.T, w *world) { w.initiator.Validity.Now = 2001 }, nil, cert.ErrValidity},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t, true)
			tt.change(t, w)
			o := w.run(t, untouched, untouched, untouched)
			if o.bothSucceeded {
				t.Fatal("session established")
			}
			if !errors.Is(o.deviceErr, tt.device) || !errors.Is(o.controllerErr, tt.want) {
				t.Errorf("device: %v, controller: %v", o.deviceErr, o.controllerErr)
			}
			if o.device != (Result{}) {
				t.Errorf("a result with the error: %+v", o.device)
			}
		})
	}
}

// A node of another fabric with the same root, or another node of the fabric, is
// not accepted as the peer, even with genuine certificates.
func TestForeignFabric(t *testing.T) {
	a := newAuthority(t, true)
	w := newWorld(t, true)
	w.device, w.controller = a.issue(t, deviceNode, homeFabric), a.issue(t, controllerNode, homeFabric+1)
	home := a.issue(t, controllerNode, homeFabric)
	w.fabrics = table{w.device.fabric(3, w.ipk)}
	w.initiator.Root = w.device.root

	// The destination contains the fabric id of the initiator's NOC, so the test
	// replaces it.
	i := NewInitiator(w.initiator)
	i.id = identity{root: home.root, icac: home.icac, noc: home.noc, key: home.key, ipk: w.ipk}
	r := NewResponder(w.responder)
	s1, err := i.Start()
	if err != nil {
		t.Fatal(err)
	}
	s2, _, err := r.Sigma1(s1)
	if err != nil {
		t.Fatal(err)
	}
	m, err := parseSigma2(s2)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := i.ephemeral.SharedSecret(m.ephemeral)
	if err != nil {
		t.Fatal(err)
	}
	own := i.ephemeral.Public()
	i.transcript.Write(s2)
	i.id.icac, i.id.noc, i.id.key = w.controller.icac, w.controller.noc, w.controller.key
	s3, err := i.sigma3(&m, secret[:], own[:])
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Sigma3(s3); !errors.Is(err, errPeer) {
		t.Errorf("stranger: %v", err)
	}

	// The reverse: the device answers with an identity that was not called.
	for _, answer := range []member{a.issue(t, deviceNode, homeFabric+1), a.issue(t, deviceNode+1, homeFabric)} {
		w.initiator.ICAC, w.initiator.NOC, w.initiator.Key = home.icac, home.noc, home.key
		f := w.device.fabric(3, w.ipk)
		f.ICACCert, f.NOCCert, f.OperationalKey = answer.icac, answer.noc, answer.key
		w.fabrics = table{f}
		if o := w.run(t, untouched, untouched, untouched); !errors.Is(o.controllerErr, errPeer) || o.controller != (Result{}) {
			t.Errorf("device with %v: %v", answer.noc.NodeID(), o.controllerErr)
		}
	}
}

// If the device has several fabrics, the called one answers with its own key.
func TestFabricChoice(t *testing.T) {
	w := newWorld(t, false)
	other := newAuthority(t, false).issue(t, deviceNode, homeFabric)
	w.fabrics = table{other.fabric(1, w.ipk), w.device.fabric(3, [16]byte{7}, [16]byte{8}, w.ipk)}
	checkAgreement(t, w, w.mustRun(t))
}

func TestOrder(t *testing.T) {
	w := newWorld(t, false)
	o := w.mustRun(t)
	steps := map[string]func(*Responder) error{
		"Sigma1":  func(r *Responder) error { _, _, err := r.Sigma1(o.sigma1); return err },
		"Sigma3":  func(r *Responder) error { _, err := r.Sigma3(o.sigma3); return err },
		"Resumed": func(r *Responder) error { _, err := r.Resumed(); return err },
	}
	for name, do := range steps {
		if name == "Sigma1" {
			continue
		}
		r := NewResponder(w.responder)
		if err := do(r); !errors.Is(err, errOrder) {
			t.Errorf("%s first: %v", name, err)
		}
		if err := steps["Sigma1"](r); !errors.Is(err, errOrder) {
			t.Errorf("Sigma1 after an error: %v", err)
		}
	}
	for _, name := range []string{"Sigma1", "Resumed"} {
		r := NewResponder(w.responder)
		if err := steps["Sigma1"](r); err != nil {
			t.Fatal(err)
		}
		if err := steps[name](r); !errors.Is(err, errOrder) {
			t.Errorf("%s after Sigma1: %v", name, err)
		}
	}
	initiator := map[string]func(*Initiator) error{
		"Start":        func(i *Initiator) error { _, err := i.Start(); return err },
		"Sigma2":       func(i *Initiator) error { _, _, err := i.Sigma2(o.reply); return err },
		"Sigma2Resume": func(i *Initiator) error { _, err := i.Sigma2Resume(o.reply); return err },
	}
	for _, name := range []string{"Sigma2", "Sigma2Resume"} {
		if err := initiator[name](NewInitiator(w.initiator)); !errors.Is(err, errOrder) {
			t.Errorf("%s first: %v", name, err)
		}
	}
	i := NewInitiator(w.initiator)
	if err := initiator["Start"](i); err != nil {
		t.Fatal(err)
	}
	if err := initiator["Start"](i); !errors.Is(err, errOrder) {
		t.Errorf("Start again: %v", err)
	}
	// A completed handshake accepts no message.
	done := NewResponder(w.responder)
	done.Wipe()
	for name, do := range steps {
		if err := do(done); !errors.Is(err, errOrder) {
			t.Errorf("%s after the end: %v", name, err)
		}
	}
}

func TestUnofferedResumption(t *testing.T) {
	w := newWorld(t, false)
	w.mustRun(t)
	resumed := w.mustRun(t)
	w.initiator.Resume = nil
	i := NewInitiator(w.initiator)
	if _, err := i.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := i.Sigma2Resume(resumed.reply); !errors.Is(err, errUnoffered) {
		t.Error(err)
	}
}

// If the random source fails at any point, the result is an error and not a weak
// key.
func TestRandomness(t *testing.T) {
	w := newWorld(t, false)
	for n := range 16 + 32 + 32 {
		w.responder.Rand = &stuck{n}
		if o := w.run(t, untouched, untouched, untouched); o.deviceErr == nil {
			t.Errorf("device with %d random octets", n)
		}
	}
	w.responder.Rand = rand.Reader
	for n := range 32 + 32 {
		w.initiator.Rand = &stuck{n}
		if o := w.run(t, untouched, untouched, untouched); o.controllerErr == nil {
			t.Errorf("controller with %d random octets", n)
		}
	}
}

func TestIncompleteConfigPanics(t *testing.T) {
	w := newWorld(t, false)
	for name, change := range map[string]func(r *ResponderConfig, i *InitiatorConfig){
		"Rand":        func(r *ResponderConfig, i *InitiatorConfig) { r.Rand, i.Rand = nil, nil },
		"SessionID":   func(r *ResponderConfig, i *InitiatorConfig) { r.SessionID, i.SessionID = 0, 0 },
		"identity":    func(r *ResponderConfig, i *InitiatorConfig) { r.Fabrics, i.NOC = nil, nil },
		"Resumptions": func(r *ResponderConfig, i *InitiatorConfig) { r.Resumptions, i.Root = nil, nil },
		"Key":         func(r *ResponderConfig, i *InitiatorConfig) { r.Fabrics, i.Key = nil, nil },
		"PeerNode":    func(r *ResponderConfig, i *InitiatorConfig) { r.Fabrics, i.PeerNode = nil, 0 },
	} {
		r, i := w.responder, w.initiator
		change(&r, &i)
		for _, f := range []func(){func() { NewResponder(r) }, func() { NewInitiator(i) }} {
			func() {
				defer func() {
					if p := recover(); p == nil || !strings.HasPrefix(fmt.Sprint(p), "BUG") {
						t.Errorf("%s: %v", name, p)
					}
				}()
				f()
			}()
		}
	}
}

func TestResultWipe(t *testing.T) {
	w := newWorld(t, false)
	o := w.mustRun(t)
	res := o.device
	res.Wipe()
	if res.I2R != [16]byte{} || res.R2I != [16]byte{} || res.AttestationChallenge != [16]byte{} || res.SharedSecret != [32]byte{} {
		t.Errorf("%+v", res)
	}
}
