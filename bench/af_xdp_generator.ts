// The generator of bench af_xdp, a program of its own inside the client's namespace. Each line on
// standard input is a Generate; the answer is one JSON line with the seconds that it took.
import { createInterface } from "node:readline";
import { nativeModule } from "../src/runtime/native.js";

export interface Generate {
  readonly driver: string;
  readonly interface: string;
  readonly dstMac: readonly number[];
  /** 18 bytes: address and port in network order. */
  readonly service: readonly number[];
  readonly flows: number;
  readonly seconds: number;
}

for await (const line of createInterface({ input: process.stdin })) {
  const wish = JSON.parse(line) as Generate;
  const peer = new (nativeModule().Peer)({
    port: {
      name: "generator",
      driver: wish.driver,
      interface: wish.interface,
      queues: 1,
      mtu: 0,
      options: {},
    },
    mode: "send",
    seconds: wish.seconds,
    load: {
      dstMac: Uint8Array.from(wish.dstMac),
      services: Uint8Array.from(wish.service),
      flows: wish.flows,
    },
  });
  peer.start();
  await peer.finished();
  const { seconds } = await peer.stop();
  process.stdout.write(`${JSON.stringify({ seconds })}\n`);
}
