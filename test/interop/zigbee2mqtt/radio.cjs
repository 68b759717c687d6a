// A Zigbee network in memory, in the place of zigbee2mqtt's adapter:
//
//   RADIO_DEVICES=devices.json RADIO_SOCKET=path node -r ./radio.cjs node_modules/zigbee2mqtt/cli.js
//
// Devices are what devices.json says: a model, its endpoints, and the values of
// attributes. They join, are interviewed, are read, written and commanded, and report
// what has changed. Each line on the socket is a wish of the test, in JSON, and each is
// answered by a line: see "wishes".
"use strict";
const net = require("node:net");
const fs = require("node:fs");
const { Adapter } = require("zigbee-herdsman/dist/adapter/adapter");
const Zcl = require("zigbee-herdsman/dist/zspec/zcl");
const Zdo = require("zigbee-herdsman/dist/zspec/zdo");

const REPORT_AFTER_MS = 15;
const GLOBAL = Zcl.FrameType.GLOBAL, SPECIFIC = Zcl.FrameType.SPECIFIC;
const FROM_SERVER = Zcl.Direction.SERVER_TO_CLIENT, FROM_CLIENT = Zcl.Direction.CLIENT_TO_SERVER;

// What commands do to attributes of their cluster, or, with a slash, of another one.
const level = p => ({ currentLevel: p.level });
const lift = percent => ({ currentPositionLiftPercentage: percent });
const effects = {
    genOnOff: { on: () => ({ onOff: 1 }), off: () => ({ onOff: 0 }), toggle: (_, now) => ({ onOff: now("onOff") ? 0 : 1 }) },
    genLevelCtrl: {
        moveToLevel: level,
        moveToLevelWithOnOff: p => (p.level > 0 ? { ...level(p), "genOnOff/onOff": 1 } : { "genOnOff/onOff": 0 }),
    },
    lightingColorCtrl: {
        moveToColorTemp: p => ({ colorTemperature: p.colortemp, colorMode: 2 }),
        moveToColor: p => ({ currentX: p.colorx, currentY: p.colory, colorMode: 1 }),
        moveToHueAndSaturation: p => ({ currentHue: p.hue, currentSaturation: p.saturation, colorMode: 0 }),
        enhancedMoveToHueAndSaturation: p => ({ enhancedCurrentHue: p.enhancehue, currentSaturation: p.saturation, colorMode: 0 }),
    },
    closuresWindowCovering: { upOpen: () => lift(0), downClose: () => lift(100), goToLiftPercentage: p => lift(p.percentageliftvalue) },
    hvacThermostat: { danfossSetpointCommand: p => ({ occupiedHeatingSetpoint: p.setpoint }) },
    closuresDoorLock: { lockDoor: () => ({ lockState: 1 }), unlockDoor: () => ({ lockState: 2 }) },
};

class Device {
    constructor(spec, index) {
        Object.assign(this, { battery: false, manufacturerCode: 0x1234, ...spec });
        this.ieee = "0x" + (0x00124b0000000000n + BigInt(index + 1)).toString(16).padStart(16, "0");
        this.nwk = 0x2000 + index;
        this.values = new Map(); // "ENDPOINT/CLUSTER/ATTRIBUTE"
        this.silent = false;
        for (const [name, value] of Object.entries(spec.attributes ?? {})) this.values.set(name, value);
    }

    basic(attribute) {
        return { zclVersion: 3, appVersion: 1, stackVersion: 2, hwVersion: 1, manufacturerName: this.manufacturer, modelId: this.model,
            dateCode: "20260101", powerSource: this.battery ? 3 : 1, swBuildId: "1.0.0" }[attribute];
    }

    // What is not said is zero, and one where it divides.
    value(endpoint, cluster, attribute, type) {
        const known = this.values.get(`${endpoint}/${cluster}/${attribute}`) ?? (cluster === "genBasic" ? this.basic(attribute) : undefined);
        if (known !== undefined) return known;
        if (/multiplier|divisor/i.test(attribute)) return 1;
        if (type === Zcl.DataType.CHAR_STR || type === Zcl.DataType.OCTET_STR || type > Zcl.DataType.OCTET_STR || type === Zcl.DataType.ARRAY) return undefined;
        return 0;
    }

    descriptor(endpoint) {
        const e = this.endpoints[endpoint];
        const ids = names => (names ?? []).map(n => Zcl.Utils.getCluster(n, this.manufacturerCode, {}).ID);
        return { nwkAddress: this.nwk, length: 8, endpoint: Number(endpoint), profileId: 260, deviceId: e.device ?? 0, deviceVersion: 1, inClusterList: ids(e.in), outClusterList: ids(e.out) };
    }
}

class Radio extends Adapter {
    constructor(...args) {
        super(...args);
        this.hasZdoMessageOverhead = false;
        this.devices = JSON.parse(fs.readFileSync(process.env.RADIO_DEVICES, "utf8")).map((d, i) => new Device(d, i));
        this.groups = new Map(); // members, "NWK/ENDPOINT", by number
        this.heard = []; // commands, for the test
        this.sequence = 0;
        fs.rmSync(process.env.RADIO_SOCKET, { force: true });
        this.server = net.createServer(c => this.serve(c)).listen(process.env.RADIO_SOCKET);
    }

    async start() { return "resumed"; }
    async stop() { this.server.close(); }
    async reset() {}
    async getCoordinatorIEEE() { return "0x00124b00000000ff"; }
    async getCoordinatorVersion() { return { type: "none", meta: { revision: 1 } }; }
    async supportsBackup() { return false; }
    async getNetworkParameters() { return { panID: 0x1a62, extendedPanID: "0xdddddddddddddddd", channel: 11, nwkUpdateID: 0 }; }
    async permitJoin() {}
    async addInstallCode() {}
    async sendZclFrameToAll() {}
    waitFor() { return { promise: new Promise(() => {}), cancel() {} }; }

    at(nwk) {
        const d = this.devices.find(d => d.nwk === nwk);
        if (d === undefined || d.silent) throw new Error("no answer");
        return d;
    }

    async sendZdo(_ieee, nwk, cluster, payload) {
        const ok = response => [Zdo.Status.SUCCESS, response];
        const name = Zdo.ClusterId[cluster];
        if (nwk === 0) { // of the coordinator itself
            if (name === "ACTIVE_ENDPOINTS_REQUEST") return ok({ nwkAddress: 0, endpointList: [1] });
            if (name === "SIMPLE_DESCRIPTOR_REQUEST") return ok({ nwkAddress: 0, endpoint: 1, profileId: 260, deviceId: 5, deviceVersion: 1, inClusterList: [], outClusterList: [] });
            return ok({});
        }
        if (nwk >= 0xfff8) return;
        const d = this.at(nwk);
        switch (name) {
            case "NODE_DESCRIPTOR_REQUEST":
                return ok({ nwkAddress: nwk, logicalType: d.battery ? 2 : 1, manufacturerCode: d.manufacturerCode, serverMask: { stackComplianceRevision: 22 } });
            case "ACTIVE_ENDPOINTS_REQUEST":
                return ok({ nwkAddress: nwk, endpointList: Object.keys(d.endpoints).map(Number) });
            case "SIMPLE_DESCRIPTOR_REQUEST":
                return ok(d.descriptor(payload[2]));
            case "LEAVE_REQUEST":
                setImmediate(() => this.emit("deviceLeave", { networkAddress: nwk, ieeeAddr: d.ieee }));
        }
        return ok({});
    }

    async sendZclFrameToEndpoint(_ieee, nwk, endpoint, frame, _timeout, noResponse) {
        const answer = this.take(this.at(nwk), endpoint, frame);
        this.emit("zclPayload", answer); // what is received is news, before it is an answer
        await new Promise(setImmediate);
        return noResponse ? undefined : answer;
    }

    async sendZclFrameToGroup(group, frame) {
        for (const member of this.groups.get(group) ?? []) {
            const [nwk, endpoint] = member.split("/").map(Number);
            this.take(this.at(nwk), endpoint, frame);
        }
    }

    // take does what a frame wants of a device, and returns the frame that answers it.
    take(d, endpoint, frame) {
        const { cluster, command, payload, header } = frame;
        const reply = (type, name, what) => this.packet(d, endpoint, Zcl.Frame.create(type, FROM_SERVER, true, header.manufacturerCode, header.transactionSequenceNumber, name, cluster, what, {}));
        if (header.isGlobal) {
            switch (command.name) {
                case "read":
                    return reply(GLOBAL, "readRsp", payload.map(({ attrId }) => this.read(d, endpoint, cluster, attrId, header.manufacturerCode)));
                case "write": case "writeUndiv":
                    this.change(d, endpoint, cluster, Object.fromEntries(payload.map(({ attrId, attrData }) => [nameOf(cluster, attrId, header.manufacturerCode) ?? attrId, attrData])), header.manufacturerCode);
                    return reply(GLOBAL, "writeRsp", [{ status: 0 }]);
                case "configReport":
                    return reply(GLOBAL, "configReportRsp", [{ status: 0 }]);
            }
            return reply(GLOBAL, "defaultRsp", { cmdId: command.ID, statusCode: Zcl.Status.UNSUP_COMMAND });
        }
        this.heard.push({ device: d.name, endpoint, cluster: cluster.name, command: command.name, payload });
        if (cluster.name === "genGroups") this.join(d, endpoint, command.name, payload.groupid);
        const effect = effects[cluster.name]?.[command.name];
        if (effect) this.change(d, endpoint, cluster, effect(payload, name => d.value(endpoint, cluster.name, name)));
        const response = Object.values(cluster.commandsResponse).find(c => c.ID === command.response);
        if (response) return reply(SPECIFIC, response.name, { status: 0, groupid: payload.groupid });
        return reply(GLOBAL, "defaultRsp", { cmdId: command.ID, statusCode: 0 });
    }

    join(d, endpoint, command, group) {
        const members = this.groups.get(group) ?? new Set();
        if (command === "add") members.add(`${d.nwk}/${endpoint}`);
        if (command === "remove") members.delete(`${d.nwk}/${endpoint}`);
        this.groups.set(group, members);
    }

    read(d, endpoint, cluster, id, manufacturerCode) {
        const name = nameOf(cluster, id, manufacturerCode), type = cluster.attributes[name]?.type;
        if (cluster.name === "genBasic" && id === 0xfffe) return { attrId: id, status: 0, dataType: Zcl.DataType.ENUM8, attrData: 0 }; // Tuya's
        const value = name === undefined ? undefined : d.value(endpoint, cluster.name, name, type);
        return value === undefined ? { attrId: id, status: Zcl.Status.UNSUPPORTED_ATTRIBUTE } : { attrId: id, status: 0, dataType: type, attrData: value };
    }

    // change keeps values, and has the device report them in a moment.
    change(d, endpoint, cluster, values, manufacturerCode) {
        const by = new Map();
        for (const [name, value] of Object.entries(values)) {
            const [other, attribute] = name.includes("/") ? name.split("/") : [cluster.name, name];
            d.values.set(`${endpoint}/${other}/${attribute}`, value);
            by.set(other, { ...by.get(other), [attribute]: value });
        }
        setTimeout(() => {
            for (const [name, changed] of by) this.report(d, endpoint, name, changed, manufacturerCode);
        }, REPORT_AFTER_MS);
    }

    report(d, endpoint, clusterName, values, manufacturerCode) {
        const cluster = Zcl.Utils.getCluster(clusterName, manufacturerCode, {});
        const records = Object.entries(values).map(([name, value]) => {
            d.values.set(`${endpoint}/${clusterName}/${name}`, value);
            const a = cluster.attributes[name];
            return a === undefined ? undefined : { attrId: a.ID, dataType: a.type, attrData: value };
        });
        const frame = Zcl.Frame.create(GLOBAL, FROM_SERVER, true, manufacturerCode, this.next(), "report", cluster, records.filter(r => r), {});
        this.emit("zclPayload", this.packet(d, endpoint, frame));
    }

    // command is what a device says of its own: as a server, such as an alarm, or as a
    // client, such as a remote.
    command(d, endpoint, clusterName, name, payload) {
        const cluster = Zcl.Utils.getCluster(clusterName, undefined, {});
        const direction = cluster.commandsResponse[name] ? FROM_SERVER : FROM_CLIENT;
        this.emit("zclPayload", this.packet(d, endpoint, Zcl.Frame.create(SPECIFIC, direction, true, undefined, this.next(), name, cluster, payload, {})));
    }

    packet(d, endpoint, frame) {
        const data = frame.toBuffer();
        return { clusterID: frame.cluster.ID, address: d.nwk, header: Zcl.Header.fromBuffer(data), data, endpoint, linkquality: 100, groupID: 0, wasBroadcast: false, destinationEndpoint: 1 };
    }

    next() { return (this.sequence = (this.sequence + 1) % 256); }

    serve(connection) {
        let rest = "";
        connection.on("error", () => {});
        connection.on("data", data => {
            const lines = (rest + data).split("\n");
            rest = lines.pop();
            for (const line of lines) {
                let answer;
                try {
                    const wish = JSON.parse(line);
                    answer = { result: this.wishes[wish.do].call(this, this.devices.find(d => d.name === wish.device), wish) ?? null };
                } catch (e) {
                    answer = { error: e.message };
                }
                connection.write(JSON.stringify(answer) + "\n");
            }
        });
    }

    wishes = {
        // all devices appear, as after permit join
        join: (d, w) => { for (const x of w.device ? [d] : this.devices) this.emit("deviceJoined", { networkAddress: x.nwk, ieeeAddr: x.ieee }); },
        leave: d => { this.emit("deviceLeave", { networkAddress: d.nwk, ieeeAddr: d.ieee }); },
        silent: (d, w) => { d.silent = w.silent; },
        value: (d, w) => d.value(w.endpoint ?? Number(Object.keys(d.endpoints)[0]), w.cluster, w.attribute),
        report: (d, w) => this.report(d, w.endpoint ?? Number(Object.keys(d.endpoints)[0]), w.cluster, w.values),
        command: (d, w) => this.command(d, w.endpoint ?? Number(Object.keys(d.endpoints)[0]), w.cluster, w.command, w.payload ?? {}),
        heard: () => this.heard.splice(0),
    };
}

// Several attributes may have one id: the manufacturer's code tells them apart.
function nameOf(cluster, id, manufacturerCode) {
    const all = Object.values(cluster.attributes).filter(a => a.ID === id);
    return (all.find(a => a.manufacturerCode === manufacturerCode) ?? all[0])?.name;
}

Adapter.create = async (...args) => new Radio(...args);
