// The directory of ids beside the flow file: which id stood for which service, endpoint, network or zone, and
// since which generation. Appended to before the tables that use an id are published, so that whoever
// takes over the connections takes their ids over too. Text, one lot per publish, each with its sum:
//   nodeplane-ids 1 FLOWFILE    of which flow file it is
//   n ID NAME   z ID NAME   s ID KEY   a network, a zone, a service
//   @ KEY   e ID PLACE          of this service (or of the last `s`): an endpoint
//   -s ID   -e ID               given back
//   = GENERATION CRC32          ends the lot; a lot without it was never published
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
import { crc32 } from "node:zlib";
import type { Naming } from "../compile/ids.js";
import { messageOf, NodeplaneError } from "../kit/error.js";

/** Rewritten when it is longer than this and than twice what it was after the last time. Bytes. */
export const compactBytesMin = 1 << 20;
const version = 1;
const { O_RDWR, O_CREAT, O_NOFOLLOW, O_TRUNC } = constants;

/** What an earlier process named, and since when: generations by id, 0 for none. */
export interface KnownIds {
  readonly namings: readonly Naming[];
  readonly services: Uint32Array<ArrayBuffer>;
  readonly endpoints: Uint32Array<ArrayBuffer>;
}

interface Known {
  readonly key: string;
  readonly born: number;
}
type Kind = Naming["kind"];
const kinds = ["network", "zone", "service", "endpoint"] as const;
type Names = Record<Kind, Map<number, Known>>;

const isOdd = /[\n%]/;
const escaped = (key: string): string =>
  isOdd.test(key) ? key.replace(/[\n%]/g, encodeURIComponent) : key;
const plain = (key: string): string =>
  key.includes("%") ? key.replaceAll("%0A", "\n").replaceAll("%25", "%") : key;

function* linesOf(namings: Iterable<Naming>): Iterable<string> {
  let service = "";
  for (const { kind, key, id } of namings) {
    if (kind === "network") yield `n ${id} ${escaped(key)}`;
    else if (kind === "zone") yield `z ${id} ${escaped(key)}`;
    else if (kind === "service") {
      service = key;
      yield `s ${id} ${escaped(key)}`;
    } else {
      const end = key.lastIndexOf(" ");
      const of = key.slice(0, end);
      if (of !== service) yield `@ ${escaped(of)}`;
      service = of;
      yield `e ${id} ${key.slice(end + 1)}`;
    }
  }
}

/** A lot as bytes, its end included. */
function lotOf(lines: Iterable<string>, generation: number): Buffer {
  const body = Buffer.from([...lines, ""].join("\n"));
  return Buffer.concat([body, Buffer.from(`= ${generation} ${crc32(body).toString(16)}\n`)]);
}

function readLine(line: string, names: Names, born: number, service: string): string {
  const [what = "", id = ""] = line.split(" ", 2);
  const rest = plain(line.slice(what.length + id.length + 2));
  if (what === "@") return plain(line.slice(2));
  if (what === "n") names.network.set(Number(id), { key: rest, born });
  else if (what === "z") names.zone.set(Number(id), { key: rest, born });
  else if (what === "s") names.service.set(Number(id), { key: rest, born });
  else if (what === "e") names.endpoint.set(Number(id), { key: `${service} ${rest}`, born });
  else if (what === "-s") names.service.delete(Number(id));
  else if (what === "-e") names.endpoint.delete(Number(id));
  return what === "s" ? rest : service;
}

const headOf = (flowFile: string): string => `nodeplane-ids ${version} ${flowFile}\n`;

/** Whole lots from the front, and where they end: 0 when it is none of this flow file's. */
function read(bytes: Buffer, flowFile: string): { names: Names; end: number } {
  const names: Names = {
    network: new Map(),
    zone: new Map(),
    service: new Map(),
    endpoint: new Map(),
  };
  const head = headOf(flowFile);
  if (bytes.toString("latin1", 0, head.length) !== head) return { names, end: 0 };
  let end = head.length;
  for (;;) {
    // A lot may be empty; then its end is its first line.
    const isEmpty = bytes.toString("latin1", end, end + 2) === "= ";
    const last = isEmpty ? end : bytes.indexOf("\n= ", end) + 1;
    const next = last < end ? -1 : bytes.indexOf("\n", last);
    if (next < 0) return { names, end };
    const [, generation = "", sum = ""] = bytes.toString("latin1", last, next).split(" ");
    const body = bytes.subarray(end, last);
    if (crc32(body) !== Number.parseInt(sum, 16)) return { names, end };
    let service = "";
    for (const line of body.toString().split("\n"))
      if (line !== "") service = readLine(line, names, Number(generation), service);
    end = next + 1;
  }
}

/** Of two ids with one key the later one counts: the other's publish failed. */
function* namingsOf(kind: Kind, names: Map<number, Known>): Iterable<Naming> {
  const byKey = new Map<string, { id: number; born: number }>();
  for (const [id, { key, born }] of names) {
    const other = byKey.get(key);
    if (!other || other.born <= born) byKey.set(key, { id, born });
  }
  for (const [key, { id }] of byKey) yield { kind, key, id };
}

function births(names: Map<number, Known>): Uint32Array<ArrayBuffer> {
  let end = 0;
  for (const id of names.keys()) end = Math.max(end, id + 1);
  const born = new Uint32Array(end);
  for (const [id, known] of names) born[id] = known.born;
  return born;
}

/** One lot for each generation in which something was named. */
function compacted(names: Names, flowFile: string): Buffer {
  const lots = new Map<number, Naming[]>();
  for (const kind of kinds)
    for (const [id, { key, born }] of names[kind]) {
      const lot = lots.get(born);
      if (lot) lot.push({ kind, key, id });
      else lots.set(born, [{ kind, key, id }]);
    }
  const generations = [...lots.keys()].sort((a, b) => a - b);
  return Buffer.concat([
    Buffer.from(headOf(flowFile)),
    ...generations.map((born) => lotOf(linesOf(lots.get(born) ?? []), born)),
  ]);
}

function openOwn(path: string, flags: number): number {
  const file = openSync(path, O_RDWR | O_CREAT | O_NOFOLLOW | flags, 0o600);
  const { uid, mode } = fstatSync(file);
  if (uid === (process.geteuid?.() ?? 0) && (mode & 0o077) === 0) return file;
  closeSync(file);
  throw new Error("others may open it, or it is somebody else's");
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
      log.#file = openOwn(path, 0);
      const { names, end } = read(readFileSync(log.#file), flowFile);
      log.#rewrite(names);
      if (end === 0) return { log, known: null };
      const namings = kinds.flatMap((kind) => [...namingsOf(kind, names[kind])]);
      return {
        log,
        known: { namings, services: births(names.service), endpoints: births(names.endpoint) },
      };
    } catch (cause) {
      log.close();
      throw log.#error(cause);
    }
  }

  /** What the tables of this generation name anew. Throws, and nothing is written, when there is no room. */
  write(generation: number, namings: Iterable<Naming>): void {
    try {
      if (this.#end > this.#compactAt) this.#rewrite(read(this.#bytes(), this.flowFile).names);
      const lot = lotOf([...this.#freed, ...linesOf(namings)], generation);
      this.#append(lot);
      this.#freed = [];
    } catch (cause) {
      throw this.#error(cause);
    }
  }

  /** Told of with the next lot. */
  free(namings: Iterable<Naming>): void {
    for (const { kind, id } of namings)
      if (kind !== "network") this.#freed.push(`-${kind === "service" ? "s" : "e"} ${id}`);
  }

  close(): void {
    if (this.#file >= 0) closeSync(this.#file);
    this.#file = -1;
  }

  remove(): void {
    this.close();
    rmSync(this.path, { force: true });
  }

  #bytes(): Buffer {
    return readFileSync(this.path);
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
    const file = openOwn(next, O_TRUNC);
    const old = this.#file;
    const oldEnd = this.#end;
    try {
      this.#file = file;
      this.#end = 0;
      this.#append(compacted(names, this.flowFile));
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
