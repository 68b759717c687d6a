package message

import (
	"bytes"
	"errors"
	"testing"
	"time"

	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/tlv"
)

func TestStatusReport(t *testing.T) {
	for _, tt := range []struct {
		name string
		r    StatusReport
		want string
	}{
		{"success", StatusReport{}, "0000 00000000 0000"},
		{"invalid parameter", StatusReport{General: GeneralFailure, Code: CodeInvalidParameter}, "0100 00000000 0200"},
		{"close session", StatusReport{Code: CodeCloseSession}, "0000 00000000 0300"},
		{"busy", Busy(5000), "0800 00000000 0400 8813"},
		{"vendor protocol", StatusReport{General: GeneralDataLoss, Protocol: 0xFFF1_0002, Code: 0xFFFF}, "1000 0200f1ff ffff"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := tt.r.AppendTo(nil)
			if want := unhex(t, despace(tt.want)); !bytes.Equal(b, want) {
				t.Errorf("AppendTo = %x, want %x", b, want)
			}
			got, err := ParseStatusReport(b)
			if err != nil || got.General != tt.r.General || got.Protocol != tt.r.Protocol || got.Code != tt.r.Code || !bytes.Equal(got.Data, tt.r.Data) {
				t.Errorf("ParseStatusReport(%x) = %+v, %v", b, got, err)
			}
			for i := range 8 {
				if _, err := ParseStatusReport(b[:i]); !errors.Is(err, ErrTruncated) {
					t.Errorf("the first %d octets: %v", i, err)
				}
			}
		})
	}
}

func TestStatusReportMeaning(t *testing.T) {
	for _, tt := range []struct {
		name    string
		r       StatusReport
		success bool
		busy    uint16
		isBusy  bool
	}{
		{"success", StatusReport{}, true, 0, false},
		{"close session is no success", StatusReport{Code: CodeCloseSession}, false, 0, false},
		{"success of another protocol", StatusReport{Protocol: 1}, false, 0, false},
		{"failure", StatusReport{General: GeneralFailure}, false, 0, false},
		{"busy", Busy(5000), false, 5000, true},
		{"busy without a time", StatusReport{General: GeneralBusy, Code: CodeBusy, Data: []byte{1}}, false, 0, false},
		{"busy with more than a time", StatusReport{General: GeneralBusy, Code: CodeBusy, Data: []byte{1, 0, 9}}, false, 1, true},
		{"busy of another protocol", StatusReport{General: GeneralBusy, Protocol: 1, Code: CodeBusy, Data: []byte{1, 0}}, false, 0, false},
	} {
		if got := tt.r.Success(); got != tt.success {
			t.Errorf("%s: Success() = %v", tt.name, got)
		}
		if ms, ok := tt.r.BusyWait(); ms != tt.busy || ok != tt.isBusy {
			t.Errorf("%s: BusyWait() = %d, %v", tt.name, ms, ok)
		}
	}
}

func encode(p SessionParameters) []byte {
	w := tlv.NewWriter(nil)
	p.WriteTLV(w, tlv.Anonymous)
	return w.Bytes()
}

func decode(b []byte) (SessionParameters, error) {
	r := tlv.NewReader(b)
	p := ReadParameters(&r)
	return p, r.End()
}

func TestParametersWritten(t *testing.T) {
	silent := SessionParameters{}
	tcp := LocalParameters()
	tcp.SupportedTransports, tcp.MaxTCPMessageSize = transportTCPServer, 64000
	long := DefaultParameters()
	long.IdleInterval, long.ActiveThreshold = 90*time.Minute, 90*time.Second
	for _, tt := range []struct {
		name string
		p    SessionParameters
		want string
	}{
		{"local", LocalParameters(), "15 2501f401 25022c01 2503a00f 240415 24050c 260600000601 240720 240800 18"},
		{"never empty", silent, "15 240100 240200 240300 240701 240800 18"},
		{"with TCP", tcp, "15 2501f401 25022c01 2503a00f 240415 24050c 260600000601 240720 240804 250900fa 18"},
		{"clamped", long, "15 260180ee3600 25022c01 2503ffff 240701 240800 18"},
	} {
		if got, want := encode(tt.p), unhex(t, despace(tt.want)); !bytes.Equal(got, want) {
			t.Errorf("%s: %x, want %x", tt.name, got, want)
		}
	}
	if p, err := decode(encode(LocalParameters())); err != nil || p != LocalParameters() {
		t.Errorf("read back: %+v, %v", p, err)
	}
	if p, err := decode(encode(tcp)); err != nil || p != tcp || !p.TCP() {
		t.Errorf("read back: %+v, %v", p, err)
	}
}

func TestParametersRead(t *testing.T) {
	with := func(f func(*SessionParameters)) SessionParameters {
		p := DefaultParameters()
		f(&p)
		return p
	}
	for _, tt := range []struct {
		name string
		in   string
		want SessionParameters
		err  error
	}{
		{"empty: defaults", "15 18", DefaultParameters(), nil},
		{"wide integers", "15 270188130000 00000000 18", with(func(p *SessionParameters) { p.IdleInterval = 5 * time.Second }), nil},
		{"unknown tags of any type", "15 24ff01 350a 240101 18 2c0b0161 18", DefaultParameters(), nil},
		{"zero paths", "15 240700 18", DefaultParameters(), nil},
		{"unknown transports", "15 2508ffff 18", with(func(p *SessionParameters) { p.SupportedTransports = 6 }), nil},
		{"a burst", "15 240100 240201 18", with(func(p *SessionParameters) { p.IdleInterval, p.ActiveInterval = MinInterval, MinInterval }), nil},
		{"a year", "15 2601ffffffff 2602ffffffff 18", with(func(p *SessionParameters) { p.IdleInterval, p.ActiveInterval = time.Hour, time.Hour }), nil},
		{"revisions", "15 240411 24050b 260600000301 18", with(func(p *SessionParameters) {
			p.DataModelRevision, p.InteractionModelRevision, p.SpecificationVersion = 17, 11, 0x01030000
		}), nil},
		{"not a structure", "16 18", SessionParameters{}, tlv.ErrType},
		{"text for an interval", "15 2c010161 18", SessionParameters{}, tlv.ErrType},
		{"threshold beyond 16 bits", "15 260300000100 18", SessionParameters{}, tlv.ErrRange},
		{"truncated", "15 2501", SessionParameters{}, tlv.ErrTruncated},
	} {
		p, err := decode(unhex(t, despace(tt.in)))
		if !errors.Is(err, tt.err) || err == nil && p != tt.want {
			t.Errorf("%s: %+v, %v; want %+v, %v", tt.name, p, err, tt.want, tt.err)
		}
	}
}

func TestHandshakeOpcodes(t *testing.T) {
	want := map[uint8]bool{
		OpcodePBKDFParamRequest: true, OpcodePBKDFParamResponse: true, OpcodePake1: true, OpcodePake2: true, OpcodePake3: true,
		OpcodeSigma1: true, OpcodeSigma2: true, OpcodeSigma3: true, OpcodeSigma2Resume: true,
	}
	for op := range 256 {
		if got := Handshake(uint8(op)); got != want[uint8(op)] {
			t.Errorf("Handshake(%#x) = %v", op, got)
		}
	}
}

func FuzzReadParameters(f *testing.F) {
	f.Add(encode(LocalParameters()))
	f.Add(encode(SessionParameters{SupportedTransports: 6, MaxTCPMessageSize: 1}))
	f.Add(unhex(f, "152408ff3509240101180a"))
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := decode(b)
		if err != nil {
			return
		}
		if p.IdleInterval < MinInterval || p.IdleInterval > MaxInterval || p.ActiveInterval < MinInterval || p.ActiveInterval > MaxInterval || p.MaxPathsPerInvoke == 0 {
			t.Fatalf("%x gives %+v", b, p)
		}
		if !p.TCP() {
			p.MaxTCPMessageSize = defaultMaxTCPMessage
		}
		if again, err := decode(encode(p)); err != nil || again != p {
			t.Fatalf("%+v written and read is %+v, %v", p, again, err)
		}
	})
}

func FuzzParseStatusReport(f *testing.F) {
	busy := Busy(5000)
	f.Add(busy.AppendTo(nil))
	f.Add([]byte{1, 0, 0, 0, 0, 0, 2})
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := ParseStatusReport(b)
		if err != nil {
			return
		}
		if w := r.AppendTo(nil); !bytes.Equal(w, b) {
			t.Fatalf("%x written as %x", b, w)
		}
	})
}

func TestLocalParametersAnnounceThisRelease(t *testing.T) {
	p := LocalParameters()
	if p.DataModelRevision != matter.DataModelRevision || p.SpecificationVersion>>24 != 1 {
		t.Errorf("%+v", p)
	}
}
