package attestation

import (
	"crypto/sha1"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"math/big"
	"time"

	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/mcrypto"
	"github.com/opcredsd/opcredsd/pkg/store"
)

// Content of development credentials.
const (
	aggregator        = 0x000E // device type
	testCertificateID = "CSA00000SWC00000-00"
	serialSize        = 16 // octets
)

// clockSkew is how far a commissioner's clock may be behind this node's, so that it does
// not regard a new certificate as not valid yet.
const clockSkew = 24 * time.Hour

// noExpiry is the notAfter of a certificate without a well-defined end (RFC 5280,
// section 4.1.2.5).
var noExpiry = time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC)

// Generate makes credentials for development: a PAI under the published test root, a DAC
// under it, and a declaration signed by the published test signer. Controllers accept them
// only as a test device. vid must be operationally valid and pid not 0. The certificates
// are valid from the day before now on.
func Generate(rand io.Reader, vid matter.VendorID, pid matter.ProductID, now time.Time) (store.Attestation, error) {
	if !vid.OperationallyValid() || pid == 0 {
		return store.Attestation{}, fmt.Errorf("no credentials for vendor %04X, product %04X: want a vendor of 0001 to FFF4 and a product that is not 0000", uint16(vid), uint16(pid))
	}
	root, err := x509.ParseCertificate(mustHex(testPAAHex))
	if err != nil {
		panic("BUG: attestation: published test root: " + err.Error())
	}
	from := now.Add(-clockSkew).UTC().Truncate(time.Second)
	if from.Before(root.NotBefore) {
		from = root.NotBefore
	}
	pai, paiKey, err := issue(rand, from, root, testPAAKey(), "opcredsd Development PAI", vid, 0)
	if err != nil {
		return store.Attestation{}, fmt.Errorf("making the PAI: %w", err)
	}
	dac, dacKey, err := issue(rand, from, pai, paiKey, "opcredsd Development DAC", vid, pid)
	if err != nil {
		return store.Attestation{}, fmt.Errorf("making the DAC: %w", err)
	}
	d := Declaration{
		VendorID: vid, ProductIDs: []matter.ProductID{pid}, DeviceType: aggregator,
		CertificateID: testCertificateID, VersionNumber: 1, Type: CertificationTest,
	}
	cd, err := d.sign(rand, testCDKey(), mustHex(testCDKeyIDHex))
	if err != nil {
		return store.Attestation{}, fmt.Errorf("making the certification declaration: %w", err)
	}
	return store.Attestation{
		DAC: dac.Raw, PAI: pai.Raw, CD: cd, Key: dacKey.Scalar(),
		VendorID: vid, ProductID: pid, Test: true,
	}, nil
}

// issue makes a key pair and its certificate under parent: a DAC if it names a
// product, else a PAI.
func issue(rand io.Reader, from time.Time, parent *x509.Certificate, parentKey *mcrypto.PrivateKey,
	common string, vid matter.VendorID, pid matter.ProductID,
) (*x509.Certificate, *mcrypto.PrivateKey, error) {
	key, err := mcrypto.GenerateKey(rand)
	if err != nil {
		return nil, nil, err
	}
	name, err := subject(common, vid, pid)
	if err != nil {
		return nil, nil, fmt.Errorf("encoding the subject: %w", err)
	}
	serial, err := serialNumber(rand)
	if err != nil {
		return nil, nil, err
	}
	template := &x509.Certificate{
		SerialNumber:          serial,
		RawSubject:            name,
		NotBefore:             from,
		NotAfter:              noExpiry,
		SignatureAlgorithm:    x509.ECDSAWithSHA256,
		SubjectKeyId:          keyID(key),
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageDigitalSignature,
		MaxPathLen:            -1,
	}
	if pid == 0 {
		template.IsCA, template.MaxPathLen, template.MaxPathLenZero = true, 0, true
		template.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageCRLSign
	}
	ec := key.ECDSA()
	der, err := x509.CreateCertificate(rand, template, parent, &ec.PublicKey, parentKey.ECDSA())
	if err != nil {
		return nil, nil, fmt.Errorf("signing: %w", err)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, nil, fmt.Errorf("reading it back: %w", err)
	}
	return c, key, nil
}

// keyID is the key identifier of RFC 5280, section 4.2.1.2, method 1.
func keyID(k *mcrypto.PrivateKey) []byte {
	pub := k.Public()
	id := sha1.Sum(pub[:]) // only an identifier, not for security
	return id[:]
}

// serialNumber draws a positive serial number.
func serialNumber(rand io.Reader) (*big.Int, error) {
	b := make([]byte, serialSize)
	if _, err := io.ReadFull(rand, b); err != nil {
		return nil, fmt.Errorf("drawing a serial number: %w", err)
	}
	b[0] &= 0x7F
	n := new(big.Int).SetBytes(b)
	if n.Sign() == 0 {
		return nil, errors.New("drawing a serial number: the random source yields zeros")
	}
	return n, nil
}
