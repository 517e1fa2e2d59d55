// Who copies, as the native side wants to hear it: settings and what the machine has.
import type { Model } from "../compile/tables.js";
import { chooseDsaQueues, type DsaQueue } from "../sys/dsa.js";
import type { NativeCopy, NativeDsaQueue } from "./native.js";

const nsPerUs = 1000;

/** A work queue as the native side takes it. */
export const nativeQueue = (queue: DsaQueue): NativeDsaQueue => {
  const shared = queue.mode === "shared";
  return {
    path: queue.path,
    shared,
    size: shared ? queue.threshold : queue.size,
    batchMax: queue.batchMax,
    transferMax: queue.transferMax,
    blockOnFault: queue.blockOnFault,
  };
};

/** Work queues are looked for only where they would be used. */
const wantsDsa = ({ ports, settings: { copy } }: Model): boolean =>
  copy.engine === "dsa" || (copy.engine === "auto" && ports.some((p) => p.driver === "memif"));

export interface CopyChoice {
  readonly native: NativeCopy;
  /** Why no work queue, or not every named one, can be used; empty: nothing to say. */
  readonly why: string;
}

export function chooseCopy(model: Model, offline: boolean): CopyChoice {
  const { engine, core, bytesMin, batchMin, queues, model: software } = model.settings.copy;
  const chosen = !offline && wantsDsa(model) ? chooseDsaQueues(queues) : { queues: [], why: "" };
  const isMissed = chosen.queues.length === 0 || queues.length > 0;
  const isCpu = offline || (chosen.queues.length === 0 && (engine === "auto" || engine === "dsa"));
  const { latencyUs, ...rest } = software;
  return {
    native: {
      engine: isCpu ? "cpu" : engine,
      core: core ?? -1,
      bytesMin,
      batchMin,
      queues: chosen.queues.map(nativeQueue),
      model: { ...rest, latencyNs: Math.round(latencyUs * nsPerUs) },
    },
    why: isMissed ? chosen.why : "",
  };
}
