// Conservation under everything that goes wrong: node build/js/bench/memif_soak.js [PACKETS [SEED]]
// A dataplane with one memif server port, the software DSA as its engine (small queue, page faults,
// hardware errors, random order, poisoned destinations) and a port that drops, delays and reorders.
// Clients come and go at random moments under load, copying and lending; so does the server. Whenever
// the server closes its books are compared: packets in and made = out, dropped by name and consumed;
// every frame is back. At the end every slot of the ring must still be there.
import { fileURLToPath } from "node:url";
import { InvalidInput, messageOf } from "../src/kit/error.js";
import { readCounters } from "../src/observe/counters.js";
import { Dataplane } from "../src/runtime/dataplane.js";
import { type NativePeer, nativeModule } from "../src/runtime/native.js";
import { loadObject } from "../src/sources/file.js";
import { otherCore, workerCore } from "./cores.js";
import { until, wait } from "./memif_one_way.js";
import { memifPort, newSocket } from "./memif_ports.js";
import { endpointNeighbours, packServices, services } from "./model.js";
import { makeRandom } from "./ratio.js";

const sizes = [64, 64, 300, 1500, 1500, 9000] as const;
const flowsOfClient = 500;
const ringSlots = 1024;
const jumbo = 9000; // frames and quotas for the largest
const frames = 16_384;
const frameBytes = 4096;
const patienceMs = 60_000;

export interface SoakOptions {
  /** That came back to a client, at least. */
  readonly packets: number;
  readonly seed: number;
  readonly tell?: (line: string) => void;
}

export interface SoakResult {
  readonly sent: number;
  readonly received: number;
  readonly clients: number;
  readonly servers: number;
  readonly drops: Readonly<Record<string, number>>;
  /** What the copy engines met: copies, faults, retries, full queues, errors, left to the CPU. */
  readonly copies: Readonly<Record<string, number>>;
  readonly slots: number;
}

function fail(what: string): never {
  throw new Error(`conservation: ${what}`);
}

const add = (sums: Record<string, number>, more: Readonly<Record<string, unknown>>): void => {
  for (const [key, n] of Object.entries(more))
    if (typeof n === "number") sums[key] = (sums[key] ?? 0) + n;
};

class Soak {
  readonly #socket = newSocket();
  readonly #random: () => number;
  readonly #drops: Record<string, number> = {};
  readonly #copies: Record<string, number> = {};
  #dataplane!: Dataplane;
  #servers = 0;
  #clients = 0;
  #sent = 0;
  #received = 0;

  constructor(readonly options: SoakOptions) {
    this.#random = makeRandom(options.seed);
  }

  async run(): Promise<SoakResult> {
    await this.#openServer(true);
    try {
      while (this.#received < this.options.packets) {
        await this.#client();
        this.options.tell?.(`${this.#received} packets, ${this.#clients} clients`);
      }
      this.#closeServer();
      await this.#openServer(false);
      const slots = await this.#countSlots();
      this.#closeServer();
      return {
        ...{ sent: this.#sent, received: this.#received, clients: this.#clients, slots },
        ...{ servers: this.#servers, drops: this.#drops, copies: this.#copies },
      };
    } catch (cause) {
      this.#dataplane.close();
      throw cause;
    }
  }

  async #openServer(isHarmed: boolean): Promise<void> {
    const { name, driver, mtu, options } = memifPort("server", this.#socket, jumbo);
    const seed = 1 + Math.floor(this.#random() * 1e6);
    const model = {
      ...{ size: 16, shared: this.#random() < 0.5, reorder: true, poison: true, seed },
      ...{ faultPerMillion: 20_000, errorPerMillion: 5_000 },
    };
    const fault = { drop: 0.001, reorder: 0.001, txfull: 0.01, delay: "1ms", seed };
    const loaded = await loadObject({
      name: `bench-soak-${this.#servers++}`,
      ports: [
        {
          ...{ name, driver, mtu, socket: this.#socket, role: "server" },
          ...{ addresses: ["10.1.0.1/16"], quota: Number(options.quota) },
          ...(isHarmed ? { fault } : {}),
        },
      ],
      neighbours: endpointNeighbours(4, name),
      flows: { capacity: 131_072, capacity6: 1024 },
      frames: { count: frames, size: frameBytes },
      copy: { engine: "model", bytesMin: 0, batchMin: 1, core: otherCore, model },
      workers: { count: 1, mode: "adaptive", pin: [workerCore] },
    });
    if (!loaded.ok) throw new InvalidInput(loaded.error);
    this.#dataplane = Dataplane.open({
      ...loaded.value.model,
      services: services(4, 1, "UDP"),
    });
    this.#dataplane.start();
  }

  #closeServer(): void {
    const { native } = this.#dataplane;
    native.stop();
    const { counts, drops } = readCounters(this.#dataplane);
    const dropped = Object.values(drops).reduce((sum, n) => sum + n, 0);
    const kept = counts.packets_in + counts.originated - counts.packets_out - dropped;
    if (kept !== counts.consumed)
      fail(`${kept - counts.consumed} of ${counts.packets_in} packets are in nobody's books`);
    add(this.#drops, drops);
    const stats = JSON.parse(native.portStats(0)) as Record<string, Record<string, unknown>>;
    add(this.#copies, stats.copy ?? {});
    if (Number(stats.violations) > 0) fail(`a violation was seen: ${stats.last_reason}`);
    if (!this.#dataplane.close()) fail("frames of the dataplane are missing");
  }

  #open(bytes: number, mode: "both" | "send", count = 0): NativePeer {
    const isLent = mode === "both" && this.#random() < 0.3;
    const first = this.#clients++ * flowsOfClient;
    return new (nativeModule().Peer)({
      port: memifPort("client", this.#socket, bytes, isLent ? { zeroCopy: "true" } : {}),
      mode,
      ...{
        core: otherCore,
        adaptive: true,
        window: ringSlots,
        count,
        frames,
        frameSize: frameBytes,
      },
      load: {
        ...{
          dstMac: this.#dataplane.ports[0]?.mac ?? new Uint8Array(6),
          services: packServices(4, 1),
        },
        ...{ flows: flowsOfClient, firstFlow: first, bytes, sequence: true },
      },
      check: { flows: flowsOfClient, firstFlow: first },
    });
  }

  /** A client that stays for a while; sometimes the server is replaced meanwhile. */
  async #client(): Promise<void> {
    const peer = this.#open(sizes[Math.floor(this.#random() * sizes.length)] as number, "both");
    const moment = () => wait(20 + this.#random() * 300);
    peer.start();
    try {
      await moment();
      if (this.#random() < 0.25) {
        this.#closeServer();
        await this.#openServer(true);
        const before = peer.stats().received;
        await until(() => peer.stats().received > before, patienceMs, "no new connection");
        await moment();
      }
    } finally {
      const end = await peer.stop();
      this.#sent += end.sent;
      this.#received += end.received;
      if (end.corrupt > 0) fail(`${end.corrupt} packets came back corrupt`);
      if (end.duplicated > 0) fail(`${end.duplicated} packets came back twice`);
      if (!end.balanced) fail("frames of a client are missing");
    }
  }

  /** A server that does not look takes as many packets as its ring has slots, all of which arrive. */
  async #countSlots(): Promise<number> {
    this.#dataplane.native.stop();
    const peer = this.#open(64, "send");
    peer.start();
    await until(() => peer.stats().sent >= ringSlots, patienceMs, "the ring is not filled");
    await wait(100);
    const { sent } = peer.stats();
    peer.rest();
    const before = readCounters(this.#dataplane).counts.packets_in;
    this.#dataplane.start();
    const arrived = () => readCounters(this.#dataplane).counts.packets_in - before;
    await until(() => arrived() >= peer.stats().sent, patienceMs, "slots of the ring are missing");
    if (!(await peer.stop()).balanced) fail("frames of the last client are missing");
    return sent;
  }
}

export const soak = (options: SoakOptions): Promise<SoakResult> => new Soak(options).run();

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const [packets = 1e7, seed = 1] = process.argv.slice(2).map(Number);
  let told = 0;
  const tell = (line: string): void => {
    if (performance.now() - told < 5000) return;
    told = performance.now();
    process.stderr.write(`${line}\n`);
  };
  try {
    process.stdout.write(`${JSON.stringify(await soak({ packets, seed, tell }), null, 2)}\n`);
  } catch (cause) {
    process.stderr.write(`${messageOf(cause)}\n`);
    process.exitCode = 1;
  }
}
