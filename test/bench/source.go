package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"time"

	"github.com/opcredsd/opcredsd/pkg/matter"
)

// source is a program with devices at the daemon's bridge API.
type source struct {
	ctx    context.Context
	client http.Client
}

func newSource(ctx context.Context, d *daemon) *source {
	socket := filepath.Join(d.state, "bridge.sock")
	return &source{ctx: ctx, client: http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", socket)
		},
	}}}
}

// do sends a request and decodes the answer into out, unless that is nil.
func (s *source) do(method, path string, body, out any) error {
	b, err := json.Marshal(body)
	if err != nil {
		return err
	}
	rsp, err := s.send(method, path, b)
	if err != nil {
		return err
	}
	defer rsp.Body.Close()
	if out == nil {
		_, err = io.Copy(io.Discard, rsp.Body)
		return err
	}
	return json.NewDecoder(rsp.Body).Decode(out)
}

func (s *source) send(method, path string, body []byte) (*http.Response, error) {
	req, err := http.NewRequestWithContext(s.ctx, method, "http://bridge"+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	rsp, err := s.client.Do(req)
	if err != nil {
		return nil, err
	}
	if rsp.StatusCode >= 300 {
		defer rsp.Body.Close()
		text, _ := io.ReadAll(rsp.Body)
		return nil, fmt.Errorf("%s %s: %s: %s", method, path, rsp.Status, text)
	}
	return rsp, nil
}

// sourceName is the source of all devices here.
const sourceName = "bench"

func deviceID(i int) string { return fmt.Sprintf("%s:%04d", sourceName, i) }

// thing is a device as the API takes it.
type thing map[string]any

func plug(i int) thing {
	return thing{"id": deviceID(i), "name": fmt.Sprintf("Plug %d", i), "type": "on_off_plug", "state": thing{"on": false}}
}

// mixed is one of the kinds that a house has.
func mixed(i int) thing {
	t := thing{"id": deviceID(i), "name": fmt.Sprintf("Device %d", i), "vendor": "ACME", "product": "P1", "serial": fmt.Sprintf("%06d", i)}
	part := func(kind string, state, options thing) {
		t["type"], t["state"] = kind, state
		if options != nil {
			t["options"] = options
		}
	}
	switch i % 10 {
	case 0, 1:
		part("color_temperature_light", thing{"on": true, "brightness_percent": 50, "color_temperature_kelvin": 2700}, nil)
	case 2:
		part("extended_color_light", thing{"on": true, "brightness_percent": 50, "hue_degrees": 20, "saturation_percent": 80}, nil)
	case 3:
		part("on_off_plug", thing{"on": true}, nil)
	case 4:
		part("contact_sensor", thing{"closed": true}, nil)
		t["battery"] = thing{"percent": 80}
	case 5:
		part("occupancy_sensor", thing{"occupied": false}, thing{"technology": "pir"})
		t["battery"] = thing{"percent": 70}
	case 6, 7:
		t["battery"] = thing{"percent": 60}
		t["parts"] = []thing{
			{"id": "temperature", "type": "temperature_sensor", "state": thing{"temperature_celsius": 20.5}},
			{"id": "humidity", "type": "humidity_sensor", "state": thing{"humidity_percent": 45}},
		}
	case 8:
		part("window_covering", thing{"position_percent": 40}, thing{"kind": "roller_shade"})
	default:
		part("thermostat", thing{"mode": "heat", "temperature_celsius": 20, "heating_setpoint_celsius": 21}, thing{"modes": []string{"off", "heat"}})
	}
	return t
}

// put makes n devices and returns them as the daemon answers.
func (s *source) put(n int, kind func(int) thing) ([]view, error) {
	all := make([]thing, n)
	for i := range all {
		all[i] = kind(i)
	}
	if err := s.do("PUT", "/v1/devices?source="+sourceName, all, nil); err != nil {
		return nil, err
	}
	return s.views(n, func() error { return nil })
}

// view is what the API says of a device.
type view struct {
	ID      string
	Exposed bool
	Reason  string
	Parts   []struct{ Endpoint matter.EndpointID }
}

// views waits until all of n devices have their endpoints. It calls remind again and again.
func (s *source) views(n int, remind func() error) (list []view, err error) {
	for end := time.Now().Add(startLimit); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		if err := remind(); err != nil {
			return nil, err
		}
		if err := s.do("GET", "/v1/devices", nil, &list); err != nil {
			return nil, err
		}
		there := 0
		for _, v := range list {
			if v.Exposed && len(v.Parts) > 0 && v.Parts[0].Endpoint != 0 {
				there++
			}
		}
		if there == n {
			return list, nil
		}
	}
	return nil, fmt.Errorf("not all of %d devices are shown: %+v", n, list)
}

// set reports a state.
func (s *source) set(id string, state thing) error {
	return s.do("PATCH", "/v1/devices/"+id, thing{"state": state}, nil)
}

// command is a command of a controller on the stream.
type command struct {
	Device string
	Set    map[string]any
	at     time.Time
}

// commands opens the stream of commands.
func (s *source) commands(ctx context.Context) (<-chan command, error) {
	req, err := http.NewRequestWithContext(ctx, "GET", "http://bridge/v1/commands?source="+sourceName, nil)
	if err != nil {
		return nil, err
	}
	rsp, err := s.client.Do(req)
	if err != nil {
		return nil, err
	}
	out := make(chan command, 1000)
	go func() {
		defer close(out)
		defer rsp.Body.Close()
		for lines := bufio.NewScanner(rsp.Body); lines.Scan(); {
			c := command{at: time.Now()}
			data, ok := strings.CutPrefix(lines.Text(), "data: ")
			if ok && json.Unmarshal([]byte(data), &c) == nil && c.Set != nil {
				out <- c
			}
		}
	}()
	return out, nil
}
