package attestation

import (
	"encoding/hex"

	"github.com/opcredsd/opcredsd/pkg/mcrypto"
)

// TEST ONLY. These certificates are published with their private keys, so that everybody
// can make credentials for development controllers. Other controllers must not accept
// them. Source: project-chip/connectedhomeip,
//
//	credentials/test/attestation/Chip-Test-PAA-NoVID-{Cert.der,Key.pem}
//	credentials/test/attestation/Chip-Test-PAA-FFF1-Cert.der
//	credentials/test/certification-declaration/Chip-Test-CD-Signing-{Cert,Key}.pem
const (
	// testPAAHex is the root "Matter Test PAA" without a vendor id.
	testPAAHex = "3082019130820137a00302010202070b8fbaa8dd86ee300a06082a8648ce3d040302301a3118301606035504030c0f4d" +
		"61747465722054657374205041413020170d3231303632383134323334335a180f39393939313233313233353935395a" +
		"301a3118301606035504030c0f4d61747465722054657374205041413059301306072a8648ce3d020106082a8648ce3d" +
		"0301070342000410ef02a81a87b68121fba8d31978f807a317e50aa8a828446828914b933de8edd4a5c39c9ff71a4ce3" +
		"647fd7f62653b7d2495fcba4c0f47f876880039e07204aa366306430120603551d130101ff040830060101ff02010130" +
		"0e0603551d0f0101ff040403020106301d0603551d0e04160414785ce705b86b8f4e6fc793aa60cb43ea696882d5301f" +
		"0603551d23041830168014785ce705b86b8f4e6fc793aa60cb43ea696882d5300a06082a8648ce3d0403020348003045" +
		"022100b9efdb3ea06a52ec0bf01e61daed2c2d156ddb6cf014101dab798fac05fa47e5022060061d3e35d60d9d4b0d44" +
		"8dad7612f7e85c582e3fc312dc18794dd373715e5d"

	testPAAScalarHex = "e1f073c934853baffb38bf7e8bdad7a0a674107c7769892a0ff2e06c1a2ef7a7"

	// testPAAFFF1Hex is the root "Matter Test PAA" of vendor 0xFFF1. It has issued the
	// published development DACs. Nothing is signed with it here.
	testPAAFFF1Hex = "308201bd30820164a00302010202084ea8e83182d41c1c300a06082a8648ce3d04030230303118301606035504030c0f" +
		"4d617474657220546573742050414131143012060a2b0601040182a27c02010c04464646313020170d32313036323831" +
		"34323334335a180f39393939313233313233353935395a30303118301606035504030c0f4d6174746572205465737420" +
		"50414131143012060a2b0601040182a27c02010c04464646313059301306072a8648ce3d020106082a8648ce3d030107" +
		"03420004b6cb6372887f2928f5bac81aa9d93ae2431cada9d79e242f65177ef9ced932a28ecd03baaf6a8fca184a1a50" +
		"3542960d453f303f1f19421d751e8f8f1a9a9b75a366306430120603551d130101ff040830060101ff020101300e0603" +
		"551d0f0101ff040403020106301d0603551d0e041604146afd22771f511fecbf1641976710dcdc31a1717e301f060355" +
		"1d230418301680146afd22771f511fecbf1641976710dcdc31a1717e300a06082a8648ce3d0403020347003044022050" +
		"aa8002f4d932a9a00538f65368ad0fffc8efbbc9beb7da569835cf9aa7510e022023bac8fe0f23e75445b65339081a47" +
		"994929c72aaf0a1548d40d034d514b25de"

	// The signer of certification declarations, "Matter Test CD Signing Authority".
	testCDScalarHex = "aef3484116e9481ec57be0472df41bf499064e5024ad869eca5e889802d48075"
	testCDKeyIDHex  = "62fa823359acfaa9963e1cfa140addf504f37160"
)

// testRoots returns the DER of the published test roots.
func testRoots() [][]byte {
	return [][]byte{mustHex(testPAAHex), mustHex(testPAAFFF1Hex)}
}

func testPAAKey() *mcrypto.PrivateKey { return mustKey(testPAAScalarHex) }

func testCDKey() *mcrypto.PrivateKey { return mustKey(testCDScalarHex) }

func mustHex(s string) []byte {
	b, err := hex.DecodeString(s)
	if err != nil {
		panic("BUG: attestation: published constant: " + err.Error())
	}
	return b
}

func mustKey(scalar string) *mcrypto.PrivateKey {
	k, err := mcrypto.ParsePrivateKey(mustHex(scalar))
	if err != nil {
		panic("BUG: attestation: published key: " + err.Error())
	}
	return k
}
