package attestation

import (
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/opcredsd/opcredsd/pkg/store"
)

// hexBytes is an octet string of a vector file.
type hexBytes []byte

func (h *hexBytes) UnmarshalText(b []byte) error {
	d, err := hex.DecodeString(string(b))
	*h = d
	return err
}

// vector is a vector of any of the files in testdata; each names its public
// source.
type vector struct {
	Name string

	// dev-credentials.json
	DER     hexBytes
	SKID    hexBytes
	Private hexBytes `json:"private_scalar"`
	Public  hexBytes `json:"public_key"`

	// certification-declaration.json
	Content hexBytes `json:"content_tlv"`
	CMS     hexBytes

	// attestation-and-vid.json
	CD        hexBytes `json:"certification_declaration"`
	CDCMS     hexBytes `json:"certification_declaration_cms"`
	CSR       hexBytes
	Nonce     hexBytes
	Elements  hexBytes
	Challenge hexBytes `json:"attestation_challenge"`
	TBSHash   hexBytes `json:"tbs_sha256"`
	DACPublic hexBytes `json:"dac_public_key"`
	DACDER    hexBytes `json:"dac_der"`
	Signature hexBytes `json:"signature_raw"`
}

func loadVectors(t testing.TB, name string) []vector {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	var f struct{ Vectors []vector }
	if err := json.Unmarshal(b, &f); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	if len(f.Vectors) == 0 {
		t.Fatalf("%s: no vectors", name)
	}
	return f.Vectors
}

func findVector(t testing.TB, file, name string) vector {
	t.Helper()
	for _, v := range loadVectors(t, file) {
		if v.Name == name {
			return v
		}
	}
	t.Fatalf("%s: no vector %q", file, name)
	return vector{}
}

// published returns the ready-made development credentials of the official SDK.
func published(t testing.TB) store.Attestation {
	t.Helper()
	dac := findVector(t, "dev-credentials.json", "Matter-Development-DAC-FFF1-8001")
	pai := findVector(t, "dev-credentials.json", "Matter-Development-PAI-FFF1-noPID")
	d := Declaration{
		VendorID: 0xFFF1, ProductIDs: products(0x8000, 0x8001), DeviceType: 0x16,
		CertificateID: testCertificateID,
	}
	return store.Attestation{DAC: dac.DER, PAI: pai.DER, CD: signed(t, d), Key: dac.Private, VendorID: 0xFFF1, ProductID: 0x8001, Test: true}
}
