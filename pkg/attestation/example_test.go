package attestation_test

import (
	"crypto/rand"
	"fmt"
	"time"

	"github.com/opcredsd/opcredsd/pkg/attestation"
)

// Verify checks material as a commissioner does, offline.
func ExampleVerify() {
	now := time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC)
	a, err := attestation.Generate(rand.Reader, 0xFFF1, 0x8001, now)
	if err != nil {
		fmt.Println(err)
		return
	}
	report, err := attestation.Verify(a, attestation.VerifyOptions{Now: now, VendorID: 0xFFF1})
	fmt.Println(report.Root, "test:", report.Test, err)

	_, err = attestation.Verify(a, attestation.VerifyOptions{Now: now, VendorID: 0x1234})
	fmt.Println(err)
	// Output:
	// "Matter Test PAA" test: true <nil>
	// the certification declaration is of vendor FFF1, the configured vendor-id is 0x1234
}
