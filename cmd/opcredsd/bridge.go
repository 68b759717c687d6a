package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/opcredsd/opcredsd/pkg/bridge"
	"github.com/opcredsd/opcredsd/pkg/demo"
	"github.com/opcredsd/opcredsd/pkg/device"
	"github.com/opcredsd/opcredsd/pkg/devicesfile"
	"github.com/opcredsd/opcredsd/pkg/server"
)

// bridgeFlags are the flags of run for the bridge.
type bridgeFlags struct {
	socket    string
	addr      string
	tokenFile string
	expose    []string
	devices   string // file
	mqtt      mqttFlags
	profile   string
	demo      bool

	overrides map[string]bridge.Override // content of the devices file, after options
}

func (f *bridgeFlags) register(fl *pflag.FlagSet) {
	fl.StringVar(&f.socket, "bridge-socket", "", "`path` of the bridge API's Unix socket; empty turns it off (default $RUNTIME_DIRECTORY/bridge.sock, else STATE_DIR/bridge.sock)")
	fl.StringVar(&f.addr, "bridge-addr", "", "`address` of the bridge API on TCP, with --bridge-token-file (default: none)")
	fl.StringVar(&f.tokenFile, "bridge-token-file", "", "`file` with the token that requests to --bridge-addr must contain")
	f.mqtt.register(fl)
	f.profile = "full"
	fl.Var(choice{&f.profile, device.Profiles()}, "profile", "`ecosystem` that the node is used with; device types that it does not support are shown as simpler ones, or not at all: "+strings.Join(device.Profiles(), ", "))
	fl.BoolVar(&f.demo, "demo", false, "show six simulated devices: a lamp, a plug, a thermostat, a thermometer, a blind and a motion sensor")
	fl.StringArrayVar(&f.expose, "expose", nil, "`pattern` of devices to show, such as z2m:* or room=Kitchen; ! hides; the last matching pattern decides; may be repeated (default: all)")
	fl.StringVar(&f.devices, "devices-file", "", "`file` (YAML) with names, rooms, types and visibility of devices (default: "+defaultDevices+" if it exists; empty: none)")
}

// defaultDevices is read if it exists and no other file is given.
const defaultDevices = "/etc/opcredsd/devices.yaml"

// readDevices reads the operator's file about devices.
func (f *bridgeFlags) readDevices(named bool) error {
	name := f.devices
	if !named {
		name = defaultDevices
	}
	if name == "" {
		return nil
	}
	b, err := readBounded(name, devicesfile.MaxSize)
	if name == defaultDevices && (errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission)) {
		return nil // there is none, or this user cannot read it
	}
	if err == nil {
		f.overrides, err = devicesfile.Parse(name, b)
	}
	if err == nil {
		f.mqtt.own, err = ownDevices(name, b)
	}
	if err != nil {
		return usageError{fmt.Errorf("devices-file: %w", err)}
	}
	return nil
}

// options returns the options from the flags.
func (f *bridgeFlags) options(cmd *cobra.Command, c *common) (*server.Bridge, error) {
	b := &server.Bridge{Socket: f.socket, Addr: f.addr}
	if !cmd.Flags().Changed("bridge-socket") {
		b.Socket = filepath.Join(runtimeDir(c.stateDir), "bridge.sock")
	}
	b.Profile, _ = device.ProfileNamed(f.profile)
	var err error
	if b.Expose, err = bridge.ParseFilter(f.expose); err != nil {
		return nil, usageError{fmt.Errorf("expose: %w", err)}
	}
	if err := f.readDevices(cmd.Flags().Changed("devices-file")); err != nil {
		return nil, err
	}
	b.Overrides = f.overrides
	front, err := f.mqtt.front(c.stateDir, c.log())
	if err != nil {
		return nil, err
	}
	if front != nil {
		b.Fronts = append(b.Fronts, front)
	}
	if f.demo {
		b.Fronts = append(b.Fronts, demo.New())
		b.Resident = append(b.Resident, demo.Source)
	} else {
		b.Fronts = append(b.Fronts, demo.Off())
	}
	if f.addr != "" {
		if f.tokenFile == "" {
			return nil, usageError{errors.New("bridge-addr: the API is on TCP only with a token: name a file with --bridge-token-file")}
		}
		if b.Token, err = readToken(f.tokenFile); err != nil {
			return nil, usageError{fmt.Errorf("bridge-token-file: %w", err)}
		}
	}
	return b, nil
}

// Limits of a token, in octets.
const minToken, maxToken = 16, 1024

// readToken reads a token from a file that is not readable by everybody.
func readToken(path string) (string, error) {
	st, err := os.Stat(path)
	if err != nil {
		return "", err
	}
	if st.Mode().Perm()&0o007 != 0 {
		return "", fmt.Errorf("%s can be read by everybody: chmod o= %s", path, path)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	b = bytes.TrimSpace(b)
	if len(b) < minToken || len(b) > maxToken {
		return "", fmt.Errorf("the token in %s has %d octets, not %d to %d", path, len(b), minToken, maxToken)
	}
	return string(b), nil
}
