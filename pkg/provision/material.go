package provision

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/opcredsd/opcredsd/pkg/attestation"
	"github.com/opcredsd/opcredsd/pkg/mcrypto"
	"github.com/opcredsd/opcredsd/pkg/store"
)

// DACKey is a DAC's key that is not in the store.
type DACKey struct {
	// Where is the location of the key, for the operator.
	Where string
	// Open is called at every start and at every change of the material. The Signer
	// is called from any goroutine, but not concurrently. It may be slow: only the
	// commands that need a signature wait for it.
	Open func() (attestation.Signer, error)
}

// Credentials returns the credentials of a node with the material a. The Signer is nil if
// the key is in the store.
func Credentials(a store.Attestation, key *DACKey, rand io.Reader) (*attestation.Credentials, attestation.Signer, error) {
	if key == nil {
		if len(a.Key) == 0 {
			return nil, nil, errors.New("its key is not in the store: name the file with --dac-key-file, or import the material with its key")
		}
		c, err := attestation.Load(a, rand)
		return c, nil, err
	}
	signer, err := key.Open()
	if err != nil {
		return nil, nil, fmt.Errorf("the DAC's key in %s: %w", key.Where, err)
	}
	if err := attestation.CheckSigner(a.DAC, signer); err != nil {
		return nil, nil, fmt.Errorf("%s: %w", key.Where, err)
	}
	signer = queued{signer, make(chan struct{}, 1)}
	c, err := attestation.New(a.DAC, a.PAI, a.CD, signer)
	return c, signer, err
}

// queued is a Signer that serializes its calls.
type queued struct {
	signer attestation.Signer
	busy   chan struct{} // holds one element during a signature
}

func (q queued) Sign(msg []byte) ([mcrypto.SignatureSize]byte, error) {
	q.busy <- struct{}{}
	defer func() { <-q.busy }()
	return q.signer.Sign(msg)
}

// Refusal is an error that the operator can correct.
type Refusal string

func (r Refusal) Error() string { return string(r) }

func refuse(format string, args ...any) error { return Refusal(fmt.Sprintf(format, args...)) }

// CheckMaterial checks new material, and returns it with the ids from its certificates.
// Errors about the material are of type [Refusal].
func CheckMaterial(a store.Attestation, key *DACKey, opt attestation.VerifyOptions) (_ store.Attestation, err error) {
	switch {
	case key == nil && len(a.Key) == 0:
		return a, refuse("the DAC's key is missing: give it with --key")
	case key != nil && len(a.Key) > 0:
		return a, refuse("the DAC's key is taken from %s: put it there, and leave --key out", key.Where)
	case key != nil:
		if opt.Signer, err = key.Open(); err != nil {
			return a, refuse("the DAC's key in %s: %v", key.Where, err)
		}
	}
	report, err := attestation.Verify(a, opt)
	if err != nil {
		var list []string
		for _, f := range Faults(err) {
			list = append(list, f.Error())
		}
		return a, refuse("the material is not valid: %s", strings.Join(list, "; "))
	}
	a.VendorID, a.ProductID, a.Test = report.VendorID, report.ProductID, report.Test
	return a, nil
}

// DevelopmentMaterial creates material for development. there is the material that
// it replaces, or nil. Replacing production material without force is a [Refusal].
func DevelopmentMaterial(ids IDs, force bool, there *store.Attestation, key *DACKey, rand io.Reader) (a store.Attestation, err error) {
	switch {
	case key != nil:
		return a, refuse("the DAC's key is taken from %s, and development material has a key of its own: run without --dac-key-file", key.Where)
	case there != nil && !there.Test && !force:
		return a, refuse("this is production material, and its key would be lost: back up the store first, then use --force")
	}
	ids = ids.orDefault()
	if a, err = attestation.Generate(rand, ids.Vendor, ids.Product, time.Now()); err != nil {
		return a, refuse("%v", err)
	}
	return a, nil
}

// Faults returns the errors that were joined to err, or none if err is nil.
func Faults(err error) (list []error) {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		for _, e := range joined.Unwrap() {
			list = append(list, Faults(e)...)
		}
		return list
	}
	if err == nil {
		return nil
	}
	return []error{err}
}
