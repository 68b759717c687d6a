package main

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/spf13/pflag"

	"github.com/opcredsd/opcredsd/pkg/devicesfile"
	"github.com/opcredsd/opcredsd/pkg/doctor"
	"github.com/opcredsd/opcredsd/pkg/metrics"
	"github.com/opcredsd/opcredsd/pkg/mqtt"
	"github.com/opcredsd/opcredsd/pkg/mqtt/homeassistant"
	"github.com/opcredsd/opcredsd/pkg/mqtt/link"
	"github.com/opcredsd/opcredsd/pkg/mqtt/tasmota"
	"github.com/opcredsd/opcredsd/pkg/mqtt/zigbee2mqtt"
)

// mqttFlags are the flags of run for an MQTT broker's devices.
type mqttFlags struct {
	link        link.Options
	zigbee2mqtt []string
	discovery   string
	tasmota     string
	birth       bool
	own         homeassistant.Own // of the devices file

	running *mqtt.Front // nil: none
}

func (f *mqttFlags) register(fl *pflag.FlagSet) {
	fl.StringVar(&f.link.URL, "mqtt-url", "", "`address` of an MQTT broker whose devices are bridged: mqtt://, mqtts://, ws://, wss:// or unix:// (default: none)")
	fl.StringVar(&f.link.Username, "mqtt-username", "", "user `name` at the MQTT broker")
	fl.StringVar(&f.link.PasswordFile, "mqtt-password-file", "", "`file` with the password at the MQTT broker")
	fl.StringVar(&f.link.CAFile, "mqtt-ca-file", "", "`file` with the certificates that the MQTT broker's chains up to (default: the system's)")
	fl.StringVar(&f.link.CertFile, "mqtt-cert-file", "", "`file` with a client certificate for the MQTT broker, with --mqtt-key-file")
	fl.StringVar(&f.link.KeyFile, "mqtt-key-file", "", "`file` with the client certificate's key")
	fl.StringVar(&f.link.ClientID, "mqtt-client-id", "", "client `id` at the MQTT broker (default: derived from the machine and the state directory)")
	fl.StringArrayVar(&f.zigbee2mqtt, "mqtt-zigbee2mqtt", []string{zigbee2mqtt.DefaultBase}, "base `topic` of a zigbee2mqtt; may be repeated; empty: none")
	fl.StringVar(&f.discovery, "mqtt-discovery-prefix", homeassistant.DefaultPrefix, "`topic` of Home Assistant's discovery; empty: none")
	fl.StringVar(&f.tasmota, "mqtt-tasmota", tasmota.DefaultTopic, "`topic` of Tasmota's discovery; empty: none")
	fl.BoolVar(&f.birth, "mqtt-birth", false, "publish online to PREFIX/status after connecting, as Home Assistant does, so that publishers send everything again")
}

// options returns the options from the flags.
func (f *mqttFlags) options(stateDir string) (mqtt.Options, error) {
	o := mqtt.Options{Link: f.link, Discovery: f.discovery, Tasmota: f.tasmota, Birth: f.birth, Own: f.own}
	if o.Link.ClientID == "" {
		o.Link.ClientID = clientID(stateDir)
	}
	for _, base := range f.zigbee2mqtt {
		if base != "" {
			o.Zigbee2MQTT = append(o.Zigbee2MQTT, base)
		}
	}
	switch {
	case f.link.URL == "" && len(f.own) > 0:
		return o, usageError{errors.New("devices-file: the devices under mqtt need a broker: set mqtt-url")}
	case f.link.URL == "":
		return o, nil
	}
	if err := o.Check(); err != nil {
		return o, usageError{fmt.Errorf("mqtt-url: %w", err)}
	}
	return o, nil
}

// ownDevices returns the devices that a devices file describes itself.
func ownDevices(name string, content []byte) (homeassistant.Own, error) {
	all, err := devicesfile.ParseMQTT(name, content)
	if err != nil || len(all) == 0 {
		return nil, err
	}
	own, err := homeassistant.ParseOwn(all)
	if err == nil {
		err = own.Check()
	}
	if err != nil {
		return nil, fmt.Errorf("%s: mqtt: %w", name, err)
	}
	return own, nil
}

// front returns the front for the flags, or nil if there is none.
func (f *mqttFlags) front(stateDir string, log *slog.Logger) (*mqtt.Front, error) {
	o, err := f.options(stateDir)
	if err != nil || o.Link.URL == "" {
		return nil, err
	}
	o.Log = log
	f.running, err = mqtt.New(o)
	return f.running, err
}

// probeTime is the time limit of a look at the broker.
const probeTime = 8 * time.Second

// probe looks at the broker, if there is one, for the doctor.
func (f *mqttFlags) probe(ctx context.Context, stateDir string, facts *doctor.Facts) {
	if f.link.URL == "" {
		return
	}
	facts.MQTT = &doctor.MQTT{URL: withoutLogin(f.link.URL)}
	o, err := f.options(stateDir)
	if err == nil {
		o.Link.ClientID += "-doctor" // the daemon may run
		ctx, cancel := context.WithTimeout(ctx, probeTime)
		defer cancel()
		var p mqtt.Probed
		p, err = mqtt.Probe(ctx, o)
		facts.MQTT.Refused, facts.MQTT.Zigbee2MQTT, facts.MQTT.Announced = p.Status.Refused, p.Zigbee2MQTT, p.Discovery+p.Tasmota
		if err == nil && !p.Status.Connected {
			err = errors.New(cmp.Or(p.Status.Error, "it does not answer"))
		}
	}
	if err != nil {
		facts.MQTT.Err = err.Error()
	}
}

// collectors returns the metrics of the front, if there is one.
func (f *mqttFlags) collectors() []prometheus.Collector {
	if f.running == nil {
		return nil
	}
	return []prometheus.Collector{metrics.NewMQTT(func() metrics.MQTT {
		l, failures := f.running.Stats()
		m := metrics.MQTT{Connected: l.Connected, Received: l.Received, Sent: l.Sent, Errors: failures}
		for reason, n := range l.Errors {
			m.Errors[string(reason)] += n
		}
		return m
	})}
}

// clientID returns a client id that is the same at each start and differs between
// nodes. A broker disconnects a client if another one connects with its id.
func clientID(stateDir string) string {
	if abs, err := filepath.Abs(stateDir); err == nil {
		stateDir = abs
	}
	machine, err := os.ReadFile("/etc/machine-id")
	if err != nil {
		host, _ := os.Hostname()
		machine = []byte(host)
	}
	sum := sha256.Sum256(fmt.Appendf(nil, "opcredsd %s %s", machine, stateDir))
	return "opcredsd-" + hex.EncodeToString(sum[:6])
}
