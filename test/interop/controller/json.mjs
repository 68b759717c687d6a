// Between the values of matter.js and the JSON of the test.

export function round(ms) {
    return Math.round(ms * 100) / 100;
}

export function toJSON(value) {
    if (value instanceof Uint8Array || value instanceof ArrayBuffer) return Buffer.from(value).toString("hex");
    if (typeof value === "bigint") return value.toString();
    if (Array.isArray(value)) return value.map(toJSON);
    if (value !== null && typeof value === "object") return mapEntries(value, toJSON);
    return value;
}

export function fromJSON(value) {
    if (Array.isArray(value)) return value.map(fromJSON);
    if (value === null || typeof value !== "object") return value;
    const keys = Object.keys(value);
    if (keys.length === 1 && typeof value.hex === "string") return new Uint8Array(Buffer.from(value.hex, "hex"));
    if (keys.length === 1 && typeof value.int === "string") return BigInt(value.int);
    return mapEntries(value, fromJSON);
}

function mapEntries(object, f) {
    return Object.fromEntries(Object.entries(object).map(([key, value]) => [key, f(value)]));
}
