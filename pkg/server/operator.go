package server

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/opcredsd/opcredsd/pkg/admin"
	"github.com/opcredsd/opcredsd/pkg/fabric"
	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/onboarding"
	"github.com/opcredsd/opcredsd/pkg/store"
)

// operator answers the admin socket.
type operator struct{ s *Server }

func (o operator) Pairing(context.Context) (admin.Pairing, error) {
	return PairingOf(&o.s.trust.identity, o.s.opt.Product.VendorID, o.s.opt.Product.ProductID)
}

func (o operator) Fabrics(ctx context.Context) (list []admin.Fabric, err error) {
	err = o.s.ask(ctx, func(time.Time) error {
		list = FabricRows(o.s.trust.fabrics)
		return nil
	})
	return list, err
}

// PairingOf returns the onboarding payload of a node by its record.
func PairingOf(n *store.Node, vid matter.VendorID, pid matter.ProductID) (admin.Pairing, error) {
	if n.Passcode == 0 {
		return admin.Pairing{}, errors.New("the store holds no passcode, only its verifier: the codes are on the product's label")
	}
	p := onboarding.Payload{VendorID: vid, ProductID: pid, Discriminator: n.Discriminator, Passcode: n.Passcode}
	return admin.Pairing{QR: p.QR(), Manual: p.Manual(), Discriminator: n.Discriminator, Passcode: n.Passcode}, nil
}

// FabricRows returns the fabric table as the operator sees it.
func FabricRows(t *fabric.Table) []admin.Fabric {
	rows := []admin.Fabric{}
	for _, f := range t.All() {
		row := admin.Fabric{
			Index:              f.Index,
			FabricID:           f.FabricID.String(),
			NodeID:             f.NodeID.String(),
			VendorID:           f.VendorID,
			Label:              f.Label,
			RootPublicKey:      hex.EncodeToString(f.RootPublicKey[:]),
			CompressedFabricID: fmt.Sprintf("%X", f.CompressedID[:]),
		}
		if end := notAfter(f.NOCCert.NotAfter); !end.IsZero() {
			row.NOCNotAfter = &end
		}
		rows = append(rows, row)
	}
	return rows
}

// notAfter returns the end of validity of an operational certificate; 0 is none.
func notAfter(epoch uint32) time.Time {
	if epoch == 0 {
		return time.Time{}
	}
	return time.Unix(int64(epoch)+matter.EpochOffset, 0).UTC()
}
