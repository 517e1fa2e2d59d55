// What one compile wants to name: the directory's names, and what is new, other or gone.
import { networkMax } from "../gen/layout.js";
import type { EndpointId, ServiceId } from "../kit/brand.js";
import { NodeplaneError } from "../kit/error.js";
import { type Service, sameService } from "../model/service.js";
import type { Zone } from "../model/settings.js";
import { nameOf, type Succession } from "./difference.js";
import { type Echo, echoAddress, echoHeirs, type Heir } from "./echoes.js";
import {
  echoName,
  endpointName,
  idsOf,
  merged,
  type Named,
  type Names,
  type Naming,
  sorted,
  without,
} from "./names.js";
import { forgotten, freed, fresh, losses, type Next } from "./namings.js";
import { zoneIds } from "./zones.js";

interface Ids {
  take(): number;
  commit(freed: readonly number[]): void;
}

/** Nothing is kept of it unless it is published and committed. */
export class Draft {
  /** New services and those that are other than before: the rows of a change. */
  readonly changed: Service[] = [];
  /** Ids of services and echoes that are gone. */
  readonly removed: ServiceId[] = [];
  /** Whether an object stands in the list twice: no change could say that. */
  readonly isDoubled: boolean = false;
  /** Echoes included. */
  readonly serviceCount: number;
  readonly endpointCount: number;
  readonly #next: Next;
  readonly #come: readonly Service[];
  /** Beside those that come: what they are named, who answers at their address. */
  readonly #named: Named[] = [];
  readonly #heirs: readonly Heir[];
  /** By place: other objects than before that say the same. */
  readonly #alike = new Set<number>();

  constructor(
    readonly services: readonly Service[],
    private readonly names: Names,
    private readonly ids: { service: Ids; endpoint: Ids },
    change: Succession,
  ) {
    const gone = change.gone.map((service) => names.named.get(service) as Named);
    const networks = [...names.networks];
    const [named, was] = [new Map<Service, Named>(), new Map<Service, Named>()];
    const { heirs, beside, silent } = echoHeirs(names.echoes, change, services);
    this.#come = change.come;
    this.#heirs = beside;
    this.#next = { named, was, gone, echoes: heirs, silent, networks, zones: names.zones };
    let endpoints = names.endpointCount;
    for (const { id, ids } of gone) {
      this.removed.push(id);
      endpoints -= ids.length;
    }
    let place = 0;
    for (const service of change.come) {
      const old = change.was.get(service);
      const former = old && names.named.get(old);
      const now = this.#name(service, former);
      endpoints += now.ids.length - (former?.ids.length ?? 0);
      named.set(service, now);
      this.#named.push(now);
      if (former) was.set(service, former);
      if (former && sameService(former.service, service)) this.#alike.add(place);
      else this.changed.push(service);
      if (names.named.has(service)) this.isDoubled = true;
      place++;
    }
    if (named.size < change.come.length) this.isDoubled = true;
    let echoes = names.echoes.size - silent.size;
    for (const [address, heir] of heirs) if (this.#nameEcho(address, heir)) echoes++;
    for (const { id } of silent.values()) this.removed.push(id);
    this.serviceCount = services.length + echoes;
    this.endpointCount = endpoints;
  }

  /**
   * Beside each of these services of the draft what it is named and the id of its echo. No search for
   * those that come, in a list that has them in their order.
   */
  beside(services: readonly Service[]): { named: Named[]; echoes: (ServiceId | null)[] } {
    const named = new Array<Named>(services.length);
    const echoes = new Array<ServiceId | null>(services.length);
    let place = 0;
    for (let i = 0; i < services.length; i++) {
      const service = services[i] as Service;
      if (this.#come[place] !== service) {
        named[i] = this.named(service);
        echoes[i] = this.echo(service);
        continue;
      }
      const heir = this.#heirs[place] as Heir;
      named[i] = this.#named[place++] as Named;
      echoes[i] = heir.owner === service ? heir.id : null;
    }
    return { named, echoes };
  }

  /** Of a service of this draft. */
  named(service: Service): Named {
    return this.#next.named.get(service) ?? (this.names.named.get(service) as Named);
  }

  /** The id of the echo to its address, if this service answers it. */
  echo(service: Service): ServiceId | null {
    const address = echoAddress(service);
    const echo = this.#next.echoes.get(address) ?? this.names.echoes.get(address);
    return echo?.owner === service ? echo.id : null;
  }

  network(name: string): number {
    const { networks } = this.#next;
    const known = networks.indexOf(name);
    if (known >= 0) return known;
    const count = networks.length;
    if (count > networkMax)
      throw new NodeplaneError("limit_exceeded", { what: "networks", count, limit: networkMax });
    return networks.push(name) - 1;
  }

  /** Zones' names by id, these included. */
  zones(wished: Readonly<Record<string, Zone>>): string[] {
    this.#next.zones = zoneIds(this.names.zones, wished);
    return this.#next.zones;
  }

  /** What commit will name. Who keeps ids in a file writes these before the tables are published. */
  fresh(): Iterable<Naming> {
    return fresh(this.names, this.#next);
  }

  /** What commit gives back, to be asked before it. */
  freed(): Iterable<Naming> {
    return freed(this.names, this.#next);
  }

  /** By the directory: makes it its own. */
  commit(): { named: Iterable<Named>; echoes: Iterable<Echo> } {
    const { names } = this;
    const next = this.#next;
    const services: number[] = [...this.removed];
    const endpoints: number[] = [];
    for (const [lost, other] of losses(next))
      for (const i of without(lost, other)) endpoints.push(lost.ids[i] as number);
    for (const { kind, id } of forgotten(names, next))
      (kind === "service" ? services : endpoints).push(id);
    this.ids.service.commit(services);
    this.ids.endpoint.commit(endpoints);
    for (const [{ service }] of losses(next)) names.named.delete(service);
    for (const address of next.silent.keys()) names.echoes.delete(address);
    const news = { named: [...next.named.values()], echoes: [...next.echoes.values()] };
    names.named = merged(names.named, next.named);
    names.echoes = merged(names.echoes, next.echoes);
    names.remembered.service.clear();
    names.remembered.endpoint.clear();
    names.services = this.services;
    names.endpointCount = this.endpointCount;
    names.networks = next.networks;
    names.zones = next.zones;
    return news;
  }

  #name(service: Service, was: Named | undefined): Named {
    const known = this.names.remembered.endpoint;
    let take: (endpoint: Service["endpoints"][number]) => number = this.ids.endpoint.take;
    if (known.size > 0) {
      const name = nameOf(service);
      take = (e) => known.get(endpointName(name, e)) ?? this.ids.endpoint.take();
    }
    const endpoints = sorted(service.endpoints);
    const ids: readonly EndpointId[] = idsOf(was, endpoints, take);
    return { service, id: was?.id ?? this.#serviceId(nameOf, service), endpoints, ids };
  }

  #serviceId<T>(nameOf: (thing: T) => string, thing: T): ServiceId {
    const { service } = this.names.remembered;
    const known = service.size > 0 ? service.get(nameOf(thing)) : undefined;
    return (known ?? this.ids.service.take()) as ServiceId;
  }

  /** Whether the address had none before. */
  #nameEcho(address: string, heir: Heir): boolean {
    const former = this.names.echoes.get(address);
    const { was } = this.#next;
    const { owner, place } = heir;
    heir.id = former?.id ?? this.#serviceId(echoName, address);
    const isSame = former && (former.owner === owner || was.get(owner)?.service === former.owner);
    const isSaid = place >= 0 && !this.#alike.has(place);
    if (!isSame && !isSaid) this.changed.push(owner);
    return !former;
  }
}
