package main

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/opcredsd/opcredsd/internal/commissioner"
	"github.com/opcredsd/opcredsd/pkg/datamodel"
	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/tlv"
)

const (
	goalFades = 0.15 // of a core, while 100 lamps fade
	fadeTime  = time.Minute
)

// lamp is a color lamp that is on.
func lamp(i int) thing {
	return thing{"id": deviceID(i), "name": fmt.Sprintf("Lamp %d", i), "type": "extended_color_light",
		"state": thing{"on": true, "brightness_percent": 1, "color_temperature_kelvin": 2700}}
}

// fades measures a minute in which 100 lamps fade together, in level and color, for a
// controller that is subscribed to everything.
func (b *bench) fades() error {
	const n = 100
	h, err := b.newHouse(0, "fades", n, lamp)
	if h != nil {
		defer h.close()
	}
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(h.ctx())
	defer cancel()
	events, err := h.commands(ctx)
	if err != nil {
		return err
	}
	go func() {
		for c := range events { // the lamps do what they are asked for
			if h.set(c.Device, c.Set) != nil {
				return
			}
		}
	}()
	if err := h.subscribe(); err != nil {
		return err
	}
	begin := time.Now()
	for _, v := range h.devices {
		if err := h.fade(v.Parts[0].Endpoint); err != nil {
			return err
		}
	}
	time.Sleep(2 * time.Second) // until the lamps have agreed
	var messages, values atomic.Int64
	go func() {
		for {
			rep, err := h.sub.Next(ctx)
			if err != nil {
				return
			}
			messages.Add(1)
			values.Add(int64(len(rep.Attributes)))
		}
	}()
	measured := fadeTime - time.Since(begin) - 2*time.Second
	t, err := h.spent(func() error { time.Sleep(measured); return nil })
	if err != nil {
		return err
	}
	if values.Load() == 0 {
		return fmt.Errorf("no report in %v of fading", measured)
	}
	perSecond := func(v int64) float64 { return float64(v) / measured.Seconds() }
	b.add(figure{name: "100 lamps fade in level and color: share of a core", unit: share, value: round(float64(t)/float64(measured), 3), goal: goalFades,
		note: fmt.Sprintf("%.0f values in %.0f messages a second", perSecond(values.Load()), perSecond(messages.Load()))})
	return nil
}

// fade starts a fade of a lamp over fadeTime.
func (h *house) fade(ep matter.EndpointID) error {
	const tenths = uint64(fadeTime / (100 * time.Millisecond))
	fields := func(first []uint64) commissioner.Fields {
		return func(w *tlv.Writer) {
			for i, v := range append(first, tenths, 0, 0) {
				w.Uint(tlv.Context(uint8(i)), v)
			}
		}
	}
	for _, c := range []struct {
		cluster matter.ClusterID
		command matter.CommandID
		fields  commissioner.Fields
	}{
		{datamodel.LevelControlID, datamodel.LevelControlCmdMoveToLevelWithOnOff, fields([]uint64{254})},
		{datamodel.ColorControlID, datamodel.ColorControlCmdMoveToColor, fields([]uint64{20000, 20000})},
	} {
		rsp, err := h.s.Invoke(h.ctx(), ep, c.cluster, c.command, c.fields)
		if err != nil {
			return err
		}
		if rsp.Status.Status != matter.StatusSuccess {
			return fmt.Errorf("command 0x%02X of cluster 0x%04X: %v", uint32(c.command), uint32(c.cluster), rsp.Status.Status)
		}
	}
	return nil
}
