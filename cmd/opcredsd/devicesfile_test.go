package main

import (
	"bytes"
	"os"
	"regexp"
	"testing"

	"github.com/opcredsd/opcredsd/pkg/devicesfile"
)

// TestShippedDevicesFile: the file that packages bring says nothing as it is, and all of
// its examples are right.
func TestShippedDevicesFile(t *testing.T) {
	b, err := os.ReadFile("../../packaging/devices.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if all, err := devicesfile.Parse("devices.yaml", b); err != nil || len(all) != 0 {
		t.Errorf("as it is: %v, %v", all, err)
	}
	_, examples, _ := bytes.Cut(b, []byte("#devices:"))
	examples = regexp.MustCompile(`(?m)^#`).ReplaceAll(append([]byte("#devices:"), examples...), nil)
	all, err := devicesfile.Parse("devices.yaml", examples)
	if err != nil || len(all) != 5 {
		t.Errorf("its examples: %d, %v", len(all), err)
	}
	if own, err := ownDevices("devices.yaml", examples); err != nil || len(own) != 2 {
		t.Errorf("its examples of MQTT: %d, %v", len(own), err)
	}
}
