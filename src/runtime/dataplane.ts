// A running dataplane: opens ports, publishes models, starts and stops the workers. Thinking is
// done in compile/; here it is applied.
import { randomBytes } from "node:crypto";

import { type Succession, successionOf } from "../compile/difference.js";
import { IdDirectory } from "../compile/ids.js";
import { type Plan, plan } from "../compile/plan.js";
import { compile, type Model, type PortFacts } from "../compile/tables.js";
import { messageOf, NodeplaneError } from "../kit/error.js";
import { chooseCopy } from "./copy.js";
import {
  type NativeDataplane,
  type NativeFlowFile,
  type NativeInfo,
  nativeModule,
} from "./native.js";
import { News, type NewsListener } from "./news.js";
import { type FlowFileWish, Survival } from "./survival.js";

export interface OpenedPort extends PortFacts {
  readonly name: string;
  readonly queues: number;
  /** What the driver made of it, for people. */
  readonly description: string;
}

/** Who copies between memif peers' memory and ours. */
export interface CopyInfo {
  /** For people: the engine and what it works with. */
  readonly engine: string;
  /** Why it is not the one wished for; empty: it is. */
  readonly why: string;
  /** What it counted, and what it says of itself. */
  readonly counters: Readonly<Record<string, number | boolean>>;
}

/** What a driver tells of itself, by its own names. */
export type DriverStats = Readonly<Record<string, unknown>>;

export interface OpenOptions {
  /** A replay: no workers; nothing is sent unasked; the packets' times are the clock. */
  readonly offline?: boolean;
  /** No corridor: ports 0 and 1 joined, to measure the drivers alone. */
  readonly bridge?: boolean;
  /** Connections live in this file and outlive the process; else in private memory. */
  readonly flowFile?: FlowFileWish;
}

const neighbourReadMs = 200;

/** Dataplanes that must be closed when the process ends: workers do not stop by themselves. */
const open = new Set<Dataplane>();
let hooked = false;

function closeAtExit(): void {
  if (hooked) return;
  hooked = true;
  process.on("exit", (code) => {
    // Whatever ends with an error is no clean end: connections stay for the next process.
    for (const dataplane of [...open]) dataplane.close(code === 0);
  });
}

export class Dataplane {
  readonly native: NativeDataplane;
  /** Names of the ids that rows carry. */
  readonly directory: IdDirectory;
  readonly ports: readonly OpenedPort[];
  readonly offline: boolean;
  #model: Model;
  /** Of the tables that are published. */
  #generation = 0;
  #closed = false;
  #neighbourTimer: NodeJS.Timeout | undefined;
  readonly #copyWhy: string;
  readonly #news: News;
  readonly #survival: Survival | null;

  private constructor(
    native: NativeDataplane,
    model: Model,
    options: OpenOptions,
    copyWhy: string,
    survival: Survival | null,
  ) {
    this.native = native;
    this.#survival = survival;
    this.directory = new IdDirectory(survival?.namings);
    this.offline = options.offline ?? false;
    this.#model = model;
    this.ports = model.ports.map((port) => {
      try {
        const opened = native.openPort({
          name: port.name,
          driver: this.offline ? "pcap" : port.driver,
          interface: port.interface,
          queues: port.queues,
          mtu: port.mtu,
          options: { ...port.options },
        });
        return { ...opened, name: port.name };
      } catch (cause) {
        throw new NodeplaneError("port_open_failed", {
          port: port.name,
          message: messageOf(cause),
        });
      }
    });
    this.#copyWhy = copyWhy;
    this.#news = new News(() =>
      native.news().map(({ port, text }) => ({ port: this.#nameOf(port), text })),
    );
    this.#publish(model);
  }

  /** Opens the model's ports and publishes it; workers start with start(). Throws NodeplaneError. */
  static open(model: Model, options: OpenOptions = {}): Dataplane {
    const s = model.settings;
    const seed = s.flows.seed;
    const copy = chooseCopy(model, options.offline ?? false);
    const native = new (nativeModule().Dataplane)({
      workers: options.offline ? 1 : s.workers.count,
      frames: s.frames.count,
      frameSize: s.frames.size,
      hugePages: s.frames.hugePages,
      flowCapacity4: s.flows.capacity,
      flowCapacity6: s.flows.capacity6,
      hash: s.flows.hash,
      // A replay is the same every time; a live table's secret is nobody's.
      hashSeed: seed
        ? Buffer.from(seed, "hex")
        : options.offline
          ? Buffer.alloc(16)
          : randomBytes(16),
      mode: s.workers.mode,
      pin: [...s.workers.pin],
      snatPortLow: s.nat.portLow,
      snatPortHigh: s.nat.portHigh,
      copy: copy.native,
      bridge: options.bridge ?? false,
      flowFile: options.flowFile?.path ?? "",
      flowHugeDirectory: options.flowFile?.hugeDirectory ?? "",
    });
    let survival: Survival | null = null;
    try {
      survival = Survival.open(native, options.flowFile);
      const dataplane = new Dataplane(native, model, options, copy.why, survival);
      open.add(dataplane);
      closeAtExit();
      return dataplane;
    } catch (cause) {
      native.close(survival?.close(false) ?? true);
      throw cause;
    }
  }

  get model(): Model {
    return this.#model;
  }

  /** What apply would change. */
  plan(model: Model): Plan {
    return plan(this.#model, model);
  }

  /** Makes the model true, between two batches, for every worker. Throws and changes nothing otherwise. */
  apply(model: Model): Plan {
    if (this.#closed)
      throw new NodeplaneError("runtime_state", { message: "the dataplane is closed" });
    const fixed = JSON.stringify(this.#model.ports.map((p) => ({ ...p, addresses: [] })));
    if (JSON.stringify(model.ports.map((p) => ({ ...p, addresses: [] }))) !== fixed) {
      throw new NodeplaneError("runtime_state", {
        message: "ports are fixed while nodeplane runs (addresses may change): restart it",
      });
    }
    const change = successionOf(this.#model.services, model.services);
    const changes = plan(this.#model, model, change);
    this.#publish(model, change);
    this.#model = model;
    return changes;
  }

  start(): void {
    this.native.start();
    // Ports that share their interface with the host leave ARP and NDP to its kernel.
    if (!this.native.readNeighbours()) return;
    this.#neighbourTimer = setInterval(() => this.native.readNeighbours(), neighbourReadMs);
    this.#neighbourTimer.unref();
  }

  info(): NativeInfo {
    return this.native.info();
  }

  /** Where connections outlive the process and what was found there; null: in private memory. */
  flowFile(): NativeFlowFile | null {
    return this.native.flowFile();
  }

  copy(): CopyInfo {
    const { engine, why, stats } = this.native.copy();
    const counters = JSON.parse(stats) as CopyInfo["counters"];
    return { engine, why: [why, this.#copyWhy].filter(Boolean).join("; "), counters };
  }

  /** By port name. */
  driverStats(): Record<string, DriverStats> {
    return Object.fromEntries(
      this.ports.map(({ id, name }) => [
        name,
        JSON.parse(this.native.portStats(id)) as DriverStats,
      ]),
    );
  }

  /** Tells what happens on the ports, until the answer is called or the dataplane is closed. */
  onNews(listener: NewsListener): () => void {
    return this.#news.listen(listener);
  }

  /** Offline: runs to the end of the inputs of these ports; equal times go in their order. */
  async replay(ports: readonly string[]): Promise<void> {
    const ids = ports.map((name) => {
      const port = this.ports.find((p) => p.name === name);
      if (!port) throw new NodeplaneError("runtime_state", { message: `no port ${name}` });
      return port.id;
    });
    await this.native.replay(ids);
  }

  /**
   * Stops the workers, closes the ports, gives every frame back. False: the frames' books do not balance.
   * A flow file goes too, unless it is to survive a restart, or this is no clean end.
   */
  close(isClean = true): boolean {
    if (this.#closed) return true;
    this.#closed = true;
    clearInterval(this.#neighbourTimer);
    open.delete(this);
    let isBalanced = false;
    try {
      this.#news.close();
    } finally {
      isBalanced = this.native.close(this.#survival?.close(isClean) ?? false);
    }
    return isBalanced;
  }

  #nameOf(id: number): string {
    return this.ports.find((p) => p.id === id)?.name ?? "";
  }

  /** `change`: of the model that is published, if one is. */
  #publish(model: Model, change?: Succession): void {
    const facts = new Map(this.ports.map((p) => [p.name, p]));
    const base = change && { model: this.#model, generation: this.#generation, change };
    const compiled = compile(model, this.directory, { ports: facts, offline: this.offline, base });
    this.#survival?.write(this.native.info().generation + 1, compiled);
    try {
      this.#generation = this.native.publish(compiled.bytes);
    } catch (cause) {
      throw new NodeplaneError("runtime_state", { message: messageOf(cause) });
    }
    this.#survival?.published(compiled);
    compiled.commit();
  }
}
