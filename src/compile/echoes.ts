// Each virtual address has an echo, beside its lowest port and with its endpoints: a ping to it
// reaches a real endpoint and comes back.
import type { ServiceId } from "../kit/brand.js";
import { defaultNetwork, type Service, serviceKey } from "../model/service.js";
import type { Succession } from "./difference.js";

/** Who answers a ping to an address, and the id of that. */
export interface Echo {
  readonly id: ServiceId;
  readonly owner: Service;
}

/** Who is to answer at an address whose services change; an id is given to it later. */
export interface Heir {
  id: ServiceId;
  owner: Service;
  /** The owner's place among those that come, or -1. */
  place: number;
}
const unnamed = -1 as ServiceId;

/** In the default network the address itself, whose hash is known already. */
export const echoAddress = (s: Service): string =>
  s.network === defaultNetwork ? s.address : `${s.network} ${s.address}`;

/** The same on every node, whatever the order of the objects. */
const isLower = (a: Service, b: Service): boolean =>
  a.port === b.port ? serviceKey(a) < serviceKey(b) : a.port < b.port;

class Heirs {
  readonly byAddress = new Map<string, Heir>();
  /** The one of the lowest port shall be it. */
  offer(address: string, owner: Service, place = -1): Heir {
    const known = this.byAddress.get(address);
    if (!known) {
      const heir = { id: unnamed, owner, place };
      this.byAddress.set(address, heir);
      return heir;
    }
    if (isLower(owner, known.owner)) {
      known.owner = owner;
      known.place = place;
    }
    return known;
  }
}

/** Where services change. */
interface Heirdom {
  readonly heirs: Map<string, Heir>;
  /** Beside each service that comes, who answers at its address. */
  readonly beside: readonly Heir[];
  /** Addresses at which nobody is left. */
  readonly silent: Map<string, Echo>;
}

export function echoHeirs(
  echoes: ReadonlyMap<string, Echo>,
  { come, was, gone }: Succession,
  services: readonly Service[],
): Heirdom {
  const heirs = new Heirs();
  const beside = come.map((service, place) => heirs.offer(echoAddress(service), service, place));
  // Former owners that are still here count too; where one has left, everybody at its address does.
  const left = new Map<Service, Service | undefined>(gone.map((s) => [s, undefined]));
  for (const [service, old] of was) left.set(old, service);
  const changed = new Set<string>();
  for (const service of left.keys()) changed.add(echoAddress(service));
  for (const address of fewer(heirs.byAddress, echoes).keys())
    if (heirs.byAddress.has(address)) changed.add(address);
  const unclear = new Map<string, Echo>();
  for (const address of changed) {
    const former = echoes.get(address);
    if (!former) continue;
    const heir = left.get(former.owner);
    if (!left.has(former.owner)) heirs.offer(address, former.owner);
    else if (heir?.port !== former.owner.port || echoAddress(heir) !== address)
      unclear.set(address, former);
  }
  if (unclear.size > 0) {
    const addresses = new Set<string>([...unclear.values()].map(({ owner }) => owner.address));
    for (const service of services) {
      if (!addresses.has(service.address)) continue;
      const address = echoAddress(service);
      if (unclear.has(address)) heirs.offer(address, service);
    }
    for (const address of unclear.keys()) if (heirs.byAddress.has(address)) unclear.delete(address);
  }
  return { heirs: heirs.byAddress, beside, silent: unclear };
}

const fewer = <V, W>(a: ReadonlyMap<string, V>, b: ReadonlyMap<string, W>) =>
  a.size < b.size ? a : b;
