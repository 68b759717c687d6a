// The commands of the test, by name: (args, steps) => result. Every command but
// open names the controller it is for.
import { performance } from "node:perf_hooks";
import { setTimeout as sleep } from "node:timers/promises";
import { NodeId } from "@matter/main/types";
import { commission, discover, tryPasscode, verifier } from "./commissioning.mjs";
import { Controller } from "./controller.mjs";
import { round } from "./json.mjs";
import { installTrustStore } from "./trust.mjs";

await installTrustStore();

const controllers = new Map();
const found = new Map(); // by controller: the device discovered last

function of({ controller }) {
    const c = controllers.get(controller);
    if (c === undefined) throw new Error(`no controller ${controller}`);
    return c;
}

function discovered({ controller }) {
    const device = found.get(controller);
    if (device === undefined) throw new Error(`controller ${controller} has discovered no device`);
    return device;
}

export const commands = {
    async open(args) {
        const c = await Controller.open({ ...args, founder: args.founder === undefined ? undefined : of({ controller: args.founder }) });
        controllers.set(args.name, c);
        return c.facts;
    },

    async discover(args) {
        const device = await discover(of(args), args);
        found.set(args.controller, device);
        const { deviceIdentifier, addresses, D, CM, VP } = device;
        return { instance: deviceIdentifier, addresses: addresses.map(({ ip, port }) => `${ip} ${port}`), D, CM, VP };
    },

    tryPasscode: args => tryPasscode(of(args), { ...args, device: discovered(args) }),
    commission: (args, steps) => commission(of(args), { ...args, device: discovered(args) }, steps),
    adopt: args => of(args).adopt(NodeId(args.nodeId)),
    reconnect: args => of(args).reconnect(),
    handshake: args => of(args).handshake(args),
    session: args => of(args).session,
    read: args => of(args).read(args),
    invoke: args => of(args).invoke(args),
    burst: ({ controllers, ...args }) => burst(controllers.map(controller => of({ controller })), args),
    write: args => of(args).write(args),
    subscribe: args => of(args).subscriber.subscribe(args),
    report: args => of(args).subscriber.report(args),
    keepAlive: args => of(args).subscriber.keepAlive(args),
    vanish: args => of(args).vanish(),
    verifier: args => verifier(of(args), args),
    forget: args => of(args).forget(),
};

// Sends a command to each endpoint at once from each controller, the way an application
// does: matter.js puts what comes together into one request, as far as the device takes it.
// Answers how many succeeded, the time of the last answer, and the first errors.
async function burst(controllers, { endpoints, ...command }) {
    const started = performance.now();
    const sent = controllers.flatMap(c => endpoints.map(endpoint => c.invoke({ ...command, endpoint, batched: true })));
    const results = await Promise.allSettled(sent);
    const failed = results.filter(({ reason, value }) => reason !== undefined || value.status !== 0);
    return {
        succeeded: results.length - failed.length,
        lastMs: round(performance.now() - started),
        errors: failed.slice(0, 3).map(({ reason, value }) => reason?.message ?? `status ${value.status}`),
    };
}

// A controller says goodbye to its device, which may be gone: not for long.
export async function closeAll() {
    await Promise.race([Promise.allSettled([...controllers.values()].map(c => c.close())), sleep(3000)]);
}
