package message

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"testing"

	"github.com/opcredsd/opcredsd/pkg/tlv"
)

// wireVector is an unsecured message of testdata/messages.json.
type wireVector struct {
	Name        string `json:"name"`
	Message     string `json:"message"`
	Flags       string `json:"message_flags"`
	Counter     uint32 `json:"message_counter"`
	Source      string `json:"source_node_id"`
	Destination string `json:"destination_node_id"`
	Exchange    uint16 `json:"exchange_id"`
	Opcode      string `json:"opcode"`
	ExFlags     string `json:"exchange_flags"`
	Ack         uint32 `json:"acked_counter"`
	Payload     string `json:"payload"`
}

func TestPublishedUnsecuredMessages(t *testing.T) {
	raw, err := os.ReadFile("testdata/messages.json")
	if err != nil {
		t.Fatal(err)
	}
	var file struct{ Vectors []wireVector }
	if err := json.Unmarshal(raw, &file); err != nil {
		t.Fatal(err)
	}
	checked := 0
	for _, v := range file.Vectors {
		if v.Payload == "" {
			continue
		}
		checked++
		t.Run(v.Name, func(t *testing.T) {
			b := unhex(t, v.Message)
			h, n, err := ParseHeader(b)
			if err != nil {
				t.Fatal(err)
			}
			p, m, err := ParseProtocolHeader(b[n:])
			if err != nil {
				t.Fatal(err)
			}
			payload := b[n+m:]
			if !h.Unsecured() || h.Counter != v.Counter {
				t.Errorf("header %+v", h)
			}
			if h.HasSource != (v.Source != "") || h.HasSource && fmt.Sprint(h.Source) != v.Source {
				t.Errorf("source %v, want %q", h.Source, v.Source)
			}
			if h.HasDest != (v.Destination != "") || h.HasDest && fmt.Sprint(h.Dest) != v.Destination {
				t.Errorf("destination %v, want %q", h.Dest, v.Destination)
			}
			if p.Exchange != v.Exchange || fmt.Sprintf("%02x", p.Opcode) != v.Opcode || p.Protocol != 0 || !p.Reliable || p.Ack != v.Ack {
				t.Errorf("protocol header %+v", p)
			}
			if !bytes.Equal(payload, unhex(t, v.Payload)) {
				t.Errorf("payload %x", payload)
			}
			if w := append(p.AppendTo(h.AppendTo(nil)), payload...); !bytes.Equal(w, b) {
				t.Errorf("written again:\n%x, want\n%x", w, b)
			}
			checkParameters(t, payload)
		})
	}
	if checked != 2 {
		t.Errorf("checked %d vectors, want 2", checked)
	}
}

// checkParameters reads the session parameters of the published PBKDF messages:
// an idle interval of 5000 ms and an active one of 300 ms.
func checkParameters(t *testing.T, payload []byte) {
	t.Helper()
	r := tlv.NewReader(payload)
	for r.EnterStruct(); r.Next(); {
		if r.ContextTag() == 5 {
			p := ReadParameters(&r)
			want := DefaultParameters()
			want.IdleInterval *= 10
			if p != want {
				t.Errorf("session parameters %+v, want %+v", p, want)
			}
		}
	}
	r.Exit()
	if err := r.End(); err != nil {
		t.Error(err)
	}
}
