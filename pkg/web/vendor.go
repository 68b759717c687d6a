package web

import (
	"fmt"

	"github.com/opcredsd/opcredsd/pkg/matter"
)

// ecosystems are the names of common ecosystems, by the vendor id of the fabric's
// administrator (from the Distributed Compliance Ledger).
var ecosystems = map[matter.VendorID]string{
	0x1349: "Apple Home",
	0x1384: "Apple Keychain",
	0x6006: "Google Home",
	0x1217: "Amazon Alexa",
	0x110A: "SmartThings",
	0x134B: "Home Assistant",
	0x115F: "Aqara",
	0x117C: "IKEA",
	0x100B: "Philips Hue",
}

// ecosystem returns the name of a fabric's ecosystem.
func ecosystem(v matter.VendorID) string {
	if n, ok := ecosystems[v]; ok {
		return n
	}
	if v >= 0xFFF1 && v <= 0xFFF4 {
		return "Test controller"
	}
	return fmt.Sprintf("Vendor 0x%04X", uint16(v))
}
