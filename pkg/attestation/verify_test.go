package attestation

import (
	"bytes"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/mcrypto"
	"github.com/opcredsd/opcredsd/pkg/store"
)

func TestGenerated(t *testing.T) {
	a := generate(t)
	if !a.Test || a.VendorID != 0xFFF1 || a.ProductID != 0x8001 {
		t.Errorf("record %+v", a)
	}
	r, err := Verify(a, VerifyOptions{Now: now})
	if err != nil {
		t.Fatal(err)
	}
	if !r.Test || r.VendorID != 0xFFF1 || r.ProductID != 0x8001 || len(r.Notes) != 0 || !strings.Contains(r.Root, "Matter Test PAA") || !r.NotAfter.Equal(noExpiry) {
		t.Errorf("report %+v", r)
	}
	// Two devices never share a key, a serial number or a certificate.
	b := generate(t)
	if bytes.Equal(a.DAC, b.DAC) || bytes.Equal(a.PAI, b.PAI) || bytes.Equal(a.Key, b.Key) {
		t.Error("two devices have the same credentials")
	}
}

// The chain satisfies crypto/x509's rules, and has the encodings that crypto/x509
// does not check.
func TestGeneratedChain(t *testing.T) {
	a := generate(t)
	paa, err := x509.ParseCertificate(mustHex(testPAAHex))
	if err != nil {
		t.Fatal(err)
	}
	pai, err := x509.ParseCertificate(a.PAI)
	if err != nil {
		t.Fatal(err)
	}
	dac, err := x509.ParseCertificate(a.DAC)
	if err != nil {
		t.Fatal(err)
	}
	roots, inter := x509.NewCertPool(), x509.NewCertPool()
	roots.AddCert(paa)
	inter.AddCert(pai)
	if _, err := dac.Verify(x509.VerifyOptions{Roots: roots, Intermediates: inter, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}}); err != nil {
		t.Error(err)
	}
	if len(a.DAC) > MaxCertificate || len(a.PAI) > MaxCertificate {
		t.Errorf("%d and %d octets", len(a.DAC), len(a.PAI))
	}
	for _, c := range []*x509.Certificate{dac, pai} {
		var rdns []asn1.RawValue
		if _, err := asn1.Unmarshal(c.RawSubject, &rdns); err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(c.RawSubject, []byte{asn1.TagPrintableString, 4}) || !bytes.Contains(c.RawSubject, []byte("\x0c\x04FFF1")) {
			t.Errorf("the vendor id is no UTF8String: %x", c.RawSubject)
		}
		if c.SerialNumber.Sign() <= 0 || c.SerialNumber.BitLen() > 8*20-1 {
			t.Errorf("serial number %x", c.SerialNumber)
		}
	}
	if !bytes.Contains(dac.RawSubject, []byte("\x0c\x048001")) || bytes.Contains(pai.RawSubject, []byte("8001")) {
		t.Error("product id missing in the DAC or present in the PAI")
	}
}

func TestGenerateBeforeTheRoot(t *testing.T) {
	for _, when := range []time.Time{{}, time.Unix(0, 0), time.Date(2021, 6, 28, 14, 23, 44, 0, time.UTC)} {
		a, err := Generate(rand.Reader, 0xFFF1, 0x8001, when)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Verify(a, VerifyOptions{Now: now}); err != nil {
			t.Errorf("made on %v: %v", when, err)
		}
	}
}

func TestVerifyPublished(t *testing.T) {
	r, err := Verify(published(t), VerifyOptions{Now: now})
	if err != nil || !r.Test || len(r.Notes) != 0 {
		t.Errorf("report %+v, error %v", r, err)
	}
	// The same product under the PAI with a product id and its own DAC.
	dac := findVector(t, "dev-credentials.json", "Test DAC FFF1/8000 0004")
	a := published(t)
	a.DAC, a.Key, a.ProductID = dac.DER, dac.Private, 0x8000
	a.PAI = findVector(t, "dev-credentials.json", "Test PAI FFF1/8000").DER
	if _, err := Verify(a, VerifyOptions{Now: now}); err != nil {
		t.Error(err)
	}
}

func TestPublishedConstants(t *testing.T) {
	for name, want := range map[string]*mcrypto.PrivateKey{"Test PAA (no VID)": testPAAKey(), "Test CD signing key": testCDKey()} {
		v := findVector(t, "dev-credentials.json", name)
		if pub := want.Public(); !bytes.Equal(pub[:], v.Public) || !bytes.Equal(keyID(want), v.SKID) {
			t.Errorf("%s: public key %x", name, pub)
		}
	}
	for i, name := range []string{"Test PAA (no VID)", "Test PAA FFF1"} {
		if !bytes.Equal(testRoots()[i], findVector(t, "dev-credentials.json", name).DER) {
			t.Errorf("%s: another certificate", name)
		}
	}
}

// chain is a PAI and a DAC with changes by change.
type chain struct {
	paiVID, dacVID matter.VendorID
	pid            matter.ProductID
	cd             Declaration
	authority      *mcrypto.PrivateKey
}

func (c chain) make(t *testing.T) store.Attestation {
	t.Helper()
	root, err := x509.ParseCertificate(mustHex(testPAAHex))
	if err != nil {
		t.Fatal(err)
	}
	pai, paiKey, err := issue(rand.Reader, root.NotBefore, root, c.authority, "PAI", c.paiVID, 0)
	if err != nil {
		t.Fatal(err)
	}
	dac, key, err := issue(rand.Reader, root.NotBefore, pai, paiKey, "DAC", c.dacVID, c.pid)
	if err != nil {
		t.Fatal(err)
	}
	return store.Attestation{DAC: dac.Raw, PAI: pai.Raw, CD: signed(t, c.cd), Key: key.Scalar()}
}

func TestVerifyFaults(t *testing.T) {
	other := generate(t)
	good := chain{0xFFF1, 0xFFF1, 0x8001, Declaration{VendorID: 0xFFF1, ProductIDs: products(0x8001), CertificateID: testCertificateID}, testPAAKey()}
	plain := func(change func(c *chain)) func(t *testing.T) store.Attestation {
		return func(t *testing.T) store.Attestation {
			c := good
			change(&c)
			return c.make(t)
		}
	}
	record := func(change func(a *store.Attestation)) func(t *testing.T) store.Attestation {
		return func(t *testing.T) store.Attestation {
			a := good.make(t)
			change(&a)
			return a
		}
	}
	keyIDof := func(i int) [keyIDSize]byte {
		c, err := x509.ParseCertificate(testRoots()[i])
		if err != nil {
			t.Fatal(err)
		}
		return [keyIDSize]byte(c.SubjectKeyId)
	}
	for _, tt := range []struct {
		name string
		make func(t *testing.T) store.Attestation
		want string // part of the fault; empty for none
	}{
		{"as it should be", plain(func(*chain) {}), ""},
		{"vendors differ", plain(func(c *chain) { c.dacVID = 0xFFF2 }), "the PAI of vendor FFF1"},
		{"declaration of another vendor", plain(func(c *chain) { c.cd.VendorID = 0xFFF2 }), "declaration is of vendor FFF2"},
		{"declaration of another product", plain(func(c *chain) { c.pid = 0x8002 }), "does not list product 8002"},
		{"another origin", plain(func(c *chain) { c.cd.Origin = &Origin{0xFFF2, 0x8001} }), "wants a DAC of vendor FFF2"},
		{"another product of the origin", plain(func(c *chain) { c.cd.Origin = &Origin{0xFFF1, 0x8002} }), "wants a DAC of vendor FFF1, product 8002"},
		{"this origin", plain(func(c *chain) { c.cd.VendorID, c.cd.Origin = 0xFFF4, &Origin{0xFFF1, 0x8001} }), ""},
		{"this PAA allowed", plain(func(c *chain) { c.cd.AuthorizedPAAs = [][keyIDSize]byte{keyIDof(1), keyIDof(0)} }), ""},
		{"another PAA allowed", plain(func(c *chain) { c.cd.AuthorizedPAAs = [][keyIDSize]byte{keyIDof(1)} }), "does not allow this PAA"},
		{"official by the test signer", plain(func(c *chain) { c.cd.Type = CertificationOfficial }), "calls itself official"},
		{"another device's PAI", record(func(a *store.Attestation) { a.PAI = other.PAI }), "names another issuer"},
		{"another device's key", record(func(a *store.Attestation) { a.Key = other.Key }), "not that of the DAC"},
		{"PAI and DAC swapped", record(func(a *store.Attestation) { a.DAC, a.PAI = a.PAI, a.DAC }), "is a CA certificate"},
		{"the PAA as PAI", record(func(a *store.Attestation) { a.PAI = testRoots()[0] }), "path length 0"},
		{"no DAC", record(func(a *store.Attestation) { a.DAC = nil }), "reading the DAC"},
		{"no declaration", record(func(a *store.Attestation) { a.CD = nil }), "certification declaration"},
		{"a declaration with another signature", record(func(a *store.Attestation) { a.CD[len(a.CD)-1] ^= 1 }), "signature does not verify"},
		{"a DAC with another signature", record(func(a *store.Attestation) { a.DAC[len(a.DAC)-1] ^= 1 }), "not by the PAI"},
		{"a PAI with another signature", record(func(a *store.Attestation) { a.PAI[len(a.PAI)-1] ^= 1 }), "not by the PAA"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := Verify(tt.make(t), VerifyOptions{Now: now})
			switch {
			case tt.want == "" && err != nil:
				t.Errorf("Verify = %v", err)
			case tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)):
				t.Errorf("Verify = %v, want a fault with %q", err, tt.want)
			}
		})
	}
}

// The right key with another name is another issuer.
func TestVerifyIssuerName(t *testing.T) {
	a := published(t)
	pai, err := x509.ParseCertificate(a.PAI)
	if err != nil {
		t.Fatal(err)
	}
	key, err := mcrypto.ParsePrivateKey(findVector(t, "dev-credentials.json", "Matter-Development-PAI-FFF1-noPID").Private)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range [][]byte{pai.RawSubject, pai.RawIssuer} {
		parent := *pai
		parent.RawSubject = name
		dac, own, err := issue(rand.Reader, now, &parent, key, "DAC", 0xFFF1, 0x8001)
		if err != nil {
			t.Fatal(err)
		}
		a.DAC, a.Key = dac.Raw, own.Scalar()
		_, err = Verify(a, VerifyOptions{Now: now})
		if same := bytes.Equal(name, pai.RawSubject); (err == nil) != same {
			t.Errorf("issuer name as it should be = %v: %v", same, err)
		}
	}
}

// A DAC must be valid now; the PAI and the PAA when it was issued (section 6.2.3.1).
func TestVerifyDates(t *testing.T) {
	day := func(n int) time.Time { return now.AddDate(0, 0, n) }
	for _, tt := range []struct {
		name          string
		paa, pai, dac [2]time.Time
		want          string
	}{
		{"all valid now", [2]time.Time{day(-30), day(30)}, [2]time.Time{day(-20), day(20)}, [2]time.Time{day(-10), day(10)}, ""},
		{"PAI and PAA have ended since", [2]time.Time{day(-30), day(-5)}, [2]time.Time{day(-20), day(-8)}, [2]time.Time{day(-10), day(10)}, ""},
		{"DAC has ended", [2]time.Time{day(-30), day(30)}, [2]time.Time{day(-20), day(20)}, [2]time.Time{day(-10), day(-1)}, "the DAC is valid from"},
		{"DAC is yet to begin", [2]time.Time{day(-30), day(30)}, [2]time.Time{day(-20), day(20)}, [2]time.Time{day(1), day(10)}, "the DAC is valid from"},
		{"PAI had ended before the DAC", [2]time.Time{day(-30), day(30)}, [2]time.Time{day(-20), day(-11)}, [2]time.Time{day(-10), day(10)}, "the PAI is valid from"},
		{"PAI began after the DAC", [2]time.Time{day(-30), day(30)}, [2]time.Time{day(-9), day(20)}, [2]time.Time{day(-10), day(10)}, "the PAI is valid from"},
		{"PAA had ended before the DAC", [2]time.Time{day(-30), day(-11)}, [2]time.Time{day(-20), day(20)}, [2]time.Time{day(-10), day(10)}, "the PAA is valid from"},
		{"PAA began after the DAC", [2]time.Time{day(-5), day(30)}, [2]time.Time{day(-20), day(20)}, [2]time.Time{day(-10), day(10)}, "the PAA is valid from"},
	} {
		a, paa := dated(t, tt.paa, tt.pai, tt.dac)
		r, err := Verify(a, VerifyOptions{Now: now, Roots: [][]byte{paa}})
		if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.want)
		}
		if !r.NotAfter.Equal(tt.dac[1]) {
			t.Errorf("%s: ends %v, want the DAC's end", tt.name, r.NotAfter)
		}
		if _, err := Verify(a, VerifyOptions{Roots: [][]byte{paa}}); (err == nil) != (tt.want == "" || strings.Contains(tt.want, "DAC")) {
			t.Errorf("%s, without a clock: %v", tt.name, err)
		}
	}
}

// dated returns credentials with the given validity periods, and their PAA.
func dated(t *testing.T, paaValid, paiValid, dacValid [2]time.Time) (a store.Attestation, paaDER []byte) {
	t.Helper()
	keys := make([]*mcrypto.PrivateKey, 3)
	certs := make([]*x509.Certificate, 3)
	for i, valid := range [][2]time.Time{paaValid, paiValid, dacValid} {
		var err error
		if keys[i], err = mcrypto.GenerateKey(rand.Reader); err != nil {
			t.Fatal(err)
		}
		c := &x509.Certificate{
			SerialNumber: big.NewInt(int64(i + 1)), NotBefore: valid[0], NotAfter: valid[1], SubjectKeyId: keyID(keys[i]),
			IsCA: i < 2, BasicConstraintsValid: true, MaxPathLen: 1 - i, MaxPathLenZero: i == 1,
			KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		}
		pid := matter.ProductID(0)
		if i == 2 {
			c.KeyUsage, pid = x509.KeyUsageDigitalSignature, 0x8001
		}
		if c.RawSubject, err = subject([]string{"PAA", "PAI", "DAC"}[i], 0xFFF1, pid); err != nil {
			t.Fatal(err)
		}
		parent, signer := c, keys[i]
		if i > 0 {
			parent, signer = certs[i-1], keys[i-1]
		} else {
			c.AuthorityKeyId = c.SubjectKeyId
		}
		pub, ec := keys[i].ECDSA(), signer.ECDSA()
		der, err := x509.CreateCertificate(rand.Reader, c, parent, &pub.PublicKey, ec)
		if err != nil {
			t.Fatal(err)
		}
		if certs[i], err = x509.ParseCertificate(der); err != nil {
			t.Fatal(err)
		}
	}
	cd := signed(t, Declaration{VendorID: 0xFFF1, ProductIDs: products(0x8001), CertificateID: testCertificateID})
	return store.Attestation{DAC: certs[2].Raw, PAI: certs[1].Raw, CD: cd, Key: keys[2].Scalar()}, certs[0].Raw
}

// Basic Information must have the ids of the declaration, whether the DAC is the
// product's own or that of its origin (section 6.2.3.1).
func TestVerifyProduct(t *testing.T) {
	own := Declaration{VendorID: 0xFFF1, ProductIDs: products(0x8001, 0x8003), CertificateID: testCertificateID}
	derived := Declaration{VendorID: 0xFFF4, ProductIDs: products(0x9001), CertificateID: testCertificateID, Origin: &Origin{0xFFF1, 0x8001}}
	several := derived
	several.ProductIDs = products(0x9001, 0x9002)
	for _, tt := range []struct {
		name string
		cd   Declaration
		want ids // configured
		got  ids
		text string // in the fault
	}{
		{"own", own, ids{}, ids{vendor: 0xFFF1, product: 0x8001}, ""},
		{"own, configured", own, ids{vendor: 0xFFF1, product: 0x8001}, ids{vendor: 0xFFF1, product: 0x8001}, ""},
		{"another product of the declaration", own, ids{product: 0x8003}, ids{vendor: 0xFFF1, product: 0x8003}, ""},
		{"another vendor", own, ids{vendor: 0xFFF2}, ids{vendor: 0xFFF2, product: 0x8001}, "the configured vendor-id is 0xFFF2"},
		{"another product", own, ids{product: 0x8002}, ids{vendor: 0xFFF1, product: 0x8002}, "does not list the configured product-id 0x8002"},
		{"of an origin", derived, ids{}, ids{vendor: 0xFFF4, product: 0x9001}, ""},
		{"of an origin, configured", derived, ids{vendor: 0xFFF4, product: 0x9001}, ids{vendor: 0xFFF4, product: 0x9001}, ""},
		{"of an origin, configured as the DAC", derived, ids{vendor: 0xFFF1, product: 0x8001}, ids{vendor: 0xFFF1, product: 0x8001}, "the configured vendor-id is 0xFFF1"},
		{"of an origin, product of the DAC", derived, ids{product: 0x8001}, ids{vendor: 0xFFF4, product: 0x8001}, "does not list the configured product-id 0x8001"},
		{"of an origin, one of several", several, ids{product: 0x9002}, ids{vendor: 0xFFF4, product: 0x9002}, ""},
		{"of an origin, none said", several, ids{}, ids{vendor: 0xFFF4, product: 0x9001}, "say which one with product-id"},
	} {
		a := chain{0xFFF1, 0xFFF1, 0x8001, tt.cd, testPAAKey()}.make(t)
		r, err := Verify(a, VerifyOptions{Now: now, VendorID: tt.want.vendor, ProductID: tt.want.product})
		if (err == nil) != (tt.text == "") || err != nil && !strings.Contains(err.Error(), tt.text) {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.text)
		}
		if r.VendorID != tt.got.vendor || r.ProductID != tt.got.product {
			t.Errorf("%s: product %04X/%04X, want %04X/%04X", tt.name, r.VendorID, r.ProductID, tt.got.vendor, tt.got.product)
		}
	}
}

// Production material: a root and a signer that are not known here.
func TestVerifyUnknownAuthorities(t *testing.T) {
	key, err := mcrypto.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	root := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Vendor PAA"}, NotBefore: now.AddDate(-1, 0, 0), NotAfter: noExpiry,
		IsCA: true, BasicConstraintsValid: true, MaxPathLen: 1, SubjectKeyId: keyID(key),
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	ec := key.ECDSA()
	der, err := x509.CreateCertificate(rand.Reader, root, root, &ec.PublicKey, ec)
	if err != nil {
		t.Fatal(err)
	}
	paa, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pai, paiKey, err := issue(rand.Reader, now, paa, key, "PAI", 0x1234, 0)
	if err != nil {
		t.Fatal(err)
	}
	dac, dacKey, err := issue(rand.Reader, now, pai, paiKey, "DAC", 0x1234, 1)
	if err != nil {
		t.Fatal(err)
	}
	d := Declaration{VendorID: 0x1234, ProductIDs: products(1), CertificateID: testCertificateID, Type: CertificationOfficial}
	cd, err := d.sign(rand.Reader, key, keyID(key))
	if err != nil {
		t.Fatal(err)
	}
	a := store.Attestation{DAC: dac.Raw, PAI: pai.Raw, CD: cd, Key: dacKey.Scalar()}

	r, err := Verify(a, VerifyOptions{Now: now})
	if err != nil || r.Test || r.Root != "" || len(r.Notes) != 2 {
		t.Errorf("root unknown: report %+v, error %v", r, err)
	}
	r, err = Verify(a, VerifyOptions{Now: now, Roots: [][]byte{der}})
	if err != nil || r.Test || r.Root == "" || len(r.Notes) != 1 {
		t.Errorf("root given: report %+v, error %v", r, err)
	}
	if _, err := Verify(a, VerifyOptions{Now: now, Roots: [][]byte{{0x30}}}); err == nil {
		t.Error("a root that does not parse is accepted")
	}
}

func TestSubjectIDs(t *testing.T) {
	for _, tt := range []struct {
		name string
		rdn  [][2]string
		want ids
		ok   bool
	}{
		{"dedicated", [][2]string{{"cn", "x"}, {"v", "FFF1"}, {"p", "8000"}}, ids{0xFFF1, 0x8000, true, true}, true},
		{"in the common name", [][2]string{{"cn", "ACME Matter Devel DAC 5CDA9899 Mvid:FFF1 Mpid:00B1"}}, ids{0xFFF1, 0x00B1, true, true}, true},
		{"in the common name, vendor only", [][2]string{{"cn", "ACME Mvid:FFF1"}}, ids{vendor: 0xFFF1, hasVendor: true}, true},
		{"none", [][2]string{{"cn", "ACME"}}, ids{}, true},
		{"both forms: the dedicated one counts", [][2]string{{"cn", "Mvid:FFF2"}, {"v", "FFF1"}}, ids{vendor: 0xFFF1, hasVendor: true}, true},
		{"lower case", [][2]string{{"v", "fff1"}}, ids{}, false},
		{"three digits", [][2]string{{"v", "FF1"}}, ids{}, false},
		{"zero", [][2]string{{"v", "0000"}}, ids{}, false},
		{"twice", [][2]string{{"v", "FFF1"}, {"v", "FFF1"}}, ids{}, false},
		{"product twice", [][2]string{{"p", "8000"}, {"p", "8000"}}, ids{}, false},
		{"cut in the common name", [][2]string{{"cn", "Mvid:FF"}}, ids{}, false},
		{"no digits in the common name", [][2]string{{"cn", "Mpid:XYZW"}}, ids{}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := &x509.Certificate{}
			for _, a := range tt.rdn {
				at := attribute(oidCommonName, a[1])
				switch a[0] {
				case "v":
					at = attribute(oidVendorID, a[1])
				case "p":
					at = attribute(oidProductID, a[1])
				}
				at.Value = a[1] // as the parser leaves it
				c.Subject.Names = append(c.Subject.Names, at)
			}
			got, err := subjectIDs(c)
			if (err == nil) != tt.ok || got != tt.want {
				t.Errorf("subjectIDs = %+v, %v, want %+v, ok = %v", got, err, tt.want, tt.ok)
			}
		})
	}
}
