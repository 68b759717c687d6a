// A Matter controller that a test drives over its standard streams.
//
//   node main.mjs STORAGE_DIRECTORY
//
// One request a line on stdin, one answer a line on stdout, in the order of the
// requests; the log of matter.js goes to stderr.
//
//   {"command":"open","args":{"name":"one"}}
//   {"ok":true,"result":{...},"ms":12.3,"steps":[{"name":"...","ms":1.2}]}
//   {"ok":false,"error":"...","ms":12.3,"steps":[...]}
//
// Octet strings are hexadecimal strings in answers and {"hex":"..."} in
// requests; 64-bit integers are decimal strings in answers and {"int":"..."} in
// requests. The end of stdin ends the program.
import { createInterface } from "node:readline";
import { performance } from "node:perf_hooks";
import { fromJSON, round, toJSON } from "./json.mjs";
import { prepare } from "./environment.mjs";

const [storage] = process.argv.splice(2); // matter.js would read the arguments as its configuration
if (!storage) {
    console.error("usage: node main.mjs STORAGE_DIRECTORY");
    process.exit(2);
}
prepare(storage);
const { commands, closeAll } = await import("./commands.mjs");

function answer(message) {
    process.stdout.write(JSON.stringify(toJSON(message)) + "\n");
}

async function serve(line) {
    const started = performance.now();
    const steps = [];
    const elapsed = () => round(performance.now() - started);
    try {
        const { command, args = {} } = JSON.parse(line);
        const run = commands[command];
        if (run === undefined) throw new Error(`no such command: ${command}`);
        const result = await run(fromJSON(args), steps);
        answer({ ok: true, result, ms: elapsed(), steps });
    } catch (error) {
        console.error(error);
        answer({ ok: false, error: describe(error), ms: elapsed(), steps });
    }
}

// The whole chain of causes: matter.js wraps what happened in what it meant to do.
function describe(error) {
    const parts = [];
    for (let e = error; e !== undefined && e !== null; e = e.cause) parts.push(`${e.constructor?.name ?? "Error"}: ${e.message ?? e}`);
    return parts.join(" <- ");
}

answer({ ok: true, result: { node: process.version }, ms: round(performance.now()), steps: [] });
for await (const line of createInterface({ input: process.stdin })) {
    if (line.trim() !== "") await serve(line);
}
await closeAll();
process.exit(0);
