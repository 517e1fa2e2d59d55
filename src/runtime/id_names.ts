// Names by id, and the generation in which each was given: what the directory of ids says.
import type { Naming } from "../compile/ids.js";

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
export type Kind = Naming["kind"];
const kinds = ["network", "zone", "service", "endpoint"] as const;
export type Names = Record<Kind, Map<number, Known>>;

export const noNames = (): Names => ({
  network: new Map(),
  zone: new Map(),
  service: new Map(),
  endpoint: new Map(),
});

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

export const knownIds = (names: Names): KnownIds => ({
  namings: kinds.flatMap((kind) => [...namingsOf(kind, names[kind])]),
  services: births(names.service),
  endpoints: births(names.endpoint),
});

/** What was named in each generation, the oldest first. */
export function byGeneration(names: Names): (readonly [born: number, namings: Naming[]])[] {
  const found = new Map<number, Naming[]>();
  for (const kind of kinds)
    for (const [id, { key, born }] of names[kind]) {
      const own = found.get(born);
      if (own) own.push({ kind, key, id });
      else found.set(born, [{ kind, key, id }]);
    }
  return [...found].sort(([a], [b]) => a - b);
}
