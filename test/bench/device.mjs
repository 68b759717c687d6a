// A matter.js node to compare with: on the network only, one light.
//
//   node device.mjs PACKAGES STORAGE PASSCODE DISCRIMINATOR PORT
//
// PACKAGES is a directory with matter.js in its node_modules. "ready" on stdout
// says that the node is online; SIGTERM ends it.
import { createRequire } from "node:module";
import { join, resolve } from "node:path";

const [packages, storage, passcode, discriminator, port] = process.argv.splice(2);
// matter.js reads these, and the arguments left over, while it loads.
Object.assign(process.env, {
    MATTER_STORAGE_PATH: storage,
    MATTER_MDNS_NETWORKINTERFACE: "eth0",
    MATTER_LOG_LEVEL: "error",
    MATTER_LOG_FORMAT: "plain",
});
const load = createRequire(join(resolve(packages), "package.json"));
const { Endpoint, ServerNode, VendorId } = load("@matter/main");
const { OnOffLightDevice } = load("@matter/main/devices/on-off-light");

const node = await ServerNode.create({
    id: "bench",
    network: { port: Number(port), ble: false },
    commissioning: { passcode: Number(passcode), discriminator: Number(discriminator) },
    productDescription: { name: "bench", deviceType: OnOffLightDevice.deviceType },
    basicInformation: {
        vendorName: "bench",
        vendorId: VendorId(0xfff1),
        productName: "bench",
        productId: 0x8001,
        nodeLabel: "bench",
        serialNumber: "bench-1",
        uniqueId: "bench-1",
    },
});
await node.add(new Endpoint(OnOffLightDevice, { id: "light" }));
for (const signal of ["SIGTERM", "SIGINT"]) {
    process.once(signal, async () => {
        await node.close();
        process.exit(0);
    });
}
await node.start();
console.log("ready");
