// One way over memif: a client on the other core sends as fast as the ring takes it, the server's
// core receives. Two peers of ours (native/peer).
import { type NativeCopy, type NativePeer, nativeModule } from "../src/runtime/native.js";
import { otherCore, workerCore } from "./cores.js";
import { frameCount, frameSize, memifPort, newSocket } from "./memif_ports.js";
import { packServices } from "./model.js";

/** From the first packet to the figure's beginning. */
const warmMs = 30;
const connectMs = 60_000;
/** How long what was sent may take to arrive. */
const arriveMs = 60_000;
export const sampleMs = 200;

export const wait = (ms: number): Promise<void> => new Promise((done) => setTimeout(done, ms));

/** Until `holds`; an Error with `what` otherwise. */
export async function until(holds: () => boolean, ms: number, what: string): Promise<void> {
  const end = performance.now() + ms;
  while (!holds()) {
    if (performance.now() > end) throw new Error(what);
    await wait(1);
  }
}

/** Millions of packets per second that `count` grows by in the next `ms`. */
export async function rateOf(count: () => number, ms: number): Promise<number> {
  const from = { at: performance.now(), count: count() };
  await wait(ms);
  return (count() - from.count) / (performance.now() - from.at) / 1000;
}

const stationMac = Uint8Array.of(2, 0, 0, 0, 0, 1);

export interface OneWayOptions {
  readonly bytes: number;
  /** Of the server. */
  readonly copy: NativeCopy;
  readonly isZeroCopy?: boolean;
  readonly ms: number;
}

/** Waits for what is on its way: what the sender's port took must be in the receiver's books. */
export async function settle(
  sender: NativePeer,
  booked: () => Promise<number> | number,
): Promise<void> {
  sender.rest();
  const end = performance.now() + arriveMs;
  let missing: number;
  do {
    await wait(1);
    missing = sender.stats().sent - (await booked());
  } while (missing !== 0 && performance.now() < end);
  if (missing !== 0)
    throw new Error(`${missing} of ${sender.stats().sent} packets are in nobody's books`);
}

export async function stopBalanced(...peers: readonly NativePeer[]): Promise<void> {
  const ends = await Promise.all(peers.map((peer) => peer.stop()));
  if (ends.some((end) => !end.balanced)) throw new Error("frames of a peer are missing");
}

/** Millions of packets per second between two peers of ours. */
export async function oneWay(o: OneWayOptions): Promise<number> {
  const { Peer } = nativeModule();
  const socket = newSocket();
  const frames = { frames: frameCount(o.bytes), frameSize: frameSize(o.bytes), hugePages: true };
  const receiver = new Peer({
    port: memifPort("server", socket, o.bytes),
    mode: "sink",
    core: workerCore,
    copy: o.copy,
    ...frames,
  });
  const sender = new Peer({
    port: memifPort("client", socket, o.bytes, o.isZeroCopy ? { zeroCopy: "true" } : {}),
    mode: "send",
    core: otherCore,
    ...frames,
    load: { dstMac: stationMac, services: packServices(4, 1), flows: 1000, bytes: o.bytes },
  });
  try {
    receiver.start();
    sender.start();
    await until(() => receiver.stats().received > 0, connectMs, "the peers do not meet");
    await wait(warmMs);
    const rate = await rateOf(() => receiver.stats().received, o.ms);
    await settle(sender, () => receiver.stats().received + receiver.stats().lostInDriver);
    return rate;
  } finally {
    await stopBalanced(sender, receiver);
  }
}
