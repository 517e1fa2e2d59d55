// A peer (native/peer) in a process of its own. Its parent says what to do, one thing at a time.
import {
  type NativePeer,
  type NativePeerOptions,
  type NativePeerStats,
  nativeModule,
} from "../../src/runtime/native.js";

export type Wish =
  | { what: "open"; options: NativePeerOptions }
  | { what: "start" | "stats" | "news" | "port" | "finished" | "stop" };
export interface PortStats {
  connects: number;
  disconnects: number;
  violations: number;
  peer: string;
  last_reason: string;
}
export type End = NativePeerStats & { balanced: boolean };
export type Answer =
  | { value: NativePeerStats | End | string[] | PortStats[] | null }
  | { error: string };

let peer: NativePeer | undefined;

async function answer(wish: Wish): Promise<Answer> {
  if (wish.what === "open") {
    peer = new (nativeModule().Peer)(wish.options);
    return { value: null };
  }
  if (!peer) return { error: "not open" };
  switch (wish.what) {
    case "start":
      peer.start();
      return { value: null };
    case "stats":
      return { value: peer.stats() };
    case "news":
      return { value: peer.news() };
    case "port":
      return { value: JSON.parse(peer.port().stats) as PortStats[] };
    case "finished":
      return { value: await peer.finished() };
    case "stop":
      return { value: await peer.stop() };
  }
}

process.once("disconnect", () => process.exit());
process.on("message", async (wish: Wish) => {
  try {
    process.send?.(await answer(wish));
  } catch (error) {
    process.send?.({ error: String(error) });
  }
});
