// Two testpmd over memif, one core each: one way (txonly to rxonly) and forwarding with as many
// packets on the way as a ring has slots, untouched (io) or with MAC addresses exchanged (macswap).
import { otherCore, workerCore } from "./cores.js";
import { wait } from "./memif_one_way.js";
import { bufferSize, newSocket } from "./memif_ports.js";
import { type Forwarding, Testpmd } from "./testpmd.js";

const warmMs = 30;
/** For what lies in the rings to be read. */
const emptyMs = 5;
const triesMax = 50;
const bursts = 32;
const burst = 32;

export class TestpmdPair {
  private constructor(
    readonly server: Testpmd,
    readonly client: Testpmd,
  ) {}

  static async open(bytes: number, hasHugePages: boolean): Promise<TestpmdPair> {
    const common = { socket: newSocket(), bufferBytes: bufferSize(bytes), packetBytes: bytes };
    const server = await Testpmd.open(
      { ...common, role: "server", forward: "rxonly", core: workerCore, otherCore },
      hasHugePages,
    );
    const there = { core: otherCore, otherCore: workerCore };
    const client = await Testpmd.open(
      { ...common, ...there, role: "client", forward: "txonly" },
      hasHugePages,
    ).catch(async (cause) => {
      await server.close();
      throw cause;
    });
    return new TestpmdPair(server, client);
  }

  /** Millions of packets per second that the server's core receives. */
  async oneWay(bytes: number, ms: number): Promise<number> {
    await this.#set("rxonly", "txonly", bytes);
    await this.server.start();
    await this.client.start();
    const rate = await this.#rate(ms);
    const { sent } = await this.client.stop();
    const { received } = await this.server.stopAfter(sent);
    if (sent !== received) throw new Error(`testpmd sent ${sent} and received ${received}`);
    return rate;
  }

  /** Millions of packets per second that the server's core receives and sends back. */
  async forward(mode: Forwarding, bytes: number, ms: number): Promise<number> {
    await this.#set(mode, "io", bytes);
    await this.server.start();
    await this.client.start(bursts);
    const rate = await this.#rate(ms);
    const ends = [await this.client.stop(), await this.server.stop()];
    const dropped = ends.reduce((sum, end) => sum + end.dropped, 0);
    const left = (await this.#empty(bursts * burst - dropped)) + dropped;
    if (left !== bursts * burst) throw new Error(`of ${bursts * burst} packets ${left} were left`);
    return rate;
  }

  async close(): Promise<void> {
    await this.client.close();
    await this.server.close();
  }

  async #set(server: string, client: string, bytes: number): Promise<void> {
    await this.server.command(`set fwd ${server}`);
    await this.client.command(`set fwd ${client}`);
    await this.client.command(`set txpkts ${bytes}`);
  }
  async #rate(ms: number): Promise<number> {
    await wait(warmMs);
    const from = await this.server.counts();
    await wait(ms);
    const upto = await this.server.counts();
    return (upto.received - from.received) / (upto.atMs - from.atMs) / 1000;
  }
  /** Reads both rings, until so many packets were in them; their number. */
  async #empty(packets: number): Promise<number> {
    await this.#set("rxonly", "rxonly", 64);
    let count = 0;
    for (let tries = 0; tries < triesMax && count < packets; tries++) {
      for (const one of [this.server, this.client]) {
        await one.start();
        await wait(emptyMs);
        count += (await one.stop()).received;
      }
    }
    return count;
  }
}
