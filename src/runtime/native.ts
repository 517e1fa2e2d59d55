// The one file that opens the addon. Bytes and numbers only; everything was checked above.
import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";
import type { CopyLapOptions, NativeCopyLap, NativeLap, NativeLapOptions } from "./native_lap.js";
import type { NativeLoopEnd, NativePeer, NativePeerOptions } from "./native_peer.js";
import type { NativeDataplane, NativeOptions } from "./native_plane.js";

export type * from "./native_lap.js";
export type * from "./native_peer.js";
export type * from "./native_plane.js";

export interface NativeModule {
  CopyLap: new (options: CopyLapOptions) => NativeCopyLap;
  LoopEnd: new (cable: string) => NativeLoopEnd;
  /** Nanoseconds for a cache line from one core to another and back; 0 if it cannot be told. */
  coreRoundTrip(core: number, other: number): number;
  Peer: new (options: NativePeerOptions) => NativePeer;
  Dataplane: new (options: NativeOptions) => NativeDataplane;
  PathLap: new (dataplane: NativeDataplane, options: NativeLapOptions) => NativeLap;
}

let loaded: NativeModule | undefined;

/** Opens the addon once. Throws an Error that says how to build it when it is not there. */
export function nativeModule(): NativeModule {
  if (loaded) return loaded;
  const built = fileURLToPath(new URL("../../../Release/nodeplane.node", import.meta.url));
  const path = process.env.NODEPLANE_MODULE ?? built; // another build of it, such as a sanitizer's
  try {
    loaded = createRequire(import.meta.url)(path) as NativeModule;
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new Error(`the native module is not built (npm run build): ${reason}`, { cause });
  }
  return loaded;
}
