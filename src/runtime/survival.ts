// Connections that outlive the process (docs/survival.md): the flow file, held by the native side, and
// the directory of ids beside it.
import type { Naming } from "../compile/ids.js";
import { IdLog } from "./id_log.js";
import type { NativeDataplane } from "./native.js";

export interface FlowFileWish {
  readonly path: string;
  /** A hugetlbfs is mounted there for it, when pages of 2 MiB are reserved; null: none. */
  readonly hugeDirectory: string | null;
  /** After what end the file stays: `crash`: not after a clean one; `restart`: after any. */
  readonly survive: "crash" | "restart";
}

/** What one publish names and gives back (Compiled). */
interface Names {
  named(): Iterable<Naming>;
  freed(): Iterable<Naming>;
}

export class Survival {
  /** Names of the process before, for the directory. */
  readonly namings: readonly Naming[];
  readonly #log: IdLog;
  #hasPublished = false;

  private constructor(
    readonly wish: FlowFileWish,
    readonly isFound: boolean,
    log: IdLog,
    namings: readonly Naming[],
  ) {
    this.#log = log;
    this.namings = namings;
  }

  /** Null: connections are in private memory. */
  static open(native: NativeDataplane, wish: FlowFileWish | undefined): Survival | null {
    const file = native.flowFile();
    if (!wish || !file) return null;
    const { log, known } = IdLog.open(`${wish.path}.ids`, file.id);
    if (known) native.knowIds(known.services, known.endpoints);
    return new Survival(wish, file.found, log, known?.namings ?? []);
  }

  /** Before the tables of this generation are published: their ids are in the directory's file. */
  write(generation: number, names: Names): void {
    this.#log.write(generation, names.named());
  }

  /** After it, and before the names are committed. */
  published(names: Names): void {
    this.#hasPublished = true;
    this.#log.free(names.freed());
  }

  /** True: the flow file is to stay. A process that never published leaves what it found. */
  close(isClean: boolean): boolean {
    const stays = this.#hasPublished ? !isClean || this.wish.survive === "restart" : this.isFound;
    if (stays) this.#log.close();
    else this.#log.remove();
    return stays;
  }
}
