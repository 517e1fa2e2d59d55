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
import { endpointMax, networkMax, serviceMax, zoneMax } from "../gen/layout.js";
import { messageOf, NodeplaneError } from "../kit/error.js";

/** Rewritten when it is longer than this and than twice what it was after the last time. Bytes. */
export const compactBytesMin = 1 << 20;
const magic = "nodeplane-ids ";
const version = 1;
const generationMax = 0xffff_ffff;
const { O_RDWR, O_CREAT, O_NOFOLLOW } = constants;

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

/** Ids from the first to the last; the default network and zone have no name in the file. */
const idRange: Readonly<Record<Kind, readonly [first: number, last: number]>> = {
  network: [1, networkMax],
  zone: [1, zoneMax - 1],
  service: [0, serviceMax - 1],
  endpoint: [0, endpointMax - 1],
};
const kindOf = new Map<string, Kind>([
  ["n", "network"],
  ["z", "zone"],
  ["s", "service"],
  ["e", "endpoint"],
]);

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

/** A whole number of this range, or null. */
function whole(text: string, [first, last]: readonly [number, number]): number | null {
  if (!/^\d{1,10}$/.test(text)) return null;
  const n = Number(text);
  return n >= first && n <= last ? n : null;
}

interface Line {
  readonly kind: Kind;
  readonly id: number;
  /** Null: given back. */
  readonly key: string | null;
}

/** What a lot says, or null: no lot of ours says that. */
function linesIn(body: string): Line[] | null {
  const found: Line[] = [];
  let service = "";
  for (const line of body.split("\n")) {
    if (line === "") continue;
    const [what = "", text = ""] = line.split(" ", 2);
    if (what === "@") {
      service = plain(line.slice(2));
      continue;
    }
    const isGone = what === "-s" || what === "-e";
    const kind = kindOf.get(isGone ? what.slice(1) : what);
    const id = kind ? whole(text, idRange[kind]) : null;
    if (!kind || id === null) return null;
    const rest = plain(line.slice(what.length + text.length + 2));
    if (what === "s") service = rest;
    const key = isGone ? null : kind === "endpoint" ? `${service} ${rest}` : rest;
    found.push({ kind, id, key });
  }
  return found;
}

const headOf = (flowFile: string): string => `${magic}${version} ${flowFile}\n`;

/**
 * Whole lots from the front, and where they end: 0 when it is none of this flow file's. An Error when
 * it is somebody else's file.
 */
function read(bytes: Buffer, flowFile: string): { names: Names; end: number } {
  const names: Names = {
    network: new Map(),
    zone: new Map(),
    service: new Map(),
    endpoint: new Map(),
  };
  if (bytes.length > 0 && bytes.toString("latin1", 0, magic.length) !== magic)
    throw new Error("is no directory of ids, and is left alone");
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
    const born = whole(generation, [0, generationMax]);
    const lines = linesIn(body.toString());
    if (born === null || !lines) return { names, end };
    for (const { kind, id, key } of lines)
      if (key === null) names[kind].delete(id);
      else names[kind].set(id, { key, born });
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
    const file = openOwn(next);
    const old = this.#file;
    const oldEnd = this.#end;
    try {
      ftruncateSync(file);
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
