// Discovery, PASE and the commissioning flow.
import { performance } from "node:perf_hooks";
import { Bytes, Crypto, DnsRecordType, ServerAddress, Spake2p } from "@matter/main";
import { NodeId } from "@matter/main/types";
import { GeneralCommissioning } from "@matter/main/clusters";
import {
    ChannelStatusResponseError,
    ControllerCommissioner,
    ControllerCommissioningFlow,
    ExchangeManager,
    MdnsService,
    PaseClient,
    PaseClientMessenger,
    PeerSet,
    ScannerSet,
    SessionManager,
    getOperationalDeviceQname,
} from "@matter/main/protocol";
import { openChannel } from "./controller.mjs";
import { timed, watch } from "./instrument.mjs";
import { round } from "./json.mjs";
import { rejectFindings } from "./trust.mjs";

const secureChannelProtocol = 0;
const paseContext = Bytes.fromString("CHIP PAKE V1 Commissioning");

// Finds the device that announces the discriminator and, if given, has that
// instance name: a device that has just restarted may be known twice.
export async function discover(controller, { discriminator, instance, timeoutMs = 15000 }) {
    const [scanner] = [...controller.service(ScannerSet)];
    let stop;
    const stopped = new Promise(resolve => (stop = resolve));
    const timer = setTimeout(stop, timeoutMs);
    let found;
    await scanner.findCommissionableDevicesContinuously(
        { longDiscriminator: discriminator },
        device => {
            if (instance !== undefined && device.deviceIdentifier !== instance) return;
            found = device;
            stop();
        },
        undefined,
        stopped,
    );
    clearTimeout(timer);
    if (found === undefined) throw new Error(`no device with discriminator ${discriminator} in ${timeoutMs} ms`);
    return found;
}

// One PASE attempt with a passcode that may be wrong. Answers {by:"none"} if the
// device took it, {by:"controller"} if matter.js found the device's confirmation
// wrong, and with insist, where the controller goes on to send its own,
// {by:"device", code} with the code of the device's status report.
export async function tryPasscode(controller, { device, passcode, insist = false }) {
    const sessions = controller.service(SessionManager);
    const channel = await openChannel(controller, pick(device));
    const unsecured = sessions.createUnsecuredSession({ channel, isInitiator: true });
    try {
        const exchange = controller.service(ExchangeManager).initiateExchangeForSession(unsecured, secureChannelProtocol);
        if (insist) {
            await confirmAnyway(controller, exchange, passcode);
        } else {
            const session = await new PaseClient(sessions).pair(sessions.sessionParameters, exchange, channel, passcode);
            await session.initiateForceClose({ cause: new Error("only tried") });
        }
        return { by: "none" };
    } catch (error) {
        if (error instanceof ChannelStatusResponseError) return { by: "device", general: error.generalStatusCode, code: error.protocolStatusCode };
        if (/key confirmation/.test(error.message)) return { by: "controller" };
        throw error;
    } finally {
        await unsecured.initiateForceClose({ cause: new Error("attempt done") }).catch(() => {});
    }
}

// The controller's part of PASE without its check of the device's confirmation.
async function confirmAnyway(controller, exchange, passcode) {
    const sessions = controller.service(SessionManager);
    const crypto = controller.service(Crypto);
    const messenger = new PaseClientMessenger(exchange);
    try {
        const request = await messenger.sendPbkdfParamRequest({
            initiatorRandom: crypto.randomBytes(32),
            initiatorSessionId: await sessions.getNextAvailableSessionId(),
            passcodeId: 0,
            hasPbkdfParameters: false,
            initiatorSessionParams: sessions.sessionParameters,
        });
        const { responsePayload, response } = await messenger.readPbkdfParamResponse();
        const { w0, w1 } = await Spake2p.computeW0W1(crypto, response.pbkdfParameters, passcode);
        const spake = Spake2p.create(crypto, await crypto.computeHash([paseContext, request, responsePayload]), w0);
        const x = spake.computeX();
        await messenger.sendPasePake1({ x });
        const { y } = await messenger.readPasePake2();
        const { hAY } = await spake.computeSecretAndVerifiersFromY(w1, x, y);
        await messenger.sendPasePake3({ verifier: hAY });
        await messenger.waitForSuccess({ description: "status report after Pake3" });
    } finally {
        await messenger.close();
    }
}

// Link-local first: it is there on every link.
function pick({ addresses }) {
    return addresses.find(({ ip }) => ip.startsWith("fe80:")) ?? addresses[0];
}

// Runs the stock flow of matter.js, every exchange timed. Answers what the device
// was given, or {refused, findings} if our attestation policy said no.
export async function commission(controller, { device, passcode }, steps) {
    const findings = [];
    const given = {};
    const seen = (name, fields) => {
        if (name === "AddNOC" || name === "AddTrustedRootCertificate") Object.assign(given, fields);
    };
    const nodeId = NodeId.randomOperationalNodeId(controller.service(Crypto));
    const started = performance.now();
    try {
        await controller.service(ControllerCommissioner).commission({
            addresses: device.addresses.map(address => ServerAddress(address)),
            discoveryData: device,
            fabric: controller.fabric,
            passcode,
            nodeId,
            claimNodeIdAfterPase: () => {
                steps.push({ name: "PASE", ms: round(performance.now() - started) });
                return nodeId;
            },
            commissioningFlowImpl: watchedFlow(controller, steps, seen),
            regulatoryLocation: GeneralCommissioning.RegulatoryLocationType.Indoor,
            regulatoryCountryCode: "XX",
            onAttestationFailure: rejectFindings(findings),
        });
    } catch (error) {
        if (findings.every(({ level }) => level === "info")) throw error;
        return { refused: error.message, findings };
    }
    controller.adopt(nodeId);
    return { nodeId, findings, ...given };
}

function watchedFlow(controller, steps, seen) {
    return class extends ControllerCommissioningFlow {
        constructor(interaction, authority, fabric, options, transitionToCase) {
            const reconnect = async (address, ...rest) => {
                await timed(steps, "operational discovery", () => resolveOperational(controller, address));
                const operational = await timed(steps, "CASE", () => transitionToCase(address, ...rest));
                return watch(operational, steps, seen);
            };
            super(watch(interaction, steps, seen), authority, fabric, options, reconnect);
        }
    };
}

// Waits until the operational instance of the address resolves to an IP address.
async function resolveOperational(controller, address) {
    const { service } = controller.service(PeerSet).for(address);
    const { names } = controller.service(MdnsService);
    const abort = new AbortController();
    const found = new Promise((resolve, reject) => {
        const done = () => service.addresses.size > 0 && resolve();
        service.changed.on(done);
        done();
        setTimeout(() => reject(new Error(`${getOperationalDeviceQname(controller.fabric.globalId, address.nodeId)} does not resolve`)), 15000).unref();
    });
    const asking = names.solicitor.discover({ name: service.name, recordTypes: [DnsRecordType.SRV, DnsRecordType.TXT], abort: abort.signal });
    try {
        await found;
    } finally {
        abort.abort();
        await asking.catch(() => {});
    }
}

// The PAKE verifier of OpenCommissioningWindow.
export async function verifier(controller, { passcode, iterations, salt }) {
    return await PaseClient.generatePakePasscodeVerifier(controller.service(Crypto), passcode, { iterations, salt });
}
