// The directory of ids beside the flow file: which id stood for which service, endpoint, network or zone, and
// since which generation (id_lots.ts). Appended to before the tables that use an id are published, so that
// whoever takes over the connections takes their ids over too.
import {
  closeSync,
  constants,
  fstatSync,
  ftruncateSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  writeSync,
} from "node:fs";
import type { Naming } from "../compile/ids.js";
import { messageOf, NodeplaneError } from "../kit/error.js";
import { freedLine, lotOf, readLots, wholeFile } from "./id_lots.js";
import { type KnownIds, knownIds, type Names } from "./id_names.js";

/** Rewritten when it is longer than this and than twice what it was after the last time. Bytes. */
export const compactBytesMin = 1 << 20;
const { O_RDWR, O_CREAT, O_NOFOLLOW } = constants;

function openOwn(path: string): number {
  const file = openSync(path, O_RDWR | O_CREAT | O_NOFOLLOW, 0o600);
  const stat = fstatSync(file);
  const isOwn = stat.isFile() && stat.nlink === 1 && stat.uid === (process.geteuid?.() ?? 0);
  if (isOwn && (stat.mode & 0o077) === 0) return file;
  closeSync(file);
  throw new Error("others may open it, it is somebody else's, or no file with one name");
}

export class IdLog {
  #file = -1;
  #end = 0;
  #compactAt = 0;
  /** Given back since the last lot: absent from a published generation by the next one. */
  #freed: string[] = [];

  private constructor(
    readonly path: string,
    readonly flowFile: string,
  ) {}

  /** The log of this flow file, held by whoever holds that one. `known`: null when there is nothing to take over. */
  static open(path: string, flowFile: string): { log: IdLog; known: KnownIds | null } {
    const log = new IdLog(path, flowFile);
    try {
      log.#file = openOwn(path);
      const { names, end } = readLots(readFileSync(log.#file), flowFile);
      log.#rewrite(names);
      return { log, known: end === 0 ? null : knownIds(names) };
    } catch (cause) {
      log.close();
      throw log.#error(cause);
    }
  }

  /** What the tables of this generation name anew. Throws, and nothing is written, when there is no room. */
  write(generation: number, namings: Iterable<Naming>): void {
    try {
      if (this.#end > this.#compactAt)
        this.#rewrite(readLots(readFileSync(this.path), this.flowFile).names);
      this.#append(lotOf(this.#freed, namings, generation));
      this.#freed = [];
    } catch (cause) {
      throw this.#error(cause);
    }
  }

  /** Told of with the next lot. */
  free(namings: Iterable<Naming>): void {
    for (const naming of namings) this.#freed.push(freedLine(naming));
  }

  close(): void {
    if (this.#file >= 0) closeSync(this.#file);
    this.#file = -1;
  }

  remove(): void {
    this.close();
    rmSync(this.path, { force: true });
  }

  #append(bytes: Buffer): void {
    try {
      for (let done = 0; done < bytes.length; )
        done += writeSync(this.#file, bytes, done, bytes.length - done, this.#end + done);
      this.#end += bytes.length;
    } catch (cause) {
      ftruncateSync(this.#file, this.#end);
      throw cause;
    }
  }

  /** A new file in the place of the old one, without what is no more. */
  #rewrite(names: Names): void {
    const next = `${this.path}.new`;
    const file = openOwn(next);
    const old = this.#file;
    const oldEnd = this.#end;
    try {
      ftruncateSync(file);
      this.#file = file;
      this.#end = 0;
      this.#append(wholeFile(names, this.flowFile));
      renameSync(next, this.path);
    } catch (cause) {
      this.#file = old;
      this.#end = oldEnd;
      closeSync(file);
      rmSync(next, { force: true });
      throw cause;
    }
    if (old >= 0) closeSync(old);
    this.#compactAt = Math.max(compactBytesMin, 2 * this.#end);
  }

  #error(cause: unknown): NodeplaneError {
    return new NodeplaneError("runtime_state", {
      message: `directory of ids ${this.path}: ${messageOf(cause)}`,
    });
  }
}
