package cert

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/opcredsd/opcredsd/pkg/tlv"
)

// replace replaces the only occurrence of old in b.
func replace(t testing.TB, b []byte, old, with string) []byte {
	t.Helper()
	if n := bytes.Count(b, []byte(old)); n != 1 {
		t.Fatalf("%x is %d times in %x", old, n, b)
	}
	return bytes.Replace(b, []byte(old), []byte(with), 1)
}

// Changes of the published NOC Node02_02 that make its form invalid.
func TestMalformedTLV(t *testing.T) {
	v := readVectors(t)["Node02_02"]
	key := "0\x09\x41" + string(v.PublicKey)
	const (
		serial    = "\x30\x01\x08\x0e\x99\xfe\xb4\xdb\x62\x01\x2a"
		notBefore = "\x26\x04\xef\x17\x1b\x27"
		basic     = "\x35\x01\x28\x01\x18"
		usage     = "\x24\x02\x01"
		purposes  = "\x36\x03\x04\x02\x04\x01\x18"
		subject   = "\x37\x06\x27\x11\x02\x00\x02\x00\xde\xde\xde\xde"
	)
	skid := "0\x04\x14" + string(parse(t, v.TLV).SubjectKeyID())
	for _, tt := range []struct{ name, old, with, want string }{
		{"serial number missing", serial, "", "element 2 where 1 belongs"},
		{"serial number empty", serial, "\x30\x01\x00", "serial number of 0"},
		{"serial number of 22 octets", serial, "\x30\x01\x16" + strings.Repeat("x", 22), "serial number of 22"},
		{"serial number as text", serial, "\x2c" + serial[1:], "type"},
		{"length in two octets", serial, "\x31\x01\x08\x00" + serial[3:], "shortest form"},
		{"length in four octets", serial, "\x32\x01\x08\x00\x00\x00" + serial[3:], "shortest form"},
		{"length in eight octets", serial, "\x33\x01\x08\x00\x00\x00\x00\x00\x00\x00" + serial[3:], "shortest form"},
		{"serial number twice", serial, serial + serial, "element 1 where 2 belongs"},
		{"unknown element", serial, serial + "\x24\x0c\x01", "element 12 where 2 belongs"},
		{"profile tag", serial, "\x50\x01\x00" + serial[2:], "where 1 belongs"},
		{"signature algorithm 2", "\x24\x02\x01\x37\x03", "\x24\x02\x02\x37\x03", "signature algorithm 2"},
		{"signature algorithm 0", "\x24\x02\x01\x37\x03", "\x24\x02\x00\x37\x03", "signature algorithm 0"},
		{"signature algorithm signed", "\x24\x02\x01\x37\x03", "\x20\x02\x01\x37\x03", "type"},
		{"public key algorithm 2", "\x24\x07\x01", "\x24\x07\x02", "public key algorithm 2"},
		{"curve 2", "\x24\x08\x01", "\x24\x08\x02", "elliptic curve 2"},
		{"issuer is a structure", "\x37\x03", "\x35\x03", "want list"},
		{"time of 64 bits", notBefore, "\x27\x04\x00\x00\x00\x00\x01\x00\x00\x00", "range"},
		{"times in the other order", notBefore, "\x26\x05\xef\x17\x1b\x27", "element 5 where 4 belongs"},
		{"public key of 64 octets", key, "0\x09\x40" + key[3:67], "64 octets"},
		{"public key of 66 octets", key, "0\x09\x42" + key[3:] + "x", "66 octets"},
		{"signature of 63 octets", "\x30\x0b\x40", "\x30\x0b\x3f", "63 octets"},
		{"element after the signature", "", "\x24\x0c\x00", "after the signature"},

		{"attribute 0", subject, subject + "\x2c\x00\x01x", "attribute 0"},
		{"attribute 24", subject, subject + "\x24\x18\x01", "attribute 24"},
		{"printable domain component", subject, subject + "\x2c\x90\x01x", "attribute 144"},
		{"printable node id", subject, subject + "\x24\x91\x01", "attribute 145"},
		{"node id as text", subject, subject + "\x2c\x11\x01x", "type"},
		{"common name as a number", subject, subject + "\x24\x01\x01", "type"},
		{"common name not UTF-8", subject, subject + "\x2c\x01\x01\xff", "UTF-8"},
		{"printable name not ASCII", subject, subject + "\x2c\x81\x02\xc3\xbc", "ASCII"},
		{"domain not ASCII", subject, subject + "\x2c\x10\x02\xc3\xbc", "ASCII"},
		{"name with a long length", subject, subject + "\x2d\x02\x01\x00x", "shortest form"},
		{"name with a localised part", subject, subject + "\x2c\x02\x03a\x1fb", "does not fit"},
		{"attribute without a tag", subject, subject + "\x04\x01", "context tag"},
		{"CAT of 64 bits", subject, subject + "\x27\x16\x01\x00\x00\x00\x01\x00\x00\x00", "range"},
		{"six attributes", subject, subject + strings.Repeat("\x2c\x01\x01x", 3), "more than 5"},

		{"basic constraints empty", basic, "\x35\x01\x18", "element 1 is missing"},
		{"basic constraints without is-ca", basic, "\x35\x01\x24\x02\x01\x18", "element 2 where 1 belongs"},
		{"basic constraints with more", basic, "\x35\x01\x28\x01\x24\x02\x00\x24\x03\x00\x18", "element 3 in the basic"},
		{"basic constraints with other", basic, "\x35\x01\x28\x01\x24\x03\x00\x18", "element 3 in the basic"},
		{"path length of 16 bits", basic, "\x35\x01\x29\x01\x25\x02\x00\x01\x18", "range"},
		{"basic constraints twice", basic, basic + basic, "extension 1 twice"},
		{"key usage twice", basic, basic + usage, "extension 2 twice"},
		{"purposes twice", purposes, purposes + purposes, "extension 3 twice"},
		{"key identifier twice", skid, skid + skid, "extension 4 twice"},
		{"key usage 0", basic + usage, basic + "\x24\x02\x00", "key usage 0x0000"},
		{"key usage beyond", basic + usage, basic + "\x25\x02\x01\x02", "key usage 0x0201"},
		{"no purposes", purposes, "\x36\x03\x18", "empty extended"},
		{"purpose 0", purposes, "\x36\x03\x04\x00\x18", "extended key usage 0"},
		{"purpose 7", purposes, "\x36\x03\x04\x07\x18", "extended key usage 7"},
		{"purpose twice", purposes, "\x36\x03\x04\x02\x04\x02\x18", "extended key usage 2"},
		{"key identifier of 19", skid, "\x30\x04\x13" + skid[3:22], "19 octets"},
		{"key identifier of 21", skid, "\x30\x04\x15" + skid[3:] + "x", "21 octets"},
		{"unknown extension element", basic, basic + "\x24\x07\x01", "element 7 among"},

		{"future extension not DER", basic, basic + "\x30\x06\x02\x30\x01", "future extension"},
		{"future extension with more behind", basic, basic + "\x30\x06\x0a\x30\x07\x06\x03\x55\x1d\x63\x04\x00\x00", "future extension"},
		{"future extension critical", basic, basic + "\x30\x06\x0c\x30\x0a\x06\x03\x55\x1d\x63\x01\x01\xff\x04\x00", "unknown critical extension 551d63"},
		{"future extension not critical in words", basic, basic + "\x30\x06\x0c\x30\x0a\x06\x03\x55\x1d\x63\x01\x01\x00\x04\x00", "future extension"},
		{"future extension of a known type", basic, basic + "\x30\x06\x09\x30\x07\x06\x03\x55\x1d\x13\x04\x00", "extension 551d13 among the future"},
		{"future extension twice", basic, basic + strings.Repeat("\x30\x06\x09\x30\x07\x06\x03\x55\x1d\x63\x04\x00", 2), "extension 6 twice"},
		{"future extension of 255 octets", basic, basic + "\x31\x06\xff\x00", "certificate"},
	} {
		b := []byte(v.TLV)
		if tt.old == "" {
			b = append(b[:len(b)-1:len(b)-1], tt.with+"\x18"...)
		} else {
			b = replace(t, b, tt.old, tt.with)
		}
		_, err := Parse(b)
		if !errors.Is(err, ErrMalformed) || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v; want %q", tt.name, err, tt.want)
		}
	}
	for _, b := range [][]byte{nil, {}, {0x15}, {0x15, 0x18}, {0x14}, append(slices.Clone(v.TLV), 0), make([]byte, MaxSize+1)} {
		if _, err := Parse(b); !errors.Is(err, ErrMalformed) {
			t.Errorf("%x: %v", b, err)
		}
	}
}

// A deep nesting of containers instead of a scalar neither overflows nor takes
// long.
func TestDeepTLV(t *testing.T) {
	b := append(bytes.Repeat([]byte{0x35, 0x01}, MaxSize/2), 0x18)
	b[0] = 0x15
	if _, err := Parse(b[:MaxSize]); !errors.Is(err, ErrMalformed) {
		t.Error(err)
	}
}

func TestMalformedDER(t *testing.T) {
	v := readVectors(t)["Node02_03"]
	der := []byte(v.DER)
	unhex := func(s string) string {
		b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	// The length stays the same, so that the outer lengths stay right.
	for _, tt := range []struct{ name, old, with string }{
		{"version 2", "a003020102", "a003020101"},
		{"algorithm of the TBS", "06082a8648ce3d0403023044", "06082a8648ce3d0403033044"},
		{"curve", "06082a8648ce3d030107", "06082a8648ce3d030106"},
		{"UTCTime before 2000", "170d3230", "170d3630"},
		{"GeneralizedTime where UTCTime belongs", "170d3230 31303135", "180d3230 31303135"},
		{"attribute type", "060a2b0601040182a27c0106 0c08", "060a2b0601040182a27c0108 0c08"},
		{"lower-case CAT", "0c084142434430303031", "0c084142636430303031"},
		{"CAT not hexadecimal", "0c084142434430303031", "0c084142474430303031"},
		{"CAT as PrintableString", "0c084142434430303031", "13084142434430303031"},
		{"common name as BMPString", "06035504030c0d", "06035504031e0d"},
		{"basic constraints not critical in words", "0603551d130101ff04023000", "0603551d1301010004023000"},
		{"boolean of 1", "0603551d130101ff04023000", "0603551d1301010104023000"},
		{"unknown critical extension", "0603551d130101ff04023000", "0603551d630101ff04023000"},
		{"key usage with a bit too many", "0603551d0f0101ff040403020780", "0603551d0f0101ff040403020680"},
		{"key usage empty", "0603551d0f0101ff040403020780", "0603551d0f0101ff040403020700"},
		{"purpose unknown", "06082b06010505070302", "06082b06010505070305"},
		{"purpose twice", "06082b06010505070302", "06082b06010505070301"},
		{"subject key id critical", "301d0603551d0e0416", "301d0603551d0e0101"},
		{"authority key id of another form", "301680 14", "301681 14"},
	} {
		old, with := unhex(tt.old), unhex(tt.with)
		if tt.name == "algorithm of the TBS" {
			// It occurs twice.
			bad := bytes.Replace(der, []byte(old), []byte(with), 1)
			if _, err := FromDER(bad); bytes.Equal(bad, der) || !errors.Is(err, ErrMalformed) {
				t.Errorf("%s: %v", tt.name, err)
			}
			continue
		}
		if bytes.Count(der, []byte(old)) == 0 {
			t.Fatalf("%s: %x is not in %x", tt.name, old, der)
		}
		bad := bytes.Replace(der, []byte(old), []byte(with), 1)
		if c, err := FromDER(bad); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %+v, %v", tt.name, c, err)
		}
	}
	for i := range der {
		if _, err := FromDER(der[:i]); !errors.Is(err, ErrMalformed) {
			t.Errorf("cut at %d: %v", i, err)
		}
	}
	if _, err := FromDER(append(bytes.Clone(der), 0)); !errors.Is(err, ErrMalformed) {
		t.Errorf("octet behind: %v", err)
	}
	// A flipped bit is either rejected or visible in the result.
	good := parse(t, v.TLV)
	for i := range 8 * len(der) {
		bad := bytes.Clone(der)
		bad[i/8] ^= 1 << (i % 8)
		if c, err := FromDER(bad); err == nil && c.Equal(good) || err != nil && !errors.Is(err, ErrMalformed) {
			t.Errorf("bit %d: %v", i, err)
		}
	}
}

func TestMultiValuedRDN(t *testing.T) {
	v := readVectors(t)["Node02_03"]
	// The subject's last two sets, 0c and 06 octets of type and value, as one.
	cn := "\x31\x16\x30\x14\x06\x03\x55\x04\x03\x0c\x0dTestCert02_03"
	cat := "\x31\x18\x30\x16\x06\x0a\x2b\x06\x01\x04\x01\x82\xa2\x7c\x01\x06\x0c\x08ABCD0001"
	if !bytes.Contains(v.DER, []byte(cn+cat)) {
		t.Fatalf("%x", v.DER)
	}
	bad := bytes.Replace(v.DER, []byte(cn+cat), []byte("\x31\x30"+cn[2:]+cat[2:]+"\x30\x00"), 1)
	if _, err := FromDER(bad); !errors.Is(err, ErrMalformed) {
		t.Error(err)
	}
}

// Certificates of the standard library with other algorithms.
func TestForeignAlgorithms(t *testing.T) {
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	p256 := newKey(t).ECDSA()
	for _, tt := range []struct {
		name string
		key  any
		req  x509.CertificateRequest
	}{
		{"P-384", p384, x509.CertificateRequest{SignatureAlgorithm: x509.ECDSAWithSHA256}},
		{"RSA", rsaKey, x509.CertificateRequest{SignatureAlgorithm: x509.SHA256WithRSA}},
		{"SHA-384", p256, x509.CertificateRequest{SignatureAlgorithm: x509.ECDSAWithSHA384}},
	} {
		csr, err := x509.CreateCertificateRequest(rand.Reader, &tt.req, tt.key)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := ParseCSR(csr); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
}

func TestIssueRefusesWhatHasNoX509Form(t *testing.T) {
	key := newKey(t)
	for _, c := range []*Certificate{
		{Subject: DN{{Type: 24}}},
		{Subject: DN{{}}},
		{Extensions: []Extension{{}}},
		{Extensions: []Extension{{Type: 7}}},
		{Extensions: []Extension{{Type: ExtendedKeyUsage, Purposes: []Purpose{9}}}},
	} {
		if _, err := Issue(rand.Reader, c, key); !errors.Is(err, ErrMalformed) {
			t.Errorf("%+v: %v", c, err)
		}
	}
	if _, err := Issue(bytes.NewReader(nil), &Certificate{}, key); err == nil {
		t.Error("serial number without randomness")
	}
}

func seeds(f *testing.F, der bool) {
	f.Helper()
	for _, v := range readVectors(f) {
		if der {
			f.Add([]byte(v.DER))
		} else {
			f.Add([]byte(v.TLV))
		}
	}
}

// A certificate that can be parsed has an X.509 form that reads as the same
// certificate, and its encoding is a fixed point.
func FuzzParse(f *testing.F) {
	seeds(f, false)
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := Parse(b)
		if err != nil {
			if !errors.Is(err, ErrMalformed) {
				t.Fatal(err)
			}
			return
		}
		if tlv.Validate(b) != nil || !bytes.Equal(c.Raw(), b) {
			t.Fatal("accepted what is no element, or changed it")
		}
		short := c.Encode()
		d, err := Parse(short)
		if err != nil || !bytes.Equal(d.Encode(), short) || len(short) > len(b) {
			t.Fatalf("%x encodes as %x: %v", b, short, err)
		}
		der, err := c.DER()
		if err != nil {
			t.Fatal(err)
		}
		if back, err := FromDER(der); err == nil && !bytes.Equal(back.Raw(), short) {
			t.Fatalf("%x became %x", short, back.Raw())
		}
		_ = CheckRoot(c)
		_ = VerifyChain(c, nil, d, VerifyOptions{Now: 1})
	})
}

// A certificate that can be converted from X.509 converts back to the same octets.
func FuzzFromDER(f *testing.F) {
	seeds(f, true)
	f.Fuzz(func(t *testing.T, der []byte) {
		c, err := FromDER(der)
		if err != nil {
			if !errors.Is(err, ErrMalformed) {
				t.Fatal(err)
			}
			return
		}
		back, err := parse(t, c.Raw()).DER()
		if err != nil || !bytes.Equal(back, der) {
			t.Fatalf("%x\n%x\n%v", der, back, err)
		}
	})
}

func FuzzParseCSR(f *testing.F) {
	csr, err := NewCSR(rand.Reader, newKey(f))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(csr)
	f.Fuzz(func(t *testing.T, der []byte) {
		pub, err := ParseCSR(der)
		if err == nil {
			if x, err := x509.ParseCertificateRequest(der); err != nil || x.CheckSignature() != nil {
				t.Fatalf("%x: key %x, which crypto/x509 does not find: %v", der, pub, err)
			}
		}
	})
}

func BenchmarkParse(b *testing.B) {
	raw := readVectors(b)["Node02_04"].TLV
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Parse(raw); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkTBS(b *testing.B) {
	c := parse(b, readVectors(b)["Node02_04"].TLV)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.TBS(); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkFromDER(b *testing.B) {
	der := readVectors(b)["Node02_04"].DER
	b.ReportAllocs()
	for b.Loop() {
		if _, err := FromDER(der); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkVerifyChain(b *testing.B) {
	for _, withICAC := range []bool{false, true} {
		name := "NOC-RCAC"
		if withICAC {
			name = "NOC-ICAC-RCAC"
		}
		b.Run(name, func(b *testing.B) {
			c := newChain(b, withICAC)
			b.ReportAllocs()
			for b.Loop() {
				if err := c.verify(1500); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkNewCSR(b *testing.B) {
	key := newKey(b)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := NewCSR(rand.Reader, key); err != nil {
			b.Fatal(err)
		}
	}
}
