package casesession

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/opcredsd/opcredsd/pkg/cert"
	"github.com/opcredsd/opcredsd/pkg/mcrypto"
	"github.com/opcredsd/opcredsd/pkg/message"
	"github.com/opcredsd/opcredsd/pkg/tlv"
)

func cut(n int) tamper { return func(b []byte) []byte { return b[:n] } }

func flip(bit int) tamper {
	return func(b []byte) []byte {
		b[bit/8] ^= 1 << (bit % 8)
		return b
	}
}

// tampers calls f with every truncation of a message of n octets, every flipped
// bit, and one octet appended.
func tampers(n int, f func(name string, c tamper)) {
	for i := range n {
		f(fmt.Sprintf("cut at %d", i), cut(i))
	}
	for i := range 8 * n {
		f(fmt.Sprintf("bit %d of octet %d", i%8, i/8), flip(i))
	}
	f("octet behind", func(b []byte) []byte { return append(b, 0x18) })
}

// A full handshake fails, on either side, if any octet was changed.
func TestTamperedMessages(t *testing.T) {
	w := newWorld(t, true)
	i, r := NewInitiator(w.initiator), NewResponder(w.responder)
	s1, err := i.Start()
	if err != nil {
		t.Fatal(err)
	}
	s2, _, err := r.Sigma1(s1)
	if err != nil {
		t.Fatal(err)
	}
	// finish continues the handshake from a Sigma2.
	finish := func(r *Responder, s2 []byte, on3 tamper) error {
		s3, _, err := forkInitiator(t, i).Sigma2(s2)
		if err == nil {
			_, err = fork(t, r).Sigma3(on3(s3))
		}
		return err
	}
	if err := finish(r, s2, untouched); err != nil {
		t.Fatal(err)
	}
	tampers(len(s1), func(name string, c tamper) {
		r := NewResponder(w.responder)
		s2, _, err := r.Sigma1(c(bytes.Clone(s1)))
		if err == nil {
			err = finish(r, s2, untouched)
		}
		if err == nil {
			t.Errorf("Sigma1, %s: session established", name)
		}
	})
	tampers(len(s2), func(name string, c tamper) {
		if finish(r, c(bytes.Clone(s2)), untouched) == nil {
			t.Errorf("Sigma2, %s: session established", name)
		}
	})
	s3, _, err := forkInitiator(t, i).Sigma2(s2)
	if err != nil {
		t.Fatal(err)
	}
	tampers(len(s3), func(name string, c tamper) {
		if res, err := fork(t, r).Sigma3(c(bytes.Clone(s3))); err == nil || res != (Result{}) {
			t.Errorf("Sigma3, %s: %+v, %v", name, res, err)
		}
	})
	if _, err := r.Sigma3(s3); err != nil {
		t.Error(err)
	}
}

// In a resumption, the MICs cover the random and the ids. Changes elsewhere cannot
// affect the keys.
func TestTamperedResumption(t *testing.T) {
	w := newWorld(t, false)
	w.mustRun(t)
	o := w.run(t, untouched, untouched, untouched)
	if o.opcode != message.OpcodeSigma2Resume || !o.bothSucceeded {
		t.Fatal(o.deviceErr, o.controllerErr)
	}
	check := func(name string, got outcome) {
		if got.bothSucceeded && (got.device.I2R != got.controller.I2R || got.device.ResumptionID != got.controller.ResumptionID) {
			t.Errorf("%s: the sides disagree", name)
		}
	}
	tampers(len(o.sigma1), func(name string, c tamper) {
		check("Sigma1, "+name, w.run(t, c, untouched, untouched))
	})
	tampers(len(o.reply), func(name string, c tamper) {
		check("Sigma2_Resume, "+name, w.run(t, untouched, c, untouched))
	})
	// Each of the covered fields.
	m, err := parseSigma2Resume(o.reply)
	if err != nil {
		t.Fatal(err)
	}
	for name, field := range map[string][]byte{"id": m.resumptionID, "MIC": m.mic} {
		at := bytes.Index(o.reply, field)
		for i := range 8 * len(field) {
			if got := w.run(t, untouched, flip(8*at+i), untouched); !errors.Is(got.controllerErr, errResumeMIC) {
				t.Errorf("%s, bit %d: %v", name, i, got.controllerErr)
			}
		}
	}
}

// A member of the fabric could put anything into the encrypted part. Every change
// of it is rejected.
func TestTamperedInnerPart(t *testing.T) {
	w := newWorld(t, true, 0xABCD0001)
	id := identity{root: w.controller.root, icac: w.controller.icac, noc: w.controller.noc, key: w.controller.key}
	own, other := newKey(t).Public(), newKey(t).Public()
	good, err := id.prove(rand.Reader, own[:], other[:], nil)
	if err != nil {
		t.Fatal(err)
	}
	device := identity{root: w.device.root, noc: w.device.noc}
	p, err := device.verify(good, own[:], other[:], false, inTime)
	if err != nil || p.node != controllerNode || p.cats[0] != 0xABCD0001 {
		t.Fatalf("%+v, %v", p, err)
	}
	tampers(len(good), func(name string, c tamper) {
		if p, err := device.verify(c(bytes.Clone(good)), own[:], other[:], false, inTime); err == nil || p != (peer{}) {
			t.Errorf("%s: %+v, %v", name, p, err)
		}
	})
	if _, err := device.verify(good, other[:], own[:], false, inTime); !errors.Is(err, mcrypto.ErrSignature) {
		t.Errorf("ephemeral keys in the other order: %v", err)
	}
	if _, err := device.verify(good, own[:], other[:], true, inTime); !errors.Is(err, errMissing) {
		t.Errorf("TBEData3 as TBEData2: %v", err)
	}
}

// The verifier encodes the signed part itself, so the encoding of the received
// certificates does not matter.
func TestLongFormsInside(t *testing.T) {
	w := newWorld(t, true)
	id := identity{root: w.controller.root, icac: w.controller.icac, noc: w.controller.noc, key: w.controller.key}
	own, other := newKey(t).Public(), newKey(t).Public()
	good, err := id.prove(rand.Reader, own[:], other[:], nil)
	if err != nil {
		t.Fatal(err)
	}
	n := len(id.noc.Raw())
	if !bytes.HasPrefix(good, []byte{0x15, 0x31, 1, byte(n), byte(n >> 8)}) {
		t.Fatalf("NOC of %d octets", n)
	}
	long := append([]byte{0x15, 0x32, 1, byte(n), byte(n >> 8), 0, 0}, good[5:]...)
	// Members of a later release.
	long = append(long[:len(long)-1], 0x24, 9, 1, 0x35, 10, 0x18, 0x18)
	device := identity{root: w.device.root, noc: w.device.noc}
	if _, err := device.verify(long, own[:], other[:], false, cert.VerifyOptions{}); err != nil {
		t.Error(err)
	}
}

// Ephemeral keys that are not points on the curve.
var badPoints = map[string][]byte{
	"zero":                     make([]byte, mcrypto.PublicKeySize),
	"origin":                   append([]byte{4}, make([]byte, 64)...),
	"off by one":               nil, // made in the test
	"all ones":                 bytes.Repeat([]byte{0xFF}, mcrypto.PublicKeySize),
	"compressed":               append([]byte{2}, bytes.Repeat([]byte{1}, 64)...),
	"order 2 on another curve": append([]byte{4}, append(bytes.Repeat([]byte{5}, 32), make([]byte, 32)...)...),
}

func TestInvalidCurvePoints(t *testing.T) {
	w := newWorld(t, false)
	for name, point := range badPoints {
		replace := func(parse func([]byte) ([]byte, error)) tamper {
			return func(b []byte) []byte {
				key, err := parse(b)
				if err != nil {
					t.Fatal(err)
				}
				if point == nil {
					key[64] ^= 1
				} else {
					copy(key, point)
				}
				return b
			}
		}
		o := w.run(t, replace(func(b []byte) ([]byte, error) { m, err := parseSigma1(b); return m.ephemeral, err }), untouched, untouched)
		if !errors.Is(o.deviceErr, mcrypto.ErrPublicKey) {
			t.Errorf("Sigma1, %s: %v", name, o.deviceErr)
		}
		o = w.run(t, untouched, replace(func(b []byte) ([]byte, error) { m, err := parseSigma2(b); return m.ephemeral, err }), untouched)
		if !errors.Is(o.controllerErr, mcrypto.ErrPublicKey) {
			t.Errorf("Sigma2, %s: %v", name, o.controllerErr)
		}
	}
}

// replaceMember replaces a member of a message, or adds one. The new member is in
// hexadecimal.
func replaceMember(t *testing.T, b []byte, tag uint8, with string) []byte {
	t.Helper()
	raw, err := hex.DecodeString(strings.ReplaceAll(with, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	w := tlv.NewWriter(nil)
	w.StartStruct(tlv.Anonymous)
	r := tlv.NewReader(b)
	for r.EnterStruct(); r.Next(); {
		if r.ContextTag() == int(tag) {
			w.Reset(append(w.Bytes(), raw...))
			continue
		}
		w.Element(r.Tag(), r.Element())
	}
	if err := r.Err(); err != nil {
		t.Fatal(err)
	}
	return append(w.Bytes(), 0x18)
}

func TestMalformedMessages(t *testing.T) {
	w := newWorld(t, false)
	w.mustRun(t)
	resumed := w.run(t, untouched, untouched, untouched)
	w.initiator.Resume = nil
	full := w.run(t, untouched, untouched, untouched)
	sixteen := strings.Repeat("ab", 16)
	for _, tt := range []struct {
		message []byte
		parse   func([]byte) error
		cases   map[string]struct {
			tag  uint8
			with string
		}
	}{
		{resumed.sigma1, func(b []byte) error { _, err := parseSigma1(b); return err }, map[string]struct {
			tag  uint8
			with string
		}{
			"no random":               {1, ""},
			"random of 31":            {1, "30 01 1f" + strings.Repeat("00", 31)},
			"random as text":          {1, "2c 01 20" + strings.Repeat("41", 32)},
			"no session id":           {2, ""},
			"session id 0":            {2, "24 02 00"},
			"session id of 17 bits":   {2, "26 02 00 00 01 00"},
			"session id twice":        {2, "24 02 01 24 02 01"},
			"session id signed":       {2, "20 02 01"},
			"no destination":          {3, ""},
			"destination of 33":       {3, "30 03 21" + strings.Repeat("00", 33)},
			"no key":                  {4, ""},
			"key of 64":               {4, "30 04 40" + strings.Repeat("00", 64)},
			"parameters not a struct": {5, "24 05 01"},
			"parameter too wide":      {5, "35 05 27 01 00 00 00 00 01 00 00 00 18"},
			"id without MIC":          {7, ""},
			"MIC without id":          {6, ""},
			"id of 15":                {6, "30 06 0f" + sixteen[:30]},
			"id of 17":                {6, "30 06 11" + sixteen + "00"},
			"id empty":                {6, "30 06 00"},
			"MIC of 15":               {7, "30 07 0f" + sixteen[:30]},
		}},
		{full.reply, func(b []byte) error { _, err := parseSigma2(b); return err }, map[string]struct {
			tag  uint8
			with string
		}{
			"no random":       {1, ""},
			"random of 33":    {1, "30 01 21" + strings.Repeat("00", 33)},
			"session id 0":    {2, "24 02 00"},
			"no session id":   {2, ""},
			"no key":          {3, ""},
			"key of 66":       {3, "30 03 42" + strings.Repeat("04", 66)},
			"no ciphertext":   {4, ""},
			"ciphertext null": {4, "34 04"},
			"parameters":      {5, "36 05 18"},
		}},
		{full.sigma3, func(b []byte) error { _, err := parseSigma3(b); return err }, map[string]struct {
			tag  uint8
			with string
		}{
			"no ciphertext":    {1, ""},
			"ciphertext twice": {1, "30 01 00 30 01 00"},
			"ciphertext 1":     {1, "24 01 01"},
		}},
		{resumed.reply, func(b []byte) error { _, err := parseSigma2Resume(b); return err }, map[string]struct {
			tag  uint8
			with string
		}{
			"no id":        {1, ""},
			"id of 15":     {1, "30 01 0f" + sixteen[:30]},
			"no MIC":       {2, ""},
			"MIC of 17":    {2, "30 02 11" + sixteen + "00"},
			"no session":   {3, ""},
			"session id 0": {3, "24 03 00"},
		}},
	} {
		if err := tt.parse(tt.message); err != nil {
			t.Fatal(err)
		}
		for name, c := range tt.cases {
			if err := tt.parse(replaceMember(t, tt.message, c.tag, c.with)); err == nil {
				t.Errorf("message with %d octets, %s: accepted", len(tt.message), name)
			}
		}
	}
	// Without an offer to resume, with members of a later release.
	plain := replaceMember(t, replaceMember(t, resumed.sigma1, 6, ""), 7, "2c 08 01 41 35 63 18 40 01 00 05")
	if m, err := parseSigma1(plain); err != nil || m.resumptionID != nil {
		t.Errorf("%+v, %v", m, err)
	}
	// Without parameters the defaults are assumed.
	if m, err := parseSigma1(replaceMember(t, full.sigma1, 5, "")); err != nil || m.params != message.DefaultParameters() {
		t.Errorf("%+v, %v", m, err)
	}
}

// The short ciphertexts that hold no MIC.
func TestShortCiphertext(t *testing.T) {
	w := newWorld(t, false)
	for n := range mcrypto.MICSize + 1 {
		w.responder.Validity = cert.VerifyOptions{}
		o := w.run(t, untouched, untouched, func([]byte) []byte { return encodeSigma3(make([]byte, n)) })
		if !errors.Is(o.deviceErr, errDecrypt) {
			t.Errorf("%d octets: %v", n, o.deviceErr)
		}
	}
}
