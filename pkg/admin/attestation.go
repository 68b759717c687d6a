package admin

import (
	"time"

	"github.com/opcredsd/opcredsd/pkg/matter"
)

// Attestation is the attestation material of the node.
type Attestation struct {
	Kind      string           `json:"kind"` // "TEST" or "production"
	VendorID  matter.VendorID  `json:"vendor_id"`
	ProductID matter.ProductID `json:"product_id"`
	Root      string           `json:"root,omitempty"` // subject of the PAA, if known
	NotAfter  *time.Time       `json:"not_after"`      // null: no end
	Key       string           `json:"key"`            // where the DAC's key is: "store", or another place
	DAC       *Certificate     `json:"dac,omitempty"`
	PAI       *Certificate     `json:"pai,omitempty"`
	CD        *Declaration     `json:"certification_declaration,omitempty"`
	Faults    []string         `json:"faults"`
	Notes     []string         `json:"notes"`
}

// Certificate is an attestation certificate.
type Certificate struct {
	Subject   string     `json:"subject"`
	Serial    string     `json:"serial"` // hexadecimal
	KeyID     string     `json:"key_id"` // hexadecimal
	NotBefore time.Time  `json:"not_before"`
	NotAfter  *time.Time `json:"not_after"` // null: no end
}

// Declaration is the certification declaration.
type Declaration struct {
	VendorID      matter.VendorID     `json:"vendor_id"`
	ProductIDs    []matter.ProductID  `json:"product_ids"`
	DeviceType    matter.DeviceTypeID `json:"device_type"`
	CertificateID string              `json:"certificate_id"`
	Type          string              `json:"type"` // "test", "provisional" or "official"
}

// AttestationTrust is what material is verified with, in addition to what the node
// knows.
type AttestationTrust struct {
	Roots     [][]byte         `json:"roots,omitempty"`      // PAAs, DER
	Signers   [][]byte         `json:"signers,omitempty"`    // certificates of signers of declarations, DER
	VendorID  matter.VendorID  `json:"vendor_id,omitempty"`  // 0: as configured
	ProductID matter.ProductID `json:"product_id,omitempty"` // 0: as configured
}

// AttestationMaterial is new material.
type AttestationMaterial struct {
	DAC   []byte           `json:"dac"`           // DER
	PAI   []byte           `json:"pai"`           // DER
	CD    []byte           `json:"cd"`            // DER
	Key   []byte           `json:"key,omitempty"` // scalar, 32 octets; none if the key is kept elsewhere
	Trust AttestationTrust `json:"trust"`
}

// GenerateRequest asks for development material.
type GenerateRequest struct {
	VendorID  matter.VendorID  `json:"vendor_id,omitempty"`  // 0: as configured, or the test vendor
	ProductID matter.ProductID `json:"product_id,omitempty"` // 0: as configured, or 0x8001
	Force     bool             `json:"force,omitempty"`      // also replace production material
}

// AttestationChange is the material after a change.
type AttestationChange struct {
	Attestation
	// Restart means that the ids differ from those that the running node reports.
	Restart bool `json:"restart_needed"`
}
