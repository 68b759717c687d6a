package provision

import (
	"cmp"
	"encoding/hex"
	"fmt"
	"io"
	"log/slog"
	"math"
	"time"

	"github.com/opcredsd/opcredsd/pkg/attestation"
	"github.com/opcredsd/opcredsd/pkg/host"
	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/mcrypto"
	"github.com/opcredsd/opcredsd/pkg/store"
	"github.com/opcredsd/opcredsd/pkg/window"
)

// IDs are a vendor id and a product id; 0 stands for what the DAC says.
type IDs struct {
	Vendor  matter.VendorID
	Product matter.ProductID
}

// The default ids of material for development.
const (
	DefaultVendorID  = 0xFFF1
	DefaultProductID = 0x8001
)

// Options are what the operator has configured.
type Options struct {
	IDs           IDs
	Passcode      uint32  // 0: drawn at the first start, then kept
	Discriminator *uint16 // nil: drawn at the first start, then kept
	VerifierOnly  bool    // a configured passcode is not stored
	DACKey        *DACKey // nil: in the store
	Rand          io.Reader
	Log           *slog.Logger
}

// Start is what Begin has found or created.
type Start struct {
	Node     store.Node
	Material store.Attestation
	Booted   bool // the host was restarted since the last run
	Device   *attestation.Credentials
	Signer   attestation.Signer // nil if the DAC's key is in the store
	Stopped  bool               // the last run ended in order

	Run         uint64             // number of this run of the process
	Resumptions []store.Resumption // of the run before
}

// counterRuns counts the runs of the process. Unlike RebootCount it outlives a
// factory reset.
const counterRuns = "runs"

// Begin creates the identity and the attestation material if there are none, counts the
// start, and adopts a passcode, discriminator or product from the options, in one
// transaction. It removes the DAC's key from the store if the key is elsewhere. The error
// is one line for the operator.
func Begin(st *store.Store, opt Options, now time.Time) (p Start, err error) {
	err = st.Update(func(tx *store.Tx) error {
		if p.Material, err = attest(tx, &opt, now); err != nil {
			return err
		}
		if p.Resumptions, err = takeResumptions(tx); err != nil {
			return err
		}
		if p.Run, err = tx.Counter(counterRuns); err != nil {
			return err
		}
		if err := tx.RaiseCounter(counterRuns, p.Run+1); err != nil {
			return err
		}
		fabrics, err := tx.Fabrics()
		if err != nil {
			return err
		}
		return tx.MutateNode(func(n *store.Node) error {
			if err := complete(n, &opt); err != nil {
				return err
			}
			if len(fabrics) == 0 {
				ForgetSettings(n) // they belonged to a fabric that was removed
			}
			if n.RebootCount < math.MaxUint16 {
				n.RebootCount++ // only a factory reset sets it to 0
			}
			p.Stopped, n.Stopped = n.Stopped, false
			id := host.BootID()
			p.Booted, n.BootID = id != n.BootID, id
			p.Node = *n
			return nil
		})
	})
	if err != nil {
		return p, err
	}
	if p.Device, p.Signer, err = Credentials(p.Material, opt.DACKey, opt.Rand); err != nil {
		return p, fmt.Errorf("the attestation material in %s: %w", st.Path(), err)
	}
	if p.Signer != nil && len(p.Material.Key) > 0 {
		p.Material.Key = nil
		if err := st.Update(func(tx *store.Tx) error { return tx.PutAttestation(p.Material) }); err != nil {
			return p, err
		}
		Overwrite(st, opt.Log)
		opt.Log.Info("the attestation key is taken from outside, its copy in the store is removed", "from", opt.DACKey.Where)
	}
	return p, nil
}

func (i IDs) orDefault() IDs {
	return IDs{cmp.Or(i.Vendor, DefaultVendorID), cmp.Or(i.Product, DefaultProductID)}
}

// attest returns the attestation material. If there is none, it creates material for
// development.
func attest(tx *store.Tx, opt *Options, now time.Time) (store.Attestation, error) {
	a, ok, err := tx.Attestation()
	if err != nil || ok {
		return a, err
	}
	if opt.DACKey != nil {
		return a, fmt.Errorf("there is no attestation material yet for the DAC's key in %s: import it with \"opcredsd attestation import\"", opt.DACKey.Where)
	}
	ids := opt.IDs.orDefault()
	if a, err = attestation.Generate(opt.Rand, ids.Vendor, ids.Product, now); err != nil {
		return a, fmt.Errorf("making development attestation material: %w", err)
	}
	return a, tx.PutAttestation(a)
}

// complete fills in what a node record lacks.
func complete(n *store.Node, opt *Options) error {
	if n.UniqueID == "" {
		if err := Reset(n, opt.Rand); err != nil {
			return err
		}
	}
	first := len(n.Verifier) == 0
	if opt.Discriminator != nil {
		n.Discriminator = *opt.Discriminator
	} else if first {
		v, err := mcrypto.RandomUint32(opt.Rand)
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
	if opt.VerifierOnly && opt.Passcode != 0 {
		n.Passcode = 0 // the operator has configured it and knows it
	}
	return nil
}

// takeResumptions reads the resumption records and deletes them from the store.
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

// Reset removes the settings of controllers and the node's counts, and draws a new
// unique id (sections 11.1.5.19, 11.12.6 and 13.4). Event numbers and message
// counters are kept, as they must never be used again.
func Reset(n *store.Node, rand io.Reader) (err error) {
	ForgetSettings(n)
	n.RebootCount, n.OperationalHours = 0, 0
	n.UniqueID, err = newUniqueID(rand)
	return err
}

// unknownLocation is the country code until a controller sets one.
const unknownLocation = "XX"

// ForgetSettings removes the settings of controllers that belong to no fabric.
func ForgetSettings(n *store.Node) {
	n.NodeLabel, n.Location, n.LocalConfigDisabled = "", unknownLocation, false
}

func newUniqueID(r io.Reader) (string, error) {
	id := make([]byte, 16)
	if _, err := io.ReadFull(r, id); err != nil {
		return "", err
	}
	return hex.EncodeToString(id), nil
}
