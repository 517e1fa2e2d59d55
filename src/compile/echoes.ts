// Each virtual address has an echo, beside its lowest port and with its endpoints: a ping to it
// reaches a real endpoint and comes back.
import { defaultNetwork, type Service, serviceKey } from "../model/service.js";
import type { Succession } from "./difference.js";

/** Who answers a ping to an address, and the id of that. */
export interface Echo<Id = number> {
  readonly id: Id;
  readonly owner: Service;
}

/** In the default network the address itself, whose hash is known already. */
export const echoAddress = (s: Service): string =>
  s.network === defaultNetwork ? s.address : `${s.network} ${s.address}`;

/** The same on every node, whatever the order of the objects. */
const lower = (a: Service, b: Service | null | undefined): Service => {
  if (!b || a.port !== b.port) return !b || a.port < b.port ? a : b;
  return serviceKey(a) < serviceKey(b) ? a : b;
};

/** The owners of addresses whose services change; null: nobody is left. */
export function echoOwners(
  echoes: ReadonlyMap<string, Echo>,
  { come, was, gone }: Succession,
  services: readonly Service[],
): Map<string, Service | null> {
  const owners = new Map<string, Service | null>();
  for (const service of come) {
    const address = echoAddress(service);
    owners.set(address, lower(service, owners.get(address)));
  }
  // Former owners that are still here count too; where one has left, everybody at its address does.
  const left = new Map<Service, Service | undefined>(gone.map((s) => [s, undefined]));
  for (const [service, old] of was) left.set(old, service);
  for (const service of left.keys()) {
    const address = echoAddress(service);
    if (!owners.has(address)) owners.set(address, null);
  }
  const unclear = new Set<string>();
  const unclearAddresses = new Set<string>();
  const fewer = echoes.size < owners.size ? echoes : owners;
  for (const address of fewer.keys()) {
    const owner = owners.get(address);
    const former = echoes.get(address)?.owner;
    if (!former || owner === undefined) continue;
    if (!left.has(former)) {
      owners.set(address, lower(former, owner));
      continue;
    }
    const heir = left.get(former);
    if (heir && heir.port === former.port && echoAddress(heir) === address) continue;
    unclear.add(address);
    unclearAddresses.add(former.address);
  }
  if (unclear.size === 0) return owners;
  for (const service of services) {
    if (!unclearAddresses.has(service.address)) continue;
    const address = echoAddress(service);
    if (unclear.has(address)) owners.set(address, lower(service, owners.get(address)));
  }
  return owners;
}
