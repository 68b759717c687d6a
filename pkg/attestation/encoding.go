package attestation

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/opcredsd/opcredsd/pkg/matter"
	"github.com/opcredsd/opcredsd/pkg/mcrypto"
)

// Types of PEM blocks.
const (
	pemCertificate = "CERTIFICATE"
	pemCSR         = "CERTIFICATE REQUEST"
	pemKey         = "EC PRIVATE KEY"
	pemPKCS8       = "PRIVATE KEY"
	pemEncrypted   = "ENCRYPTED PRIVATE KEY"
)

// maxCommonName is the bound of X.520, in characters.
const maxCommonName = 64

// DecodeCertificate returns the DER of the certificate in a file in PEM or DER.
func DecodeCertificate(file []byte) ([]byte, error) {
	der, err := decode(file, pemCertificate)
	if err != nil {
		return nil, err
	}
	if _, err := x509.ParseCertificate(der); err != nil {
		return nil, err
	}
	return der, nil
}

// DecodeDeclaration returns the DER of the certification declaration in a file in PEM or
// DER.
func DecodeDeclaration(file []byte) ([]byte, error) {
	der, err := decode(file, "CMS", "PKCS7", "CERTIFICATION DECLARATION")
	if err != nil {
		return nil, err
	}
	if _, err := ParseDeclaration(der); err != nil {
		return nil, err
	}
	return der, nil
}

// DecodeKey returns the P-256 key in a file: SEC 1 or PKCS #8, in PEM or DER, not encrypted.
func DecodeKey(file []byte) (*mcrypto.PrivateKey, error) {
	der, err := decode(file, pemKey, pemPKCS8)
	if err != nil {
		return nil, err
	}
	defer clear(der)
	key, err := x509.ParseECPrivateKey(der)
	if err != nil {
		other, err := x509.ParsePKCS8PrivateKey(der)
		if err != nil {
			return nil, errors.New("neither an EC private key nor PKCS #8")
		}
		var ok bool
		if key, ok = other.(*ecdsa.PrivateKey); !ok {
			return nil, errNotP256
		}
	}
	if key.Curve != elliptic.P256() {
		return nil, errNotP256
	}
	scalar, err := key.Bytes()
	if err != nil {
		return nil, errNotP256
	}
	defer clear(scalar)
	return mcrypto.ParsePrivateKey(scalar)
}

var errNotP256 = errors.New("the key is not one of the curve P-256")

// decode returns the content of the only PEM block of one of these types, or a
// copy of the file if there is no PEM in it.
func decode(file []byte, types ...string) ([]byte, error) {
	if !bytes.Contains(file, []byte("-----BEGIN ")) {
		if len(file) == 0 {
			return nil, errors.New("the file is empty")
		}
		return bytes.Clone(file), nil
	}
	var found []byte
	for rest := file; ; {
		var block *pem.Block
		block, rest = pem.Decode(rest)
		switch {
		case block == nil && found == nil:
			return nil, fmt.Errorf("the file has no PEM block %q", types[0])
		case block == nil:
			return found, nil
		case block.Type == pemEncrypted || block.Headers["DEK-Info"] != "":
			return nil, errors.New("the key is encrypted: decrypt it first")
		case !slices.Contains(types, block.Type):
			continue // for example parameters of the curve
		case found != nil:
			return nil, fmt.Errorf("the file has more than one PEM block %q", block.Type)
		}
		found = block.Bytes
	}
}

// GenerateKey makes a key for a DAC and returns it in PEM.
func GenerateKey(rand io.Reader) ([]byte, error) {
	key, err := mcrypto.GenerateKey(rand)
	if err != nil {
		return nil, err
	}
	return EncodeKey(key)
}

// EncodeKey returns a key in PEM, in the form of SEC 1.
func EncodeKey(key *mcrypto.PrivateKey) ([]byte, error) {
	der, err := x509.MarshalECPrivateKey(key.ECDSA())
	if err != nil {
		return nil, err
	}
	defer clear(der)
	return pem.EncodeToMemory(&pem.Block{Type: pemKey, Bytes: der}), nil
}

// EncodeCertificate returns a certificate in PEM.
func EncodeCertificate(der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: pemCertificate, Bytes: der})
}

// NewCSR returns a PKCS #10 request in PEM for the DAC of a product: its subject
// is that of a DAC (section 6.2.2.3), with a common name of 1 to 64 octets.
func NewCSR(rand io.Reader, key *mcrypto.PrivateKey, common string, vid matter.VendorID, pid matter.ProductID) ([]byte, error) {
	if !vid.OperationallyValid() || pid == 0 {
		return nil, fmt.Errorf("no DAC for vendor %04X, product %04X: want a vendor of 0001 to FFF4 and a product that is not 0000", uint16(vid), uint16(pid))
	}
	if common == "" || len(common) > maxCommonName {
		return nil, fmt.Errorf("common name %q has not 1 to %d octets", common, maxCommonName)
	}
	name, err := subject(common, vid, pid)
	if err != nil {
		return nil, fmt.Errorf("encoding the subject: %w", err)
	}
	der, err := x509.CreateCertificateRequest(rand, &x509.CertificateRequest{RawSubject: name, SignatureAlgorithm: x509.ECDSAWithSHA256}, key.ECDSA())
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: pemCSR, Bytes: der}), nil
}
