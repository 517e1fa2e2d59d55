// What stands in the directory of ids (id_log.ts): text, one lot per publish, each with its sum:
//   nodeplane-ids 1 FLOWFILE    of which flow file it is
//   n ID NAME   z ID NAME   s ID KEY   a network, a zone, a service
//   @ KEY   e ID PLACE          of this service (or of the last `s`): an endpoint
//   -s ID   -e ID               given back
//   = GENERATION CRC32          ends the lot; a lot without it was never published
import { crc32 } from "node:zlib";
import type { Naming } from "../compile/ids.js";
import { endpointMax, networkMax, serviceMax, zoneMax } from "../gen/layout.js";
import { byGeneration, type Kind, type Names, noNames } from "./id_names.js";

const magic = "nodeplane-ids ";
const version = 1;
const generationMax = 0xffff_ffff;

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

/** Of a service's id or an endpoint's: the others are never given back. */
export const freedLine = ({ kind, id }: Naming): string =>
  `-${kind === "service" ? "s" : "e"} ${id}`;

/** What was given back, by freedLine(), then names: a lot as bytes. */
export function lotOf(
  freed: readonly string[],
  named: Iterable<Naming>,
  generation: number,
): Buffer {
  const body = Buffer.from([...freed, ...linesOf(named), ""].join("\n"));
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
export function readLots(bytes: Buffer, flowFile: string): { names: Names; end: number } {
  const names = noNames();
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

/** A file as it is begun: one lot for each generation in which something was named. */
export const wholeFile = (names: Names, flowFile: string): Buffer =>
  Buffer.concat([
    Buffer.from(headOf(flowFile)),
    ...byGeneration(names).map(([born, namings]) => lotOf([], namings, born)),
  ]);
