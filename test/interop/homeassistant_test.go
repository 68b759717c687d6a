//go:build interop && homeassistant

package interop

import (
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// home is the Matter part of a Home Assistant: its Matter server, which is the
// Matter SDK's own controller in Python, and a connection to its WebSocket.
type home struct {
	r        *run
	name     string
	input    io.WriteCloser
	messages chan homeMessage
	calls    int
	heard    []homeMessage // events that were not used so far
}

// homeMessage is an answer or an event of the Matter server.
type homeMessage struct {
	ID      string          `json:"message_id"`
	Result  json.RawMessage `json:"result"`
	Error   int             `json:"error_code"`
	Details string          `json:"details"`
	Event   string          `json:"event"`
	Data    json.RawMessage `json:"data"`
}

// homeNode is a node as the Matter server reports it.
type homeNode struct {
	ID         int                        `json:"node_id"`
	Available  bool                       `json:"available"`
	Attributes map[string]json.RawMessage `json:"attributes"`
}

// Attributes as the Matter server writes their paths.
const (
	homeNodeLabel = "0/40/5"
	homeFabrics   = "0/62/3"
)

// openHome starts a Matter server in the controllers' namespace.
func (r *run) openHome(name string, port int) *home {
	r.t.Helper()
	venv, err := filepath.Abs("homeassistant/.venv/bin")
	r.must(err)
	if _, err := os.Stat(filepath.Join(venv, "matter-server")); err != nil {
		r.t.Fatal("no homeassistant/.venv/bin/matter-server: run test/setup.sh homeassistant (make interop-homeassistant does)")
	}
	state := r.t.TempDir()
	r.must(writeTrust(filepath.Join(state, "paa")))
	h := &home{r: r, name: name, messages: make(chan homeMessage, 1000)}

	log, err := os.Create(filepath.Join(r.logs, name+".log"))
	r.must(err)
	server := exec.Command(filepath.Join(venv, "matter-server"), "--storage-path", state, "--paa-root-cert-dir", filepath.Join(state, "paa"),
		"--port", strconv.Itoa(port), "--listen-address", "127.0.0.1", "--primary-interface", link, "--log-level", "debug")
	server.Stdout, server.Stderr, server.Env = log, log, environment()
	_, err = r.ctl.ns.start("matter-server", server, log)
	r.must(err)

	bridge := exec.Command(filepath.Join(venv, "python"), "homeassistant/bridge.py", fmt.Sprintf("ws://127.0.0.1:%d/ws", port))
	bridge.Stderr, bridge.Env = os.Stderr, environment()
	h.input, err = bridge.StdinPipe()
	r.must(err)
	output, write, err := os.Pipe()
	r.must(err)
	bridge.Stdout = write
	_, err = r.ctl.ns.start("bridge", bridge)
	write.Close()
	r.must(err)
	go h.receive(output)
	r.must(h.call("start_listening", nil, nil))
	return h
}

// writeTrust creates a directory with the published test PAAs, in the form of the
// Matter server's own download of today.
func writeTrust(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	n := 0
	for block, rest := pem.Decode(testPAAs); block != nil; block, rest = pem.Decode(rest) {
		n++
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("%d.der", n)), block.Bytes, 0o644); err != nil {
			return err
		}
	}
	return os.WriteFile(filepath.Join(dir, ".version"), []byte("1"), 0o644)
}

func (h *home) receive(output io.ReadCloser) {
	defer close(h.messages)
	eachLine(output, func(line []byte) {
		var m homeMessage
		if err := json.Unmarshal(line, &m); err == nil && (m.ID != "" || m.Event != "") {
			h.messages <- m
		}
	})
}

// call runs a command of the Matter server and stores its result, unless result is nil.
func (h *home) call(command string, a args, result any) error {
	h.calls++
	id := strconv.Itoa(h.calls)
	line, err := json.Marshal(map[string]any{"message_id": id, "command": command, "args": a})
	if err != nil {
		return err
	}
	if _, err := h.input.Write(append(line, '\n')); err != nil {
		return err
	}
	limit := time.After(90 * time.Second)
	for {
		m, err := h.next(limit)
		switch {
		case err != nil:
			return fmt.Errorf("%s: %w", command, err)
		case m.Event != "":
			h.heard = append(h.heard, m)
		case m.ID == id && m.Error != 0:
			return fmt.Errorf("%s: error %d: %s", command, m.Error, m.Details)
		case m.ID == id && result == nil:
			return nil
		case m.ID == id:
			return json.Unmarshal(m.Result, result)
		}
	}
}

func (h *home) next(limit <-chan time.Time) (homeMessage, error) {
	select {
	case m, ok := <-h.messages:
		if !ok {
			return m, fmt.Errorf("the Matter server ended; see %s/%s.log", h.r.logs, h.name)
		}
		return m, nil
	case <-limit:
		return homeMessage{}, errors.New("nothing in time")
	case <-h.r.ctx.Done():
		return homeMessage{}, h.r.ctx.Err()
	}
}

// wait waits for an event. It checks earlier events first.
func (h *home) wait(text string, limit time.Duration, match func(m *homeMessage) bool) {
	h.r.t.Helper()
	h.r.step(h.name+": "+text, func() error {
		for len(h.heard) > 0 {
			m := h.heard[0]
			h.heard = h.heard[1:]
			if match(&m) {
				return nil
			}
		}
		end := time.After(limit)
		for {
			m, err := h.next(end)
			if err != nil || m.Event != "" && match(&m) {
				return err
			}
		}
	})
}

// command runs a command as a step.
func (h *home) command(text, command string, a args, result any) {
	h.r.t.Helper()
	h.r.step(h.name+": "+text, func() error { return h.call(command, a, result) })
}

func availability(want bool) func(m *homeMessage) bool {
	return func(m *homeMessage) bool {
		var n homeNode
		return m.Event == "node_updated" && json.Unmarshal(m.Data, &n) == nil && n.Available == want
	}
}

// updated matches a change of an attribute to a value.
func updated(path, value string) func(m *homeMessage) bool {
	return func(m *homeMessage) bool {
		return m.Event == "attribute_updated" && strings.HasSuffix(string(m.Data), fmt.Sprintf("%q, %q]", path, value))
	}
}

// startUp matches the event StartUp.
func startUp(m *homeMessage) bool {
	var e struct {
		Cluster int `json:"cluster_id"`
		Event   int `json:"event_id"`
	}
	return m.Event == "node_event" && json.Unmarshal(m.Data, &e) == nil && e.Cluster == basicInformation && e.Event == eventStartUp
}

// commission commissions the daemon with a code and checks that the server has read
// all of it.
func (h *home) commission(code string) (n homeNode) {
	h.r.t.Helper()
	h.command("commission", "commission_with_code", args{"code": code, "network_only": true}, &n)
	h.r.step(h.name+": what was read", func() error {
		for _, path := range []string{homeNodeLabel, "0/62/1", "0/51/0", "0/29/0", "1/29/0"} {
			if len(n.Attributes[path]) == 0 {
				return fmt.Errorf("no attribute %s", path)
			}
		}
		return nil
	})
	return n
}

// setLabel writes NodeLabel and waits for its report.
func (h *home) setLabel(n homeNode, label string) {
	h.r.t.Helper()
	var results []struct{ Status int }
	h.command("write NodeLabel", "write_attribute", args{"node_id": n.ID, "attribute_path": homeNodeLabel, "value": label}, &results)
	if len(results) != 1 || results[0].Status != 0 {
		h.r.fail("write NodeLabel", fmt.Errorf("%+v", results))
	}
	h.wait("report of NodeLabel", 5*time.Second, updated(homeNodeLabel, label))
}

// TestHomeAssistant runs Home Assistant's Matter server with the daemon. After each
// disturbance of the daemon the node must be available again, without help. If
// OPCREDSD_OLD_BIN names a daemon of an earlier release, the test commissions that
// one, and the first restart is an upgrade.
func TestHomeAssistant(t *testing.T) {
	makeSDKDirectory(t)
	r := newRun(t)
	today := r.device.binary
	if old := os.Getenv("OPCREDSD_OLD_BIN"); old != "" {
		r.device.binary = old
	}
	r.startAll()
	r.begin("Home Assistant")
	one := r.openHome("home", 5580)
	n := one.commission(r.pairing.Manual)
	one.setLabel(n, "hall")

	r.begin("Home Assistant, SIGKILL")
	r.step("daemon killed", r.device.kill)
	r.device.binary = today
	r.step("daemon ready again", func() error { return r.device.start(r.ctx, testProduct) })
	one.wait("the device calls: event StartUp", 15*time.Second, startUp)
	one.setLabel(n, "after SIGKILL")

	// The server ends its subscription 5 s after the event ShutDown.
	for _, down := range []time.Duration{0, 2 * time.Second, 7 * time.Second} {
		r.begin(fmt.Sprintf("Home Assistant, SIGTERM and %v away", down))
		// ShutDown is reported after the minimum interval of 1 s.
		r.step("quiet", func() error { time.Sleep(1500 * time.Millisecond); return nil })
		r.step("daemon stopped", r.device.stop)
		one.wait("unavailable", 5*time.Second, availability(false))
		r.step("away", func() error { time.Sleep(down); return nil })
		r.step("daemon ready again", func() error { return r.device.start(r.ctx, testProduct) })
		// While the node is down, the server may use a session from before the
		// SIGKILL. It then needs its retransmissions to notice.
		one.wait("available", time.Minute, availability(true))
		one.setLabel(n, fmt.Sprint("after ", down))
	}

	r.begin("Home Assistant, a second home")
	var codes struct {
		Manual string `json:"setup_manual_code"`
	}
	one.command("open a commissioning window", "open_commissioning_window", args{"node_id": n.ID}, &codes)
	two := r.openHome("second", 5581)
	m := two.commission(codes.Manual)
	one.wait("report of CommissionedFabrics", 10*time.Second, func(m *homeMessage) bool {
		return m.Event == "attribute_updated" && strings.HasSuffix(string(m.Data), fmt.Sprintf("%q, 2]", homeFabrics))
	})
	two.setLabel(m, "from the second")
	one.wait("the first hears of it", 5*time.Second, updated(homeNodeLabel, "from the second"))
	two.command("remove the node", "remove_node", args{"node_id": m.ID}, nil)
	one.wait("report of CommissionedFabrics", 10*time.Second, func(m *homeMessage) bool {
		return m.Event == "attribute_updated" && strings.HasSuffix(string(m.Data), fmt.Sprintf("%q, 1]", homeFabrics))
	})
	one.command("interview", "interview_node", args{"node_id": n.ID}, nil)
	one.command("remove the node", "remove_node", args{"node_id": n.ID}, nil)
	r.step("nothing is left", func() error {
		out, err := r.device.ns.output(r.ctx, r.device.binary, "fabrics", "list", "-o", "json", "--state-dir", r.device.state)
		if err == nil && strings.TrimSpace(string(out)) != "[]" {
			err = fmt.Errorf("fabrics %s", out)
		}
		return err
	})
	n = one.commission(r.pairing.Manual)
	one.setLabel(n, "again")
	fmt.Fprintf(r.summary, "%d steps, all passed\n", r.steps)
}
