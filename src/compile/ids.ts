// Names -> ids that stay the same from publish to publish. A freed id is absent from at least one
// published generation before it names something else, so that no flow is taken for another's.
// Services are known by their objects: what a model shares with the one before costs nothing.
import { defaultNetwork, type Service, serviceLabel } from "../model/service.js";
import { defaultZone } from "../model/settings.js";
import { type Succession, successionOf } from "./difference.js";
import { Draft } from "./draft.js";
import type { Echo } from "./echoes.js";
import type { Named, Names, Naming } from "./names.js";
import { Pool } from "./pool.js";

export { Draft } from "./draft.js";
export type { Named, Naming } from "./names.js";

export class IdDirectory {
  readonly #names: Names = {
    services: [],
    named: new Map(),
    echoes: new Map(),
    endpointCount: 0,
    networks: [defaultNetwork],
    zones: [defaultZone],
    remembered: { service: new Map(), endpoint: new Map() },
  };
  readonly #services: Pool;
  readonly #endpoints: Pool;
  /** By id; of one that is gone its label. */
  readonly #byId: (Named | Echo | string)[] = [];

  constructor(remembered: Iterable<Naming> = []) {
    const { networks, zones, remembered: mine } = this.#names;
    for (const { kind, key, id } of remembered) {
      if (kind === "network") networks[id] = key;
      else if (kind === "zone") zones[id] = key;
      else mine[kind].set(key, id);
    }
    this.#services = new Pool([...mine.service.values()]);
    this.#endpoints = new Pool([...mine.endpoint.values()]);
  }

  /** namespace/name:port of a service, also of one that is gone until its id is used again. */
  labelOf(service: number): string | undefined {
    const known = this.#byId[service];
    if (known === undefined || typeof known === "string") return known;
    return "owner" in known
      ? `${known.owner.namespace}/${known.owner.name}`
      : serviceLabel(known.service);
  }

  networkOf(id: number): string | undefined {
    return this.#names.networks[id];
  }

  zoneOf(id: number): string | undefined {
    return this.#names.zones[id];
  }

  /** Of all services there are to be. `change`: from those of the last commit, if known already. */
  draft(
    services: readonly Service[],
    change: Succession = successionOf(this.#names.services, services),
  ): Draft {
    const ids = { service: this.#services.fork(), endpoint: this.#endpoints.fork() };
    return new Draft(services, this.#names, ids, change);
  }

  commit(draft: Draft): void {
    for (const id of draft.removed) {
      const label = this.labelOf(id);
      if (label !== undefined) this.#byId[id] = label;
    }
    const { named, echoes } = draft.commit();
    for (const service of named) this.#byId[service.id] = service;
    for (const echo of echoes) this.#byId[echo.id] = echo;
  }
}
