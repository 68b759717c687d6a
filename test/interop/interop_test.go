//go:build interop

package interop

import (
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestInterop is a sequence of parts: each starts in the state in which the
// previous one ended.
func TestInterop(t *testing.T) {
	started := time.Now()
	r := newRun(t)
	r.openControllers()
	r.refusesWrongDeclaration()
	r.refusesWrongPasscode()
	r.commissionsFirst()
	r.answersAboutItself()
	r.runsCommands()
	r.opensEnhancedWindow()
	r.survivesKill()
	r.removesOtherFabric()
	r.opensBasicWindow()
	r.removesEveryFabric()
	r.commissionsAgain()
	fmt.Fprintf(r.summary, "%d steps, all passed, in %.1f s\n", r.steps, time.Since(started).Seconds())
}

// openControllers starts the daemon while node loads matter.js, which takes longer.
// The second controller's certificates have an intermediate authority.
func (r *run) openControllers() {
	r.startAll()
	r.openController("one", args{})
	r.openController("two", args{"icac": true})
	// The controller did not run when the daemon announced itself, and nobody else
	// has asked, so it finds the daemon by its own questions.
	a := args{"controller": "one", "discriminator": r.pairing.Discriminator}
	r.call("controller one asks and discovers", "discover", a, nil, nil)
}

// refusesWrongDeclaration checks that the controller verifies the attestation: it
// rejects the same device with another product id than that of its declaration.
func (r *run) refusesWrongDeclaration() {
	r.begin("wrong certification declaration")
	r.step("daemon stopped", r.device.stop)
	r.step("daemon ready as another product", func() error { return r.device.start(r.ctx, otherProduct) })
	r.discover("one", window{r.pairing.Discriminator, "1", otherProduct})
	var result commissioned
	r.call("controller refuses", "commission", args{"controller": "one", "passcode": r.pairing.Passcode}, &result, func() error {
		const wrongField = "CertificationDeclarationFieldMismatch"
		for _, f := range result.Findings {
			if f.Level == "error" && f.Type == wrongField {
				return nil
			}
		}
		return fmt.Errorf("refused %q with findings %+v, want the error %s", result.Refused, result.Findings, wrongField)
	})
	r.step("daemon stopped", r.device.stop)
	r.step("daemon ready as itself", func() error { return r.device.start(r.ctx, testProduct) })
	r.step("same pairing codes", func() error {
		codes, err := r.device.pairing(r.ctx)
		if err == nil && codes != r.pairing {
			err = fmt.Errorf("pairing codes %+v, before %+v", codes, r.pairing)
		}
		return err
	})
}

func (r *run) refusesWrongPasscode() {
	r.begin("wrong passcode")
	r.discover("one", window{r.pairing.Discriminator, "1", testProduct})
	wrong := r.pairing.Passcode ^ 1
	var result struct {
		By      string
		General int
		Code    int
	}
	r.call("controller finds the device's confirmation wrong", "tryPasscode", args{"controller": "one", "passcode": wrong}, &result, func() error {
		if result.By != "controller" {
			return fmt.Errorf("refused by %q", result.By)
		}
		return nil
	})
	r.call("device refuses the controller's confirmation", "tryPasscode", args{"controller": "one", "passcode": wrong, "insist": true}, &result, func() error {
		if result.By != "device" || result.General != 1 || result.Code != paseInvalidParameter {
			return fmt.Errorf("%+v, want a status report of failure, invalid parameter", result)
		}
		return nil
	})
}

func (r *run) commissionsFirst() {
	r.begin("first controller")
	r.step("_matterc._udp over IPv4", func() error {
		_, err := r.wire4.commissionable(r.ctx, window{r.pairing.Discriminator, "1", testProduct}, r.home)
		return err
	})
	r.commission("one", r.pairing.Passcode)
	r.step("_matter._tcp and _I over IPv4", func() error {
		return r.wire4.operational(r.ctx, r.fabrics["one"].instance, r.home)
	})
}

// answersAboutItself reads everything and compares it with the expected values.
func (r *run) answersAboutItself() {
	r.begin("reads")
	one := r.fabrics["one"]
	for _, filtered := range []bool{true, false} {
		r.readCredentials("one", filtered)
	}
	var reports []report
	r.call("wildcard of endpoint 0", "read", args{"controller": "one", "paths": []args{{"endpoint": 0}}}, &reports, func() error {
		return errors.Join(checkRoot(reports), checkIdentity(reports, one), checkCredentialsGlobals(reports))
	})
	aggregator := args{"endpoint": 1, "cluster": descriptorCluster, "attribute": 0}
	r.call("endpoint 1 is an aggregator", "read", args{"controller": "one", "paths": []args{aggregator}}, &reports, func() error {
		var types []struct{ DeviceType int }
		if err := value(reports, descriptorCluster, 0, &types); err != nil {
			return err
		}
		if !slices.Contains(types, struct{ DeviceType int }{0x000E}) {
			return fmt.Errorf("device types %#x", types)
		}
		return nil
	})
}

// runsCommands invokes the commands of Operational Credentials that a controller
// uses outside of commissioning.
func (r *run) runsCommands() {
	r.begin("commands")
	var credentials [2]octets
	for i, name := range []string{"DAC", "PAI"} {
		var res struct{ Response struct{ Certificate octets } }
		r.invoke("CertificateChainRequest "+name, "one", command{name: "certificateChainRequest", fields: args{"certificateType": i + 1}}, &res, func() error {
			credentials[i] = res.Response.Certificate
			return nil
		})
	}
	r.status("CertificateChainRequest 3 is invalid", "one", command{name: "certificateChainRequest", fields: args{"certificateType": 3}, unchecked: true}, statusInvalidCommand)

	var session struct{ AttestationChallenge octets }
	r.call("attestation challenge of the session", "session", args{"controller": "one"}, &session, nil)
	var device chain
	r.step("DAC by PAI by a test PAA", func() (err error) {
		device, err = parseChain(credentials[0], credentials[1])
		return err
	})
	nonce := make([]byte, 32)
	rand.Read(nonce)
	var attestation struct {
		Response struct{ AttestationElements, AttestationSignature octets }
	}
	r.invoke("AttestationRequest, signature verified", "one", command{name: "attestationRequest", fields: args{"attestationNonce": hexArg(nonce)}}, &attestation, func() error {
		res := attestation.Response
		return errors.Join(
			checkAttestation(res.AttestationElements, nonce),
			device.verify(res.AttestationElements, session.AttestationChallenge, res.AttestationSignature))
	})

	csr := command{name: "csrRequest", fields: args{"csrNonce": hexArg(nonce)}}
	r.status("CSRRequest needs a fail-safe", "one", csr, statusFailsafeRequired)
	r.armFailSafe(60)
	var request struct {
		Response struct{ NocsrElements, AttestationSignature octets }
	}
	r.invoke("CSRRequest, signatures verified", "one", csr, &request, func() error {
		res := request.Response
		return errors.Join(
			checkCSR(res.NocsrElements, nonce),
			device.verify(res.NocsrElements, session.AttestationChallenge, res.AttestationSignature))
	})
	r.armFailSafe(0)

	r.nocResponse("UpdateFabricLabel", "one", command{name: "updateFabricLabel", fields: args{"label": "the first"}}, nocOK)
	r.fabrics["one"].label = "the first"
	r.nocResponse("RemoveFabric of an unknown index", "one", command{name: "removeFabric", fields: args{"fabricIndex": 200}}, nocInvalidFabricIndex)
	r.readCredentials("one", true)
}

// opensEnhancedWindow adds a second controller with a passcode that the first one
// has chosen.
func (r *run) opensEnhancedWindow() {
	r.begin("enhanced window")
	const passcode, iterations = 34567890, 1000
	w := window{r.pairing.Discriminator ^ 0x5A5, "2", testProduct}
	salt := make([]byte, 32)
	rand.Read(salt)
	var verifier octets
	r.call("PAKE verifier", "verifier", args{"controller": "one", "passcode": passcode, "iterations": iterations, "salt": hexArg(salt)}, &verifier, nil)
	open := command{cluster: "AdministratorCommissioning", name: "openCommissioningWindow", fields: args{
		"commissioningTimeout": 180, "pakePasscodeVerifier": hexArg(verifier), "discriminator": w.discriminator, "iterations": iterations, "salt": hexArg(salt),
	}}
	r.status("OpenCommissioningWindow has to be timed", "one", open, statusNeedsTimedInteraction)
	open.timed = true
	r.status("OpenCommissioningWindow", "one", open, 0)
	r.windowStatus(1)
	r.discover("two", w)
	r.commission("two", passcode)
	r.windowStatus(0)
	r.bothWork()
	r.nocResponse("UpdateFabricLabel to the other's", "two", command{name: "updateFabricLabel", fields: args{"label": "the first"}}, nocLabelConflict)
}

// survivesKill kills the daemon and expects all of its state back.
func (r *run) survivesKill() {
	r.begin("SIGKILL")
	r.step("daemon killed", r.device.kill)
	r.step("daemon ready again", func() error { return r.device.start(r.ctx, testProduct) })
	r.operational("one", "two")
	r.notCommissionable()
	for _, name := range []string{"one", "two"} {
		r.call("new session of "+name, "reconnect", args{"controller": name}, nil, nil)
		r.readCredentials(name, false)
	}
	for _, resume := range []bool{false, true} {
		var session struct{ Resumed bool }
		r.call(fmt.Sprintf("CASE, resumption %t", resume), "handshake", args{"controller": "one", "resume": resume}, &session, func() error {
			if session.Resumed != resume {
				return fmt.Errorf("resumed: %t", session.Resumed)
			}
			return nil
		})
		r.readCredentials("one", true)
	}
}

// removesOtherFabric makes the first controller remove the second one's fabric.
func (r *run) removesOtherFabric() {
	r.begin("RemoveFabric")
	r.removeFabric("two", "one")
	r.step("CASE of the removed controller fails", func() error {
		_, err := r.ctl.call(r.ctx, "handshake", args{"controller": "two", "resume": false}, nil)
		if err == nil || !strings.Contains(err.Error(), "NoSharedTrustRoots") {
			return fmt.Errorf("%v, want NoSharedTrustRoots", err)
		}
		return nil
	})
	r.call("removed controller forgets", "forget", args{"controller": "two"}, nil, nil)
	r.readCredentials("one", false)
}

// opensBasicWindow adds the second controller again, with the device's own
// passcode.
func (r *run) opensBasicWindow() {
	r.begin("basic window")
	r.openWindow("one")
	r.windowStatus(2)
	r.discover("two", window{r.pairing.Discriminator, "1", testProduct})
	r.commission("two", r.pairing.Passcode)
	r.windowStatus(0)
	r.bothWork()
}

// removesEveryFabric leaves the device without fabrics.
func (r *run) removesEveryFabric() {
	r.begin("RemoveFabric of the last")
	r.removeFabric("two", "two")
	r.removeFabric("one", "one")
	for _, name := range []string{"one", "two"} {
		r.call("controller "+name+" forgets", "forget", args{"controller": name}, nil, nil)
	}
}

// commissionsAgain checks that a new commissioning succeeds, and a regular stop.
func (r *run) commissionsAgain() {
	r.begin("again")
	r.discover("one", window{r.pairing.Discriminator, "1", testProduct})
	r.fabrics["one"].label = "one"
	r.commission("one", r.pairing.Passcode)
	r.readCredentials("one", false)
	one := r.fabrics["one"].instance + "." + operationalType
	mark := r.wire.mark()
	r.step("daemon stopped by SIGTERM, exit 0", r.device.stop)
	r.step("goodbye on the wire", func() error {
		_, err := r.wire.wait(r.ctx, mark, time.Second, func(rs records) error {
			if !rs.goodbye(operationalType, one) {
				return fmt.Errorf("no record with TTL 0 for %s", one)
			}
			return nil
		})
		return err
	})
}
