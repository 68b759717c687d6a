package operator

import (
	"context"
	"encoding/json"
	"errors"
	"io"

	"github.com/opcredsd/opcredsd/pkg/admin"
	"github.com/opcredsd/opcredsd/pkg/bridge"
	"github.com/opcredsd/opcredsd/pkg/device"
)

// devices answers an operator's requests about bridged devices.
type devices struct{ r *bridge.Registry }

func (d devices) answer(o *admin.Operator) {
	o.Devices = func(context.Context) ([]bridge.View, error) { return d.r.Devices() }
	o.IgnoredDevices = func(context.Context) ([]device.Ignored, error) { return d.r.Ignored() }
	o.SetDevice = func(_ context.Context, v admin.DeviceValues) error {
		return refused(d.r.Patch(v.ID, bridge.Patch{States: []bridge.PartState{{Part: v.Part, State: v.State}}}))
	}
	o.PressDevice = func(_ context.Context, g admin.DeviceGesture) error {
		return refused(d.r.Event(g.ID, g.Part, g.Gesture))
	}
	o.RenameDevice = func(_ context.Context, n admin.DeviceName) error { return refused(d.r.Rename(n.ID, n.Part, n.Name)) }
	o.RemoveDevice = func(_ context.Context, r admin.DeviceRemoval) error { return refused(d.r.Remove(r.ID, r.Now)) }
	o.HideDevice = func(_ context.Context, h admin.DeviceHiding) error { return refused(d.r.Hide(h.ID, h.Hidden)) }
	o.IdentifyDevice = func(_ context.Context, i admin.DeviceIdentification) error {
		return refused(d.r.Identify(i.ID, i.Seconds))
	}
	o.WatchDevices = d.watch
}

// refused marks an error about a request as one that the operator can correct.
func refused(err error) error {
	var e *bridge.Error
	if errors.As(err, &e) {
		return admin.Refuse("%s", e.Detail)
	}
	return err
}

// watch writes events until ctx ends.
func (d devices) watch(ctx context.Context, out io.Writer) error {
	w, err := d.r.Watch()
	if err != nil {
		return refused(err)
	}
	defer w.Close()
	enc := json.NewEncoder(out)
	for {
		select {
		case n := <-w.C:
			if err := enc.Encode(n); err != nil {
				return err
			}
		case <-ctx.Done():
			return nil
		}
	}
}
