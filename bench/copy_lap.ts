// The laps of bench copy: ours and testpmd's, sample by sample.
import { type CopyLapResult, type NativeCopy, nativeModule } from "../src/runtime/native.js";
import { otherCore, workerCore } from "./cores.js";
import { bufferSize, frameCount, frameSize, memifPort, newSocket } from "./memif_ports.js";
import { median } from "./report.js";
import { Testpmd } from "./testpmd.js";

/** testpmd sends in bursts of 32; so many fit into a ring of 1,024. */
const bursts = 31;
const burst = 32;
export const lapPackets = bursts * burst;
/** A worker comes back to a port when it is done with what it received. */
export const turnNs = 10_000;

export type Way = "receive" | "send";

/** Laps of one size and engine. */
export class CopyLaps {
  readonly #native;
  readonly why: string;
  readonly engine: string;

  constructor(
    readonly bytes: number,
    copy: NativeCopy,
  ) {
    const socket = newSocket();
    this.#native = new (nativeModule().CopyLap)({
      server: memifPort("server", socket, bytes),
      client: memifPort("client", socket, bytes),
      copy,
      bytes,
      frameSize: frameSize(bytes),
      frames: frameCount(bytes),
      batch: 256,
      workerCore,
      otherCore,
    });
    const info = this.#native.info();
    this.why = info.why;
    this.engine = info.engine;
  }

  /** The lap with the median busy time of `laps`. */
  lap(way: Way, laps: number, packets = lapPackets, apartNs = turnNs): CopyLapResult {
    const results = Array.from({ length: laps }, () => this.#native[way](packets, apartNs));
    results.sort((a, b) => a.busyNs - b.busyNs);
    return results[laps >> 1] as CopyLapResult;
  }
  close(): void {
    this.#native.close();
  }
}

/** The same of two testpmd: one fills the ring and stops, then the other empties it. */
export class TestpmdLaps {
  private constructor(
    readonly receiver: Testpmd,
    readonly sender: Testpmd,
  ) {}

  static async open(bytes: number, hasHugePages: boolean): Promise<TestpmdLaps> {
    const common = {
      socket: newSocket(),
      forward: "rxonly",
      bufferBytes: bufferSize(bytes),
      packetBytes: bytes,
    } as const;
    const here = { core: workerCore, otherCore };
    const there = { core: otherCore, otherCore: workerCore };
    const receiver = await Testpmd.open({ ...common, ...here, role: "server" }, hasHugePages);
    try {
      const sender = await Testpmd.open({ ...common, ...there, role: "client" }, hasHugePages);
      return new TestpmdLaps(receiver, sender);
    } catch (cause) {
      await receiver.close();
      throw cause;
    }
  }

  /** ns per packet that the receiving core spent in bursts that held packets; median of `laps`. */
  async lap(bytes: number, laps: number): Promise<number> {
    await this.sender.command(`set txpkts ${bytes}`);
    const values: number[] = [];
    for (let i = 0; i < laps; i++) {
      await this.sender.start(bursts);
      const { sent } = await this.sender.stop();
      await this.receiver.start();
      const { received, nsPerPacket } = await this.receiver.stopAfter(lapPackets);
      if (received !== lapPackets || sent !== lapPackets)
        throw new Error(`testpmd sent ${sent} and received ${received} of ${lapPackets} packets`);
      values.push(nsPerPacket);
    }
    return median(values);
  }
  async close(): Promise<void> {
    await this.sender.close();
    await this.receiver.close();
  }
}
