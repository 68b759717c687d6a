package server

import (
	"crypto/subtle"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"math"
	"time"

	"github.com/opcredsd/opcredsd/pkg/admin"
	"github.com/opcredsd/opcredsd/pkg/attestation"
	"github.com/opcredsd/opcredsd/pkg/cluster/generaldiagnostics"
	"github.com/opcredsd/opcredsd/pkg/host"
	"github.com/opcredsd/opcredsd/pkg/mcrypto"
	"github.com/opcredsd/opcredsd/pkg/store"
	"github.com/opcredsd/opcredsd/pkg/window"
)

// pbkdfIterations and saltLen are what this node makes verifiers with. A
// commissioner computes PBKDF2 once for every attempt, an attacker who has the
// verifier once for every guess.
const (
	pbkdfIterations = 10_000
	saltLen         = 32
)

// provisioned is what a start finds or makes.
type provisioned struct {
	node     store.Node
	material store.Attestation
	reason   generaldiagnostics.BootReason
	stopped  bool // in order, the last time

	run         uint64             // number of this run of the process
	resumptions []store.Resumption // of the run before
}

// counterRuns counts the runs of the process. Unlike RebootCount it outlives a
// factory reset.
const counterRuns = "runs"

// provision makes what a first start needs and is not there yet, the identity
// and the attestation material, in one transaction; counts the start; and takes a
// passcode, discriminator or product that the options set anew.
func provision(st *store.Store, opt *Options, now time.Time) (p provisioned, err error) {
	err = st.Update(func(tx *store.Tx) error {
		if p.material, err = attest(tx, opt, now); err != nil {
			return err
		}
		if p.resumptions, err = takeResumptions(tx); err != nil {
			return err
		}
		if p.run, err = tx.Counter(counterRuns); err != nil {
			return err
		}
		if err := tx.RaiseCounter(counterRuns, p.run+1); err != nil {
			return err
		}
		fabrics, err := tx.Fabrics()
		if err != nil {
			return err
		}
		return tx.MutateNode(func(n *store.Node) error {
			if err := complete(n, opt); err != nil {
				return err
			}
			if len(fabrics) == 0 {
				forgetSettings(n) // they were those of a fabric that is gone
			}
			if n.RebootCount < math.MaxUint16 {
				n.RebootCount++ // only a factory reset takes it back to 0
			}
			p.stopped, n.Stopped = n.Stopped, false
			// The host has started, or only this process.
			p.reason = generaldiagnostics.BootSoftwareReset
			if id := host.BootID(); id != n.BootID {
				p.reason, n.BootID = generaldiagnostics.BootPowerOn, id
			}
			p.node = *n
			return nil
		})
	})
	return p, err
}

// attest returns the attestation material, for development where there is none.
func attest(tx *store.Tx, opt *Options, now time.Time) (store.Attestation, error) {
	a, ok, err := tx.Attestation()
	if err != nil || ok {
		return a, err
	}
	if opt.DACKey != nil {
		return a, fmt.Errorf("there is no attestation material yet for the DAC's key in %s: import it with \"opcredsd attestation import\"", opt.DACKey.Where)
	}
	vid, pid := opt.Product.VendorID, opt.Product.ProductID
	if vid == 0 {
		vid = DefaultVendorID
	}
	if pid == 0 {
		pid = DefaultProductID
	}
	if a, err = attestation.Generate(opt.Rand, vid, pid, now); err != nil {
		return a, fmt.Errorf("making development attestation material: %w", err)
	}
	return a, tx.PutAttestation(a)
}

// complete fills in what a node record lacks.
func complete(n *store.Node, opt *Options) error {
	if n.UniqueID == "" {
		if err := forgetUser(n, opt.Rand); err != nil {
			return err
		}
	}
	first := len(n.Verifier) == 0
	if opt.Discriminator != nil {
		n.Discriminator = *opt.Discriminator
	} else if first {
		v, err := random32(opt.Rand)
		if err != nil {
			return err
		}
		n.Discriminator = uint16(v) & window.MaxDiscriminator
	}
	passcode := opt.Passcode
	if first && passcode == 0 {
		var err error
		if passcode, err = randomPasscode(opt.Rand); err != nil {
			return err
		}
	}
	if passcode == 0 {
		return nil
	}
	if !first && isPasscode(n, passcode) {
		n.Passcode = passcode
	} else if err := setPasscode(n, passcode, opt.Rand); err != nil {
		return err
	}
	if opt.PasscodeVerifierOnly && opt.Passcode != 0 {
		n.Passcode = 0 // whoever configured it knows it
	}
	return nil
}

// isPasscode says whether passcode is the node's, of which it may only know the
// verifier.
func isPasscode(n *store.Node, passcode uint32) bool {
	if n.Passcode != 0 {
		return n.Passcode == passcode
	}
	v, err := mcrypto.NewVerifier(passcode, n.Salt, int(n.Iterations))
	if err != nil {
		return false
	}
	b := v.Bytes()
	return subtle.ConstantTimeCompare(b[:], n.Verifier) == 1
}

func setPasscode(n *store.Node, passcode uint32, rand io.Reader) error {
	salt := make([]byte, saltLen)
	if _, err := io.ReadFull(rand, salt); err != nil {
		return err
	}
	v, err := mcrypto.NewVerifier(passcode, salt, pbkdfIterations)
	if err != nil {
		return err
	}
	b := v.Bytes()
	n.Passcode, n.Salt, n.Iterations, n.Verifier = passcode, salt, pbkdfIterations, b[:]
	return nil
}

// showCodes returns the node's own codes to show them, and forgets the passcode
// where only its verifier is to be kept. It belongs to the loop.
func (s *Server) showCodes() (admin.Pairing, error) {
	p, err := PairingOf(&s.trust.identity, s.opt.Product.VendorID, s.opt.Product.ProductID)
	if err == nil {
		s.forgetPasscode("the codes were shown")
	}
	return p, err
}

// forgetPasscode keeps only the verifier, if the options say so.
func (s *Server) forgetPasscode(why string) {
	if !s.opt.PasscodeVerifierOnly || s.trust.identity.Passcode == 0 {
		return
	}
	err := s.trust.store.Update(func(tx *store.Tx) error {
		return tx.MutateNode(func(n *store.Node) error {
			n.Passcode = 0
			return nil
		})
	})
	if err != nil {
		s.log.Warn("the passcode is still in the store", "error", err)
		return
	}
	s.trust.identity.Passcode = 0
	s.overwrite()
	s.log.Info("the passcode is forgotten, its verifier is kept", "because", why)
}

// unknownLocation is the country code of a node that was told none.
const unknownLocation = "XX"

func newUniqueID(r io.Reader) (string, error) {
	id := make([]byte, 16)
	if _, err := io.ReadFull(r, id); err != nil {
		return "", err
	}
	return hex.EncodeToString(id), nil
}

func random32(r io.Reader) (uint32, error) {
	var b [4]byte
	if _, err := io.ReadFull(r, b[:]); err != nil {
		return 0, err
	}
	return binary.BigEndian.Uint32(b[:]), nil
}

// randomPasscode draws until it has one that is allowed, each of which is
// equally likely.
func randomPasscode(r io.Reader) (uint32, error) {
	for {
		v, err := random32(r)
		if err != nil {
			return 0, err
		}
		if v &= 1<<27 - 1; mcrypto.PasscodeValid(v) {
			return v, nil
		}
	}
}

// onboard returns the passcode of the node itself as the window takes it.
func onboard(n *store.Node) (window.Passcode, error) {
	v, err := mcrypto.ParseVerifier(n.Verifier)
	if err != nil {
		return window.Passcode{}, fmt.Errorf("the node's passcode verifier: %w", err)
	}
	return window.Passcode{Verifier: v, Salt: n.Salt, Iterations: n.Iterations, Discriminator: n.Discriminator}, nil
}

// takeResumptions takes the records out of the store.
func takeResumptions(tx *store.Tx) ([]store.Resumption, error) {
	list, err := tx.Resumptions()
	if err != nil {
		return nil, fmt.Errorf("reading resumption records: %w", err)
	}
	for i := range list {
		if err := tx.DeleteResumption(list[i].Fabric, list[i].Peer); err != nil {
			return nil, fmt.Errorf("taking resumption records: %w", err)
		}
	}
	return list, nil
}
