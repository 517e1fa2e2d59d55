// A dataplane in a process of its own that is killed and followed by another (bench restart):
//   node restart_child.js fill FLOWS FILE    makes so many connections in the flow file, says so, waits
//   node restart_child.js take FLOWS FILE    takes them over; one packet of one of them goes through, then of all
// Loop ports; UDP without a sum (RFC 768), so that a packet costs JavaScript little.
import { dirname, join } from "node:path";
import type { IpText, MacText } from "../src/kit/brand.js";
import { addressBytes, macBytes } from "../src/kit/ip.js";
import { imbalance, readCounters } from "../src/observe/counters.js";
import { Dataplane } from "../src/runtime/dataplane.js";
import { nativeModule } from "../src/runtime/native.js";
import { benchModel, servicePort, virtualAddress } from "./model.js";

export interface Filled {
  readonly flows: number;
}
export interface Taken {
  /** Epoch, ms: the first packet had gone through. */
  readonly firstAt: number;
  readonly recovered: number;
  readonly restoreMs: number;
  /** Connections that a packet each did not find. */
  readonly lost: number;
  /** Where they lie, for people. */
  readonly memory: string;
}

const portsPerClient = 50_000;
const firstPort = 10_000;
const headBytes = 14 + 20 + 8;
const services = 1000;
const passMsMax = 60_000;

/** Client `flow` to its service; the same in both processes. */
class Packets {
  readonly #frame = Buffer.alloc(64);
  constructor() {
    const f = this.#frame;
    f.set(macBytes("02:00:00:00:00:01" as MacText), 0);
    f.set(macBytes("02:00:00:00:01:fe" as MacText), 6);
    f.writeUInt16BE(0x0800, 12);
    f[14] = 0x45;
    f.writeUInt16BE(f.length - 14, 16);
    f[22] = 64;
    f[23] = 17;
    f.writeUInt16BE(servicePort, 36);
    f.writeUInt16BE(f.length - 34, 38);
  }
  of(flow: number): Uint8Array {
    const f = this.#frame;
    f.writeUInt32BE(0xac100001 + Math.floor(flow / portsPerClient), 26);
    f.set(addressBytes(virtualAddress(4, flow % services) as IpText).subarray(0, 4), 30);
    f.writeUInt16BE(0, 24);
    let sum = 0;
    for (let at = 14; at < 34; at += 2) sum += f.readUInt16BE(at);
    while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
    f.writeUInt16BE(~sum & 0xffff, 24);
    f.writeUInt16BE(firstPort + (flow % portsPerClient), 34);
    return f;
  }
}

const [what = "", count = "", file = ""] = process.argv.slice(2);
const flows = Number(count);
const name = "bench-restart";
const say = (line: Filled | Taken): boolean => process.stdout.write(`${JSON.stringify(line)}\n`);
const pause = (): Promise<void> => new Promise((done) => setImmediate(done));

const model = await benchModel({ family: 4, services, flows, protocol: "UDP", name });
const dataplane = Dataplane.open(model, {
  flowFile: { path: file, hugeDirectory: join(dirname(file), "huge"), survive: "crash" },
});
const client = new (nativeModule().LoopEnd)(`${name}-0`);
const endpoint = new (nativeModule().LoopEnd)(`${name}-1`);
dataplane.start();
const packets = new Packets();

/** One packet each, until nodeplane has had `all`; what comes out at the endpoints' side is taken away. */
async function sendAll(all: number): Promise<void> {
  for (let flow = 0; flow < flows; flow++) {
    for (const packet = packets.of(flow); !client.inject(packet); await pause())
      while (endpoint.collect()) {}
    if (flow % 64 === 0) while (endpoint.collect()) {}
  }
  const arePast = (): boolean => {
    const counters = readCounters(dataplane);
    return counters.counts.packets_in >= all && imbalance(counters) === 0;
  };
  for (const until = Date.now() + passMsMax; !arePast() && Date.now() < until; await pause())
    while (endpoint.collect()) {}
}

if (what === "fill") {
  await sendAll(flows);
  say({ flows: dataplane.info().flows4 });
  setInterval(() => {}, 1000);
} else {
  const random = Math.floor(Math.random() * flows);
  client.inject(packets.of(random));
  let seen = endpoint.collect();
  for (; !seen; seen = endpoint.collect()) await pause();
  const firstAt = Date.now();
  if (seen.length < headBytes) throw new Error("another packet came out");
  await sendAll(flows + 1);
  const restored = dataplane.flowFile()?.restored;
  const { counts } = readCounters(dataplane);
  say({
    firstAt,
    recovered: restored?.recovered ?? 0,
    restoreMs: restored?.milliseconds ?? 0,
    lost: counts.service_new_flow,
    memory: dataplane.flowFile()?.description ?? "",
  });
  client.close();
  endpoint.close();
  dataplane.close();
}
