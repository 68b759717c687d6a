// Timing of what a commissioning flow asks of the device, one step an exchange.
import { performance } from "node:perf_hooks";
import * as clusters from "@matter/main/clusters";
import { round } from "./json.mjs";

function asInSpecification(name) {
    return (name[0].toUpperCase() + name.slice(1)).replace(/^Csr/, "CSR").replace(/Noc$/, "NOC");
}

const names = new Map();
for (const cluster of Object.values(clusters)) {
    if (cluster?.id === undefined || cluster.commands === undefined) continue;
    for (const [name, command] of Object.entries(cluster.commands)) {
        names.set(`${cluster.id}/${command.id}`, asInSpecification(name));
    }
}

// Runs f and records how long it took, also when it fails.
export async function timed(steps, name, f) {
    const started = performance.now();
    try {
        return await f();
    } finally {
        steps.push({ name, ms: round(performance.now() - started) });
    }
}

// Makes an interaction client record each of its reads and invokes, and hand the
// fields of every command to seen(name, fields).
export function watch(interaction, steps, seen) {
    const read = interaction.read.bind(interaction);
    const invoke = interaction.invoke.bind(interaction);
    interaction.read = (request, ...rest) => timeStream(steps, () => `Read, ${request.attributeRequests?.length ?? 0} paths`, read(request, ...rest));
    interaction.invoke = (request, ...rest) => {
        const [{ commandPath }] = request.invokeRequests;
        const name = names.get(`${commandPath.clusterId}/${commandPath.commandId}`) ?? `command ${commandPath.clusterId}/${commandPath.commandId}`;
        for (const { fields } of request.commands.values()) seen(name, fields ?? {});
        return timeStream(steps, () => name, invoke(request, ...rest));
    };
    return interaction;
}

async function* timeStream(steps, name, stream) {
    const started = performance.now();
    try {
        yield* stream;
    } finally {
        steps.push({ name: name(), ms: round(performance.now() - started) });
    }
}
