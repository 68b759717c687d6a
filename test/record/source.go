package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"log"
	"strings"
	"time"

	"github.com/opcredsd/opcredsd/pkg/matter"
)

// source is a program with a lamp at the bridge API.
type source struct {
	endpoint matter.EndpointID
	close    func()
}

// source adds a lamp and opens a stream of commands, which it confirms or does not.
func (g *gateway) source(ctx context.Context, confirms bool) (*source, error) {
	ctx, cancel := context.WithCancel(ctx)
	s := &source{close: cancel}
	rsp, err := g.api(ctx, "PUT", "/v1/devices/api:lamp", map[string]any{"name": "Lamp", "type": "on_off_light", "state": map[string]any{"on": false}})
	if err != nil {
		return nil, err
	}
	defer rsp.Body.Close()
	if err := json.NewDecoder(rsp.Body).Decode(&s); err != nil {
		return nil, err
	}
	stream, err := g.api(ctx, "GET", "/v1/commands", nil)
	if err != nil {
		return nil, err
	}
	go func() {
		defer stream.Body.Close()
		for lines := bufio.NewScanner(stream.Body); lines.Scan(); {
			data, ok := strings.CutPrefix(lines.Text(), "data: ")
			var c struct{ Set map[string]any }
			if !ok || json.Unmarshal([]byte(data), &c) != nil || c.Set == nil || !confirms {
				continue
			}
			if err := g.do(ctx, "PATCH", "/v1/devices/api:lamp", map[string]any{"state": c.Set}); err != nil && ctx.Err() == nil {
				log.Printf("%s: %v", g.name, err)
			}
		}
	}()
	// Endpoints are added in batches.
	select {
	case <-time.After(10 * time.Second):
	case <-ctx.Done():
	}
	return s, ctx.Err()
}

// UnmarshalJSON reads the endpoint from an answer of the API.
func (s *source) UnmarshalJSON(b []byte) error {
	var v struct{ Endpoint matter.EndpointID }
	err := json.Unmarshal(b, &v)
	s.endpoint = v.Endpoint
	return err
}

// toggle is a command of a controller.
func (g *gateway) toggle(ctx context.Context, h *hub, s *source) error {
	rsp, err := h.CASE.Invoke(ctx, s.endpoint, 0x06, 2, nil)
	if err == nil && rsp.Status.Status != matter.StatusSuccess {
		err = fmt.Errorf("toggle: %v", rsp.Status)
	}
	return err
}

// sourceGone has a source that ends without removing its devices.
func sourceGone(ctx context.Context, g *gateway) error {
	homes, err := g.hubs(ctx, 1)
	if err != nil {
		return err
	}
	s, err := g.source(ctx, true)
	if err != nil {
		return err
	}
	return every(ctx, time.Minute, func() error {
		if g.minute() > change {
			s.close()
			return homes[0].read(ctx)
		}
		return g.toggle(ctx, homes[0], s)
	})
}

// reverted has a source that receives commands and does not confirm them.
func reverted(ctx context.Context, g *gateway) error {
	homes, err := g.hubs(ctx, 1)
	if err == nil {
		err = g.at(ctx, change)
	}
	var s *source
	if err == nil {
		s, err = g.source(ctx, false)
	}
	if err != nil {
		return err
	}
	return every(ctx, time.Minute, func() error { return g.toggle(ctx, homes[0], s) })
}

// sensors announces thermometers by Home Assistant's discovery.
func (g *gateway) sensors(from, to int) {
	for i := from; i < to; i++ {
		g.announce(fmt.Sprintf("sensor/t%d", i), map[string]any{"unique_id": fmt.Sprintf("t%d", i), "device_class": "temperature", "unit_of_measurement": "°C",
			"state_topic": fmt.Sprintf("t/%d", i), "device": map[string]any{"identifiers": []string{fmt.Sprintf("t%d", i)}, "name": fmt.Sprintf("Thermometer %d", i)}})
	}
	g.readings(to)
}

// unknown announces entities that Matter has no type for.
func (g *gateway) unknown(from, to int) {
	for i := from; i < to; i++ {
		g.announce(fmt.Sprintf("water_heater/s%d", i), map[string]any{"unique_id": fmt.Sprintf("s%d", i), "mode_command_topic": fmt.Sprintf("s/%d/set", i),
			"device": map[string]any{"identifiers": []string{fmt.Sprintf("s%d", i)}, "name": fmt.Sprintf("Boiler %d", i)}})
	}
}

func (g *gateway) announce(topic string, config map[string]any) {
	b, err := json.Marshal(config)
	if err == nil {
		err = g.publish("homeassistant/"+topic+"/config", b)
	}
	if err != nil {
		log.Printf("%s: %v", g.name, err)
	}
}

// readings reports a temperature of each thermometer.
func (g *gateway) readings(n int) {
	for i := range n {
		if err := g.publish(fmt.Sprintf("t/%d", i), fmt.Appendf(nil, "%.1f", 20+float64(time.Now().Minute()%10)/10)); err != nil {
			log.Printf("%s: %v", g.name, err)
		}
	}
}
