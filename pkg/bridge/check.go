package bridge

import (
	"errors"
	"fmt"

	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/store"
)

// Check returns what is wrong with the records of devices in a store: one that cannot be
// read, an endpoint number that two devices have, or one that may be given again.
func Check(st *store.Store) error {
	return st.View(func(tx *store.Tx) error {
		next, err := tx.NextEndpoint()
		if err != nil {
			return err
		}
		var wrong []error
		owner := map[matter.EndpointID]string{}
		err = tx.Devices(func(id string, value []byte) error {
			rec, err := decodeRecord(id, value)
			if err != nil {
				wrong = append(wrong, err)
				return nil
			}
			for _, e := range rec.Endpoints {
				switch other, twice := owner[e.Number]; {
				case twice:
					wrong = append(wrong, fmt.Errorf("device %s: it has endpoint %d, as has %s", id, e.Number, other))
				case e.Number >= next:
					wrong = append(wrong, fmt.Errorf("device %s: its endpoint %d is not reserved", id, e.Number))
				}
				owner[e.Number] = id
			}
			return nil
		})
		return errors.Join(append(wrong, err)...)
	})
}
