// Through the whole corridor: a peer on the other core sends UDP of established flows to a service
// and counts what comes back; the dataplane's one port is its memif server, and endpoints are behind
// the same port, so what goes in comes out translated. And the same peer with testpmd in the
// dataplane's place.
import { InvalidInput } from "../src/kit/error.js";
import { readCounters } from "../src/observe/counters.js";
import { Dataplane } from "../src/runtime/dataplane.js";
import { nativeModule } from "../src/runtime/native.js";
import { loadObject } from "../src/sources/file.js";
import { otherCore, workerCore } from "./cores.js";
import { rateOf, settle, stopBalanced, until, wait } from "./memif_one_way.js";
import {
  bufferSize,
  type EngineName,
  frameCount,
  frameSize,
  memifPort,
  newSocket,
} from "./memif_ports.js";
import { endpointNeighbours, packServices, services } from "./model.js";
import { type Forwarding, Testpmd } from "./testpmd.js";

export const flows = 1000;
/** Packets on the way: as many as a ring has slots. */
const inFlight = 1024;
const warmMs = 30;
/** Where others have the cores, too. */
const connectMs = 60_000;

/** What a client's peer sends to and hears from. */
export interface Far {
  readonly socket: string;
  readonly mac: Uint8Array;
  start(): Promise<void> | void;
  stop(): Promise<void> | void;
  /** Packets that it kept so far, with a reason. */
  dropped(): Promise<number> | number;
}

/** One sample, in millions of packets per second that came back. The books are compared. */
export async function throughput(far: Far, bytes: number, ms: number): Promise<number> {
  const peer = new (nativeModule().Peer)({
    port: memifPort("client", far.socket, bytes),
    mode: "both",
    core: otherCore,
    window: inFlight,
    frames: frameCount(bytes),
    frameSize: frameSize(bytes),
    hugePages: true,
    load: { dstMac: far.mac, services: packServices(4, 1), flows, bytes },
  });
  const received = (): number => peer.stats().received + peer.stats().lostInDriver;
  try {
    await far.start();
    const dropped = await far.dropped();
    peer.start();
    await until(() => received() > 2 * flows, connectMs, "nothing comes back");
    await wait(warmMs);
    const rate = await rateOf(() => peer.stats().received, ms);
    await settle(peer, async () => received() + (await far.dropped()) - dropped);
    return rate;
  } finally {
    await far.stop();
    await stopBalanced(peer);
  }
}

/** A dataplane with one port. */
export class CorridorFar implements Far {
  readonly mac: Uint8Array;
  private constructor(
    readonly socket: string,
    readonly dataplane: Dataplane,
  ) {
    this.mac = (dataplane.ports[0] as { mac: Uint8Array }).mac;
  }

  static async open(engine: EngineName, bytes: number): Promise<CorridorFar> {
    const socket = newSocket();
    const { name, driver, mtu, options } = memifPort("server", socket, bytes);
    const loaded = await loadObject({
      name: `bench-memif-${engine}-${bytes}`,
      ports: [
        {
          ...{ name, driver, mtu, socket, role: "server", addresses: ["10.1.0.1/16"] },
          quota: Number(options.quota),
        },
      ],
      neighbours: endpointNeighbours(4, name),
      flows: { capacity: 4096, capacity6: 1024 },
      frames: { count: frameCount(bytes), size: frameSize(bytes) },
      copy: { engine, core: otherCore },
      workers: { count: 1, mode: "polling", pin: [workerCore] },
    });
    if (!loaded.ok) throw new InvalidInput(loaded.error);
    const model = { ...loaded.value.model, services: services(4, 1, "UDP") };
    return new CorridorFar(socket, Dataplane.open(model));
  }

  start(): void {
    this.dataplane.start();
  }
  stop(): void {
    this.dataplane.native.stop();
  }
  /** Dropped by name, or for us (there should be none). */
  dropped(): number {
    const { counts, drops } = readCounters(this.dataplane);
    return Object.values(drops).reduce((sum, n) => sum + n, 0) + counts.consumed;
  }
  close(): void {
    if (!this.dataplane.close()) throw new Error("frames of the dataplane are missing");
  }
}

/** testpmd: what comes in goes out. */
export class TestpmdFar implements Far {
  readonly mac = Uint8Array.of(2, 0, 0, 0, 0, 9);
  private constructor(
    readonly socket: string,
    readonly testpmd: Testpmd,
  ) {}
  static async open(bytes: number, hasHugePages: boolean): Promise<TestpmdFar> {
    const socket = newSocket();
    const testpmd = await Testpmd.open(
      {
        ...{ role: "server", forward: "io", core: workerCore, otherCore, socket },
        bufferBytes: bufferSize(bytes),
      },
      hasHugePages,
    );
    return new TestpmdFar(socket, testpmd);
  }
  /** From its next start on. */
  async set(mode: Forwarding): Promise<void> {
    await this.testpmd.command(`set fwd ${mode}`);
  }
  start(): Promise<void> {
    return this.testpmd.start();
  }
  async stop(): Promise<void> {
    await this.testpmd.stop();
  }
  /** Since its last start; then none. */
  dropped(): Promise<number> {
    return this.testpmd.dropped();
  }
  close(): Promise<void> {
    return this.testpmd.close();
  }
}
