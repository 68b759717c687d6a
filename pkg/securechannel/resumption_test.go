package securechannel

import (
	"slices"
	"testing"
	"time"

	"github.com/opcredsd/opcredsd/pkg/exchange"
	"github.com/opcredsd/opcredsd/pkg/message"
)

func TestResumption(t *testing.T) {
	w := newWorld(t, nil)
	first := w.peer(1).controller(nil, nil)
	w.flow()
	w.want(Success)
	second := w.peer(2).controller(&first.record, nil)
	w.flow()
	if want := []uint8{message.OpcodeSigma2Resume}; !slices.Equal(second.opcodes, want) {
		t.Errorf("answers %#x, want %#x", second.opcodes, want)
	}
	if len(w.outcomes) != 1 || !w.outcomes[0].Resumed {
		t.Errorf("outcomes %+v", w.outcomes)
	}
	w.want(Success)
	if len(w.opened) != 2 {
		t.Fatalf("%d sessions", len(w.opened))
	}
	w.wantCASE(w.opened[1])
	w.wantTalk(second, w.opened[1])
	w.wantTalk(first, w.opened[0]) // the old session still works
	if len(w.memory) != 1 || w.memory[0].ID != second.record.ID || second.record.ID == first.record.ID {
		t.Error("the record was not replaced")
	}
	// The old id is no longer valid: a full handshake.
	third := w.peer(3).controller(&first.record, nil)
	w.flow()
	third.wantReport(reportSuccess)
	w.want(Success)
	if w.outcomes != nil || third.opcodes[0] != message.OpcodeSigma2 {
		t.Errorf("answers %#x", third.opcodes)
	}
	w.pass(10 * time.Second)
	w.wantClean()
}

func TestResumptionReports(t *testing.T) {
	for _, report := range [][]byte{reportInvalidParameter, reportCloseSession, {}} {
		w := newWorld(t, nil)
		first := w.peer(1).controller(nil, nil)
		w.flow()
		w.want(Success)
		w.log = nil
		before := slices.Clone(w.memory)
		w.peer(2).controller(&first.record, func(opcode uint8, b []byte) []byte {
			if opcode == message.OpcodeStatusReport {
				return report
			}
			return b
		})
		w.flow()
		w.want(PeerFailed)
		w.wantNoReport()
		if len(w.opened) != 1 || !slices.Equal(before, w.memory) {
			t.Errorf("%x: %d sessions", report, len(w.opened))
		}
		w.pass(10 * time.Second)
		w.wantClean()
	}
}

// A recorded Sigma1 does not give a second session with the same keys, neither
// during the handshake nor after it.
func TestResumptionReplay(t *testing.T) {
	w := newWorld(t, nil)
	first := w.peer(1).controller(nil, nil)
	w.flow()
	w.want(Success)
	replay := func(i byte, sigma1 []byte) *client {
		c := w.peer(i).client()
		c.script = func(time.Time, exchange.Message) (uint8, []byte) { return message.OpcodeStatusReport, reportSuccess }
		c.begin(message.OpcodeSigma1, sigma1)
		return c
	}
	var second *client
	second = w.peer(2).controller(&first.record, func(opcode uint8, b []byte) []byte {
		if opcode == message.OpcodeStatusReport {
			second.hold(opcode, b)
			return nil
		}
		return b
	})
	w.flow()
	// While its answer is on the way, the replay gets one too and confirms first.
	during := w.peer(3).client()
	during.script = func(_ time.Time, m exchange.Message) (uint8, []byte) {
		during.hold(message.OpcodeStatusReport, reportSuccess)
		return 0, nil
	}
	during.begin(message.OpcodeSigma1, second.sent)
	w.flow()
	second.sendHeld()
	w.flow()
	w.want(Success)
	during.sendHeld()
	w.flow()
	w.want(Aborted)
	if len(during.reports) != 0 {
		t.Errorf("a status report was answered with %x", during.reports)
	}
	after := replay(4, second.sent)
	w.flow()
	if len(w.opened) != 2 || slices.Contains(after.opcodes, message.OpcodeSigma2Resume) {
		t.Errorf("%d sessions, answers %#x", len(w.opened), after.opcodes)
	}
	w.wantTalk(second, w.opened[1])
}

// The same for a handshake that resumes. Its last message is not answered.
func TestResumptionFabricChanges(t *testing.T) {
	w := newWorld(t, nil)
	first := w.peer(1).controller(nil, nil)
	w.flow()
	w.want(Success)
	changed := *home().device
	changed.NOC = []byte("another")
	w.log = nil
	w.peer(2).controller(&first.record, func(opcode uint8, b []byte) []byte {
		if opcode == message.OpcodeStatusReport {
			w.fabrics = fabrics{&changed}
		}
		return b
	})
	w.flow()
	w.want(Aborted)
	w.wantNoReport()
	if len(w.opened) != 1 {
		t.Errorf("%d sessions", len(w.opened))
	}
}
