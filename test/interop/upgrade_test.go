//go:build interop

package interop

import (
	"compress/gzip"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// oldFabric is a fabric of a database of an earlier release, with its
// administrator.
type oldFabric struct {
	Node      uint64
	Authority struct {
		FabricID uint64 `json:"fabric_id"`
		NodeID   uint64 `json:"node_id"`
		EpochKey []byte `json:"epoch_key"`
		Root     []byte
		RootKey  []byte `json:"root_key"`
		ICAC     []byte
	}
}

const (
	attrSpecificationVersion = 0x15
	attrConfigurationVersion = 0x18
)

// TestUpgrade starts the daemon with the database of a node of Matter 1.4.2. The
// administrators of its fabrics must work without a new commissioning: they find
// the node, read new attributes, receive reports, and are connected to after a
// restart.
func TestUpgrade(t *testing.T) {
	t.Parallel()
	r := newRun(t)
	fabrics := r.unpack("../../pkg/store/testdata/schema2")
	r.startAll()
	r.begin("upgrade from 1.4.2")
	names := map[string]int{}
	for i, f := range fabrics {
		if f.Authority.ICAC != nil {
			continue // matter.js cannot use an authority without the root's key
		}
		name := fmt.Sprintf("old%d", i+1)
		a := f.Authority
		r.openController(name, args{"saved": args{
			"fabricId": integerArg(integer(a.FabricID)), "adminNodeId": integerArg(integer(a.NodeID)), "identityProtectionKey": octetsArg(a.EpochKey),
			"root": octetsArg(a.Root), "rootKey": octetsArg(a.RootKey),
		}})
		r.call(name+" knows the device", "adopt", args{"controller": name, "nodeId": integerArg(integer(f.Node))}, nil, nil)
		r.call("session of "+name, "reconnect", args{"controller": name}, nil, nil)
		r.readLabel(name, "Gateway")
		r.readNumber(name, attrSpecificationVersion, 0x01060000)
		r.readNumber(name, attrConfigurationVersion, 1)
		names[name] = len(r.subscribe(name, 0, 60).Attributes)
	}
	if len(names) < 2 {
		t.Fatalf("%d fabrics", len(names))
	}
	r.setLabel("old2", "1.6")
	for name := range names {
		r.report("report to "+name, name, 2*time.Second, alone(1, labelled("1.6")))
	}
	r.step("daemon killed", r.device.kill)
	r.step("daemon ready again", func() error { return r.device.start(r.ctx, testProduct) })
	for name, attributes := range names {
		r.report("the device calls "+name, name, 30*time.Second, reportsAll(attributes, labelled("1.6")))
	}
	r.step("daemon stopped", r.device.stop)
	fmt.Fprintf(r.summary, "%d steps, all passed\n", r.steps)
}

// unpack creates the device's state from a database of an earlier release.
func (r *run) unpack(name string) []oldFabric {
	r.t.Helper()
	var saved struct{ Fabrics []oldFabric }
	text, err := os.ReadFile(name + ".json")
	r.must(err)
	r.must(json.Unmarshal(text, &saved))
	in, err := os.Open(name + ".db.gz")
	r.must(err)
	defer in.Close()
	z, err := gzip.NewReader(in)
	r.must(err)
	r.must(os.MkdirAll(r.device.state, 0o700))
	out, err := os.OpenFile(filepath.Join(r.device.state, "opcredsd.db"), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	r.must(err)
	_, err = io.Copy(out, z)
	r.must(errors.Join(err, out.Close()))
	return saved.Fabrics
}

func octetsArg(b []byte) any { return map[string]string{"hex": hex.EncodeToString(b)} }

// readNumber reads a number of Basic Information.
func (r *run) readNumber(controller string, attribute uint32, want int) {
	r.t.Helper()
	var reports []report
	path := args{"endpoint": 0, "cluster": basicInformation, "attribute": attribute}
	r.call(fmt.Sprintf("attribute %#x as %s", attribute, controller), "read", args{"controller": controller, "paths": []args{path}}, &reports, func() error {
		var got int
		if err := value(reports, basicInformation, attribute, &got); err != nil {
			return err
		}
		if got != want {
			return fmt.Errorf("%#x, want %#x", got, want)
		}
		return nil
	})
}
