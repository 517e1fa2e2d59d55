// Which services differ between two models, by identity first: a list that keeps the objects of what
// did not change is compared in no time, however long it is.
import { defaultNetwork, type Service, serviceKey } from "../model/service.js";

export interface Difference {
  /** Objects of the first list only, and of the second only; each in its list's order. */
  readonly gone: readonly Service[];
  readonly come: readonly Service[];
}

function difference(before: readonly Service[], after: readonly Service[]): Difference {
  let start = 0;
  let oldEnd = before.length;
  let newEnd = after.length;
  while (start < oldEnd && start < newEnd && before[start] === after[start]) start++;
  while (oldEnd > start && newEnd > start && before[oldEnd - 1] === after[newEnd - 1]) {
    oldEnd--;
    newEnd--;
  }
  const gone = before.slice(start, oldEnd);
  const come = after.slice(start, newEnd);
  if (gone.length === 0 || come.length === 0) return { gone, come };
  const left = new Set(gone);
  const fresh = come.filter((service) => !left.delete(service));
  return { gone: left.size === gone.length ? gone : [...left], come: fresh };
}

/** A service's name over publishes and processes. */
export const nameOf = (s: Service): string =>
  s.network === defaultNetwork ? serviceKey(s) : `${s.network} ${serviceKey(s)}`;

/** Of two lists: `gone` has nobody of its name follow it, `was` tells of a new one whom it follows. */
export interface Succession {
  readonly come: readonly Service[];
  readonly was: ReadonlyMap<Service, Service>;
  readonly gone: readonly Service[];
}

/** Gone and come services of one name belong together. */
function succession({ gone, come }: Difference): Succession {
  const was = new Map<Service, Service>();
  if (gone.length === 0) return { come, was, gone };
  const byName = new Map(gone.map((s) => [nameOf(s), s]));
  // A name has its address in it: most need not be put together.
  const addresses = new Set<string>(gone.map((s) => s.address));
  for (const service of come) {
    if (!addresses.has(service.address)) continue;
    const name = nameOf(service);
    const old = byName.get(name);
    if (old && byName.delete(name)) was.set(service, old);
  }
  return { come, was, gone: [...byName.values()] };
}

export const successionOf = (before: readonly Service[], after: readonly Service[]): Succession =>
  succession(difference(before, after));
