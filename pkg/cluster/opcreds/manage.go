package opcreds

import (
	"fmt"

	"github.com/opcredsd/opcredsd/pkg/im"
	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/store"
	"github.com/opcredsd/opcredsd/pkg/tlv"
)

// maxLabel is the maximum length of a fabric label in octets of UTF-8.
const maxLabel = 32

// updateFabricLabel handles UpdateFabricLabel (section 11.18.6.11). New fabrics have no
// label, so the empty label conflicts with no other.
func (c *Cluster) updateFabricLabel(r *im.Request, fields tlv.Element) (matter.FabricIndex, error) {
	var label string
	var seen members
	rd := fields.Reader()
	for rd.EnterStruct(); rd.Next(); {
		if tag := rd.ContextTag(); tag == 0 {
			seen.saw(tag)
			label = rd.Text()
		}
	}
	if err := rd.End(); err != nil {
		return 0, im.CommandError(err)
	}
	if !seen.has(0) {
		return 0, matter.StatusInvalidCommand
	}
	if len(label) > maxLabel {
		return 0, fmt.Errorf("label of %d octets: %w", len(label), matter.StatusConstraintError)
	}
	own, err := c.own(r)
	if err != nil {
		return 0, err
	}
	for _, f := range c.opt.Table.All() {
		if label != "" && f.Index != own.Index && f.Label == label {
			return 0, NOCStatusLabelConflict
		}
	}
	return own.Index, c.opt.Table.Mutate(own.Index, func(f *store.Fabric) error {
		f.Label = label
		return nil
	})
}

// removeFabric handles RemoveFabric (section 11.18.6.12): it removes everything of the
// fabric in one transaction. Sessions, including the invoker's own, end after the answer.
func (c *Cluster) removeFabric(fields tlv.Element) (matter.FabricIndex, error) {
	var i matter.FabricIndex
	var seen members
	rd := fields.Reader()
	for rd.EnterStruct(); rd.Next(); {
		if tag := rd.ContextTag(); tag == 0 {
			seen.saw(tag)
			i = matter.FabricIndex(rd.Uint8())
		}
	}
	if err := rd.End(); err != nil {
		return 0, im.CommandError(err)
	}
	switch {
	case !seen.has(0):
		return 0, matter.StatusInvalidCommand
	case !i.Valid():
		return 0, matter.StatusConstraintError
	case c.opt.Table.Get(i) == nil:
		return 0, NOCStatusInvalidFabricIndex
	}
	if err := c.opt.Table.Remove(i); err != nil {
		return 0, err
	}
	c.opt.FailSafe.FabricRemoved(i)
	return i, nil
}
