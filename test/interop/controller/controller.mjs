// One controller: a node of its own with its own fabric, and the one device it
// looks after.
import { ChannelType, Crypto, Environment, Seconds, ServerNode, TransportSet, VendorId } from "@matter/main";
import { ControllerBehavior } from "@matter/main/node";
import {
    CaseClient,
    CertificateAuthority,
    ClientInteraction,
    ExchangeManager,
    FabricAuthority,
    FabricBuilder,
    FabricManager,
    Invoke,
    NetworkProfiles,
    PeerSet,
    Rcac,
    Read,
    SessionManager,
    Write,
} from "@matter/main/protocol";
import { NodeId } from "@matter/main/types";
import * as clusters from "@matter/main/clusters";
import { Subscriber } from "./subscriber.mjs";

const secureChannelProtocol = 0;

// Toward a peer it knows nothing about matter.js spaces its exchanges by 100 ms;
// that would be measured as the device's slowness.
const unthrottled = { exchanges: 200, delay: 0, additionalMrpDelay: 0 };

export class Controller {
    name;
    node;
    fabric;
    #authority;
    #peer;
    #interaction;
    #subscriber;

    // With icac the fabric's certificates have an intermediate authority. With
    // founder, another controller, this one is a further node of its fabric. With
    // saved it is the administrator of a fabric that there was before.
    static async open({ name, icac = false, founder, saved }) {
        const self = new Controller();
        self.name = name;
        const env = new Environment(`${name}-authority`, Environment.default);
        const own = () => CertificateAuthority.create(env.get(Crypto), saved === undefined ? icac : authorityOf(saved));
        env.set(CertificateAuthority, founder?.authority ?? (await own()));
        self.node = await ServerNode.create(ServerNode.RootEndpoint.with(ControllerBehavior), {
            id: name,
            environment: env,
            network: { port: 0, ble: false },
            commissioning: { enabled: false },
            basicInformation: { vendorId: VendorId(0xfff1), productId: 0x8000, vendorName: "test", productName: "interop controller", nodeLabel: name },
            controller: { adminFabricLabel: name, ble: false, nodeIdAssignment: "random" },
        });
        self.node.env.get(NetworkProfiles).defaults = { unknown: { ...unthrottled, connect: unthrottled } };
        await self.node.start();
        // The behaviour is still initialising when start() returns: load, not get.
        const config = await self.node.act(async agent => (await agent.load(ControllerBehavior)).fabricAuthorityConfig);
        self.#authority = self.service(FabricAuthority);
        if (saved !== undefined) {
            self.fabric = await self.#join({ ...saved, rootVendorId: VendorId(0xfff1) });
        } else if (founder !== undefined) {
            self.fabric = await self.#join(founder.fabric);
        } else {
            self.fabric = await self.#authority.defaultFabric(config, false); // false: keep the certificate it has
        }
        return self;
    }

    // A certificate of another's fabric. FabricAuthority makes new fabrics only.
    async #join({ fabricId, identityProtectionKey, rootVendorId, adminNodeId }) {
        const fabrics = this.service(FabricManager);
        const nodeId = adminNodeId === undefined ? NodeId.randomOperationalNodeId(this.service(Crypto)) : NodeId(adminNodeId);
        const builder = await FabricBuilder.create(this.service(Crypto));
        await builder.setRootCert(this.authority.rootCert);
        builder.setRootNodeId(nodeId).setIdentityProtectionKey(identityProtectionKey).setRootVendorId(rootVendorId).setLabel(this.name);
        await builder.setOperationalCert(await this.authority.generateNoc(builder.publicKey, fabricId, nodeId), this.authority.icacCert);
        const fabric = await builder.build(fabrics.allocateFabricIndex());
        fabrics.addFabric(fabric);
        fabric.persist();
        await this.#authority.fabricAdded.emit(fabric);
        return fabric;
    }

    service(type) {
        return this.node.env.get(type);
    }

    get authority() {
        return this.#authority.ca;
    }

    get facts() {
        const { fabricId, nodeId, rootPublicKey, rootVendorId } = this.fabric;
        return { fabricId, nodeId, rootPublicKey, vendorId: rootVendorId, rootCertificate: this.authority.rootCert, icac: this.authority.icacCert ?? null };
    }

    async close() {
        await this.node.close();
    }

    // The device of this controller from now on, by its node id in our fabric.
    adopt(nodeId) {
        this.#peer = this.service(PeerSet).for(this.fabric.addressOf(nodeId));
        this.#interaction = new ClientInteraction({
            environment: this.node.env,
            exchangeProvider: this.#peer.exchangeProvider,
            address: this.#peer.address,
            network: "unlimited",
        });
        this.#subscriber = new Subscriber(this, this.#interaction);
    }

    get subscriber() {
        if (this.#subscriber === undefined) throw new Error(`controller ${this.name} has no device`);
        return this.#subscriber;
    }

    get peer() {
        if (this.#peer === undefined) throw new Error(`controller ${this.name} has no device`);
        return this.#peer;
    }

    // Forgets the device, its sessions and its resumption record included.
    async forget() {
        const { peer } = this;
        await this.#dropSessions();
        await this.service(SessionManager).deleteResumptionRecord(peer.address);
        await this.#interaction.close();
        await peer.delete();
        this.#peer = this.#interaction = this.#subscriber = undefined;
    }

    // Forgets sessions and subscriptions as a controller does that was switched off:
    // without a word, and with no answer to what comes.
    async vanish() {
        this.subscriber.drop();
        await this.#dropSessions();
    }

    // Ends our side of every session with the device, without a word to it.
    async #dropSessions() {
        for (const session of [...this.service(SessionManager).sessionsFor(this.peer.address)]) {
            await session.initiateForceClose({ cause: new Error("dropped by the test") });
        }
    }

    // A new session the way an application gets one: operational discovery, then
    // CASE, resumed if the device agrees.
    async reconnect() {
        await this.#dropSessions();
        await this.peer.connect({ connectionTimeout: Seconds(20) });
        return this.session;
    }

    // A new session by a CASE exchange of its own, of the kind that is asked for:
    // with resume the last session's secrets are offered, without they are gone.
    async handshake({ resume }) {
        const sessions = this.service(SessionManager);
        const { address, descriptor, sessionParameters } = this.peer;
        const at = descriptor.operationalAddress;
        if (at === undefined) throw new Error("the device's address is not known");
        await this.#dropSessions();
        if (!resume) await sessions.deleteResumptionRecord(address);
        const channel = await openChannel(this, at);
        const unsecured = sessions.createUnsecuredSession({ channel, sessionParameters, isInitiator: true });
        try {
            const exchange = this.service(ExchangeManager).initiateExchangeForSession(unsecured, secureChannelProtocol);
            const { resumed } = await new CaseClient(sessions).pair(exchange, this.fabric, address.nodeId);
            await unsecured.detachChannel()?.release();
            return { ...this.session, resumed };
        } finally {
            await unsecured.initiateForceClose({ cause: new Error("handshake done") }).catch(() => {});
        }
    }

    // What only the two ends of the present session know.
    get session() {
        const session = this.peer.newestSession();
        if (session === undefined) throw new Error("no session with the device");
        return { id: session.id, attestationChallenge: session.attestationChallengeKey, byDevice: !session.isInitiator };
    }

    // paths: [{endpoint, cluster, attribute}], each part optional, by number.
    async read({ paths, fabricFiltered = true }) {
        const selectors = paths.map(({ endpoint, cluster, attribute }) => ({ endpointId: endpoint, clusterId: cluster, attributeId: attribute }));
        const request = { ...Read({ fabricFilter: fabricFiltered }), attributeRequests: selectors, network: "unlimited" };
        const found = [];
        for await (const chunk of this.#interaction.read(request)) {
            for await (const { kind, path, value, status } of chunk) {
                const at = { endpoint: path.endpointId, cluster: path.clusterId, attribute: path.attributeId };
                found.push(kind === "attr-value" ? { ...at, value } : { ...at, status });
            }
        }
        return found;
    }

    // Writes one attribute, by names.
    async write({ endpoint = 0, cluster, attribute, value }) {
        const type = clusters[cluster];
        if (type?.attributes?.[attribute] === undefined) throw new Error(`no attribute ${cluster}.${attribute}`);
        const data = Write.Attribute({ endpoint, cluster: type, attributes: [attribute], value });
        for (const { status } of (await this.#interaction.write({ ...Write(data), network: "unlimited" })) ?? []) {
            if (status !== 0) return { status };
        }
        return { status: 0 };
    }

    // Answers {response} or {status, clusterStatus}; a status other than success is
    // an answer, not an error. Timed or not is as asked, whatever matter.js knows
    // of the command; unchecked sends what it would refuse to send.
    async invoke({ endpoint = 0, cluster, command, fields, timed = false, unchecked = false, batched = false }) {
        const type = clusters[cluster];
        if (type?.commands?.[command] === undefined) throw new Error(`no command ${cluster}.${command}`);
        const request = {
            ...Invoke({ commands: [{ endpoint, cluster: type, command, fields: fields ?? undefined }], skipValidation: unchecked }),
            timedRequest: timed,
            timeout: Seconds(5),
            network: "unlimited",
            batchDuration: batched ? undefined : false,
        };
        for await (const chunk of this.#interaction.invoke(request)) {
            for (const { kind, data, status, clusterStatus } of chunk) {
                return kind === "cmd-response" ? { response: data } : { status, clusterStatus };
            }
        }
        throw new Error(`no answer to ${cluster}.${command}`);
    }
}

// The authority of a fabric whose root and its key are known.
function authorityOf({ root, rootKey }) {
    const { subject, ellipticCurvePublicKey, extensions } = Rcac.fromTlv(root).cert;
    return {
        rootCertId: subject.rcacId,
        rootKeyPair: { publicKey: ellipticCurvePublicKey, privateKey: rootKey },
        rootKeyIdentifier: extensions.subjectKeyIdentifier,
        rootCertBytes: root,
        nextCertificateId: 1n,
    };
}

// A UDP channel to {ip, port}; link-local addresses keep their scope in ip.
export async function openChannel(controller, { ip, port }) {
    const transport = controller.service(TransportSet).interfaceFor(ChannelType.UDP, ip.includes(":") ? "::" : "0.0.0.0");
    if (transport === undefined) throw new Error(`no transport for ${ip}`);
    return await transport.openChannel({ type: "udp", ip, port });
}
