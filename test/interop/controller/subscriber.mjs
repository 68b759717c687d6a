// A subscription to endpoint 0 that does nothing by itself when reports stay away:
// whatever comes was sent by the device of its own accord.
import { setTimeout as sleep } from "node:timers/promises";
import { Seconds } from "@matter/main";
import { ClientSubscriptions, Subscribe } from "@matter/main/protocol";

export class Subscriber {
    #controller;
    #interaction;
    #subscription;
    #reports = [];
    #arrived = () => {};

    constructor(controller, interaction) {
        this.#controller = controller;
        this.#interaction = interaction;
    }

    // Subscribes to all attributes and events of endpoint 0, or of every endpoint, in
    // place of what was subscribed to before; min and max are seconds. Answers the first
    // report.
    async subscribe({ min, max, everything = false }) {
        const path = everything ? {} : { endpointId: 0 };
        const request = {
            ...Subscribe({ fabricFilter: true, keepSubscriptions: false, minIntervalFloor: Seconds(min), maxIntervalCeiling: Seconds(max) }),
            attributeRequests: [path],
            eventRequests: [everything ? { isUrgent: true } : path],
            network: "unlimited",
            updated: data => this.#take(data),
        };
        this.#reports = [];
        this.#subscription = await this.#interaction.subscribe(request);
        const { subscriptionId: id, maxInterval } = this.#subscription;
        return { id, maxInterval, ...this.#reports.shift() };
    }

    async #take(data) {
        const attributes = [];
        const events = [];
        for await (const chunk of data) {
            for await (const { kind, path, value } of chunk) {
                if (kind === "attr-value") attributes.push({ endpoint: path.endpointId, cluster: path.clusterId, attribute: path.attributeId, value });
                if (kind === "event-value") events.push({ endpoint: path.endpointId, cluster: path.clusterId, event: path.eventId });
            }
        }
        this.#reports.push({ attributes, events });
        this.#arrived();
    }

    // The next report, and whether the device opened the session that was heard of
    // last; null if there is none in time.
    async report({ timeoutMs }) {
        const end = new AbortController();
        const arrived = new Promise(resolve => (this.#arrived = resolve));
        if (this.#reports.length === 0) await Promise.race([arrived, sleep(timeoutMs, undefined, { signal: end.signal }).catch(() => {})]);
        end.abort();
        const report = this.#reports.shift();
        return report === undefined ? null : { ...report, byDevice: this.#controller.session.byDevice };
    }

    // Waits for a report, empty or not; answers how long that took, and how many
    // reports with content there were.
    async keepAlive({ timeoutMs }) {
        const subscriptions = this.#controller.service(ClientSubscriptions);
        const last = () => subscriptions.lastReportStartedAtFor(this.#controller.peer.address);
        const [before, began] = [last(), Date.now()];
        while (last() === before) {
            if (Date.now() - began > timeoutMs) throw new Error(`no report in ${timeoutMs} ms`);
            await sleep(10);
        }
        return { ms: Date.now() - began, reports: this.#reports.length };
    }

    drop() {
        this.#subscription?.close();
    }
}
