// What has to be settled before the first module of matter.js is loaded: its
// platform package reads the process environment while it loads.
import { mkdirSync } from "node:fs";

export function prepare(storage) {
    mkdirSync(storage, { recursive: true });
    Object.assign(process.env, {
        MATTER_STORAGE_PATH: storage,
        MATTER_MDNS_NETWORKINTERFACE: "eth0",
        MATTER_LOG_LEVEL: process.env.MATTER_LOG_LEVEL ?? "info",
        MATTER_LOG_FORMAT: "plain",
    });
    // matter.js logs through console.log and its like; stdout is for answers.
    console.log = console.info = console.debug = console.error;
}
