package onboarding_test

import (
	"fmt"

	"github.com/opcredsd/opcredsd/pkg/onboarding"
)

// The codes for a product's label.
func ExamplePayload() {
	p := onboarding.Payload{VendorID: 0xFFF1, ProductID: 0x8001, Discriminator: 3840, Passcode: 20202021}
	fmt.Println(p.QR())
	fmt.Println(p.Manual())
	// Output:
	// MT:-24J0AFN00KA0648G00
	// 34970112332
}
