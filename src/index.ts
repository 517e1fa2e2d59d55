// The library's face.
//
//     const dataplane = await Dataplane.open({ ports: [...] }, [service, endpointSlice]);
//     dataplane.start();
//     await dataplane.setObjects([service, otherSlice]);
//     console.log(dataplane.flows(), dataplane.drops());
//     dataplane.close();
import type { Plan } from "./compile/plan.js";
import { InvalidInput, type Problem } from "./kit/error.js";
import type { Result } from "./kit/result.js";
import type { Loaded, Model, Service } from "./model/model.js";
import { type Counters, readCounters } from "./observe/counters.js";
import { allFlows, type Flow } from "./observe/flows.js";
import { readStats, type Stats } from "./observe/stats.js";
import {
  type CopyInfo,
  type DriverStats,
  type OpenedPort,
  Dataplane as Running,
} from "./runtime/dataplane.js";
import { type NativeFlowFile, type NativeLoopEnd, nativeModule } from "./runtime/native.js";
import type { PortNews } from "./runtime/news.js";
import { loadFile, loadObject } from "./sources/file.js";

function modelOrThrow(loaded: Result<Loaded, Problem[]>): Model {
  if (!loaded.ok) throw new InvalidInput(loaded.error);
  return loaded.value.model;
}

/**
 * The model of a configuration given as a value (the keys of a configuration file), with Kubernetes
 * Service and EndpointSlice objects given as values. Relative paths start at `base`, by default the
 * working directory. Throws InvalidInput with every mistake.
 */
export async function readModel(
  config: unknown,
  objects: readonly unknown[] = [],
  base?: string,
): Promise<Model> {
  return modelOrThrow(await loadObject(config, objects, base));
}

/** The model of a configuration file and the manifests it names. Throws InvalidInput with every mistake. */
export async function readModelFile(file: string): Promise<Model> {
  return modelOrThrow(await loadFile(file));
}

/** The far end of a loop port: packets by hand, Ethernet frames as bytes. */
export type LoopEnd = NativeLoopEnd;

export type FlowFile = NativeFlowFile;

/** The end of the cable that loop ports with this `interface` use. Throws when both ends are taken. */
export const openLoopEnd = (cable: string): LoopEnd => new (nativeModule().LoopEnd)(cable);

/** One dataplane in this process. Its workers run on threads of their own. */
export class Dataplane {
  readonly #running: Running;

  private constructor(running: Running) {
    this.#running = running;
  }

  /**
   * Opens the ports of a configuration, a file's path or a value, and publishes its services and
   * those of `objects` (Kubernetes Service and EndpointSlice objects, or Lists of them). Nothing
   * moves before start(). Throws InvalidInput with every mistake, NodeplaneError when a port does
   * not open or memory is short; nothing stays open then. With `flows.file` connections are in that
   * file, and outlive the process as `flows.survive` says (docs/survival.md); else in private memory.
   */
  static async open(config: unknown, objects: readonly unknown[] = []): Promise<Dataplane> {
    const isFile = typeof config === "string";
    const model = isFile ? await readModelFile(config) : await readModel(config, objects);
    const { file, survive } = model.settings.flows;
    const isKept = file !== null && survive !== "never";
    const options = isKept ? { flowFile: { path: file, hugeDirectory: null, survive } } : {};
    return new Dataplane(Running.open(model, options));
  }

  /** Ports as they were opened, and what the drivers made of them. */
  get ports(): readonly OpenedPort[] {
    return this.#running.ports;
  }
  get model(): Model {
    return this.#running.model;
  }

  /** Starts the workers. Throws when they run already or the dataplane is closed. */
  start(): void {
    this.#running.start();
  }

  /** What apply(model) would change. */
  plan(model: Model): Plan {
    return this.#running.plan(model);
  }

  /**
   * Makes a model true between two batches, for all workers at once. Flows keep their endpoints as
   * long as those exist. Throws and changes nothing when ports differ or a limit is exceeded.
   */
  apply(model: Model): Plan {
    return this.#running.apply(model);
  }

  /** The services of these Kubernetes objects replace all there are; everything else stays. */
  async setObjects(objects: readonly unknown[]): Promise<Plan> {
    // Names that were not given stay away: an empty one is no name.
    const given = Object.entries(this.model.node).filter(([, value]) => value !== "");
    const { services } = await readModel({ ports: [], node: Object.fromEntries(given) }, objects);
    return this.apply({ ...this.model, services });
  }

  /** Totals over all workers: counts by name, drops by name, packets and bytes by port. */
  counters(): Counters {
    return readCounters(this.#running);
  }
  /** Drops that happened, by name (docs/drops.md). */
  drops(): Counters["drops"] {
    return this.counters().drops;
  }
  /** Every connection; costs in proportion to their number. */
  flows(): Flow[] {
    return allFlows(this.#running);
  }
  services(): readonly Service[] {
    return this.model.services;
  }
  stats(): Stats {
    return readStats(this.#running);
  }

  /** What a port's driver tells of itself, by port: of a memif port its peer, connects and violations. */
  driverStats(): Record<string, DriverStats> {
    return this.#running.driverStats();
  }
  /** Where connections outlive the process, and what was found there; null: in private memory. */
  flowFile(): FlowFile | null {
    return this.#running.flowFile();
  }
  /** Who copies between memif peers' memory and ours, why, and what it counted. */
  copy(): CopyInfo {
    return this.#running.copy();
  }
  /**
   * Tells what happens on the ports (a memif peer came, went or was refused) within a quarter of a
   * second, until the answer is called or the dataplane is closed. Keeps no process alive.
   */
  onNews(listener: (news: PortNews) => void): () => void {
    return this.#running.onNews(listener);
  }

  /** Stops the workers and closes the ports. False: frames are missing, which is a defect of nodeplane. */
  close(): boolean {
    return this.#running.close();
  }
}

export { type Change, type Plan, plan, renderPlan } from "./compile/plan.js";
export { formatProblem, InvalidInput, NodeplaneError, type Problem } from "./kit/error.js";
export type {
  Endpoint,
  Loaded,
  Model,
  Neighbour,
  Node,
  Port,
  Route,
  Service,
  Settings,
} from "./model/model.js";
export type { Counters, PortCounters } from "./observe/counters.js";
export type { Flow, Tuple } from "./observe/flows.js";
export type { Stats } from "./observe/stats.js";
export type { CopyInfo, DriverStats, OpenedPort } from "./runtime/dataplane.js";
export type { PortNews } from "./runtime/news.js";
export { type DsaQueue, dsaQueues } from "./sys/dsa.js";
