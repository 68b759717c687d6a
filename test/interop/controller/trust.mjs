// The attestation trust store: the published test PAAs and the published test
// signer of certification declarations, and nothing else.
import { Environment, Seconds } from "@matter/main";
import { CertificationDeclaration, DclCertificateService, TestCert_PAA_FFF1_Cert, TestCert_PAA_NoVID_Cert } from "@matter/main/protocol";

// A closed port of the loopback interface: what is not in the store is asked of
// nobody. Revocation look-ups fail there at once, which matter.js takes as "not
// revoked".
const noLedger = { url: "http://127.0.0.1:9" };

// The service puts itself into the environment, where commissioning finds it.
export async function installTrustStore() {
    const store = new DclCertificateService(Environment.default, {
        acceptTestCertificates: true,
        updateInterval: null,
        timeout: Seconds(1),
        dclConfig: noLedger,
        testDclConfig: noLedger,
    });
    await store.construction;
    await store.addCertificate(TestCert_PAA_NoVID_Cert, "PAA");
    await store.addCertificate(TestCert_PAA_FFF1_Cert, "PAA");
    await store.addCertificate(CertificationDeclaration.testSignerCertificate(), "CDSigner");
}

// The policy: one finding that is more than a remark and the device is refused.
// (Without a policy of our own matter.js logs every finding and accepts it.)
export function rejectFindings(collected) {
    return findings => {
        for (const { level, type, message } of findings) collected.push({ level, type, message });
        return findings.every(({ level }) => level === "info");
    };
}
