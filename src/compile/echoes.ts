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
  offer(address: string, owner: Service): void {
    const heir = this.byAddress.get(address);
    if (!heir) this.byAddress.set(address, { id: unnamed, owner });
    else if (isLower(owner, heir.owner)) heir.owner = owner;
  }
}

/** By address, where services change; `silent`: addresses at which nobody is left. */
export function echoHeirs(
  echoes: ReadonlyMap<string, Echo>,
  { come, was, gone }: Succession,
  services: readonly Service[],
): { heirs: Map<string, Heir>; silent: Map<string, Echo> } {
  const heirs = new Heirs();
  for (const service of come) heirs.offer(echoAddress(service), service);
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
  return { heirs: heirs.byAddress, silent: unclear };
}

const fewer = <V, W>(a: ReadonlyMap<string, V>, b: ReadonlyMap<string, W>) =>
  a.size < b.size ? a : b;
