// Names -> ids that stay the same from publish to publish. A freed id is absent from at least one
// published generation before it names something else, so that no flow is taken for another's.
import { networkMax } from "../gen/layout.js";
import type { EndpointId, ServiceId } from "../kit/brand.js";
import { NodeplaneError } from "../kit/error.js";
import { compareEndpoints, defaultNetwork, type Endpoint } from "../model/service.js";

/** A named service; its endpoints sorted, their ids beside them. */
export interface Named {
  readonly id: ServiceId;
  readonly endpoints: readonly Endpoint[];
  readonly ids: readonly EndpointId[];
}

/** Ids of one kind: those given back wait a generation. */
class Pool {
  next = 0;
  free: number[] = [];
  fork(): { take(): number; commit(freed: readonly number[]): void } {
    let next = this.next;
    let left = this.free.length;
    return {
      take: () => (left > 0 ? (this.free[--left] as number) : next++),
      commit: (freed) => {
        this.next = next;
        this.free.length = left;
        for (const id of freed) this.free.push(id);
      },
    };
  }
}

/** What one compile wants to name. Nothing is kept unless it is published and committed. */
export interface Draft {
  network(name: string): number;
  /** `endpoints` sorted, each once. */
  service(key: string, label: string, endpoints: readonly Endpoint[]): Named;
  commit(): void;
}

export class IdDirectory {
  #entries = new Map<string, Named>();
  #services = new Pool();
  #endpoints = new Pool();
  #labels: string[] = [];
  #networks: string[] = [defaultNetwork];

  /** namespace/name:port of a service, also of one that is gone until its id is used again. */
  labelOf(service: number): string | undefined {
    return this.#labels[service];
  }

  networkOf(id: number): string | undefined {
    return this.#networks[id];
  }

  draft(): Draft {
    const next = new Map<string, Named>();
    const services = this.#services.fork();
    const endpoints = this.#endpoints.fork();
    const networks = [...this.#networks];
    const labels: string[] = [];
    const gone: number[] = [];
    return {
      network(name) {
        const known = networks.indexOf(name);
        if (known >= 0) return known;
        const count = networks.length;
        if (count > networkMax) {
          throw new NodeplaneError("limit_exceeded", {
            what: "networks",
            count,
            limit: networkMax,
          });
        }
        return networks.push(name) - 1;
      },
      service: (key, label, wished) => {
        const before = this.#entries.get(key);
        const id = before?.id ?? (services.take() as ServiceId);
        const ids =
          before?.endpoints === wished ? before.ids : idsOf(before, wished, endpoints.take, gone);
        const named = { id, endpoints: wished, ids };
        next.set(key, named);
        labels[id] = label;
        return named;
      },
      commit: () => {
        const goneServices: number[] = [];
        for (const [key, entry] of this.#entries) {
          if (next.has(key)) continue;
          goneServices.push(entry.id);
          for (const id of entry.ids) gone.push(id);
        }
        services.commit(goneServices);
        endpoints.commit(gone);
        this.#entries = next;
        this.#networks = networks;
        labels.forEach((label, id) => {
          this.#labels[id] = label;
        });
      },
    };
  }
}

/** Old and new endpoints are sorted: one walk over both. Ids of those that are no more go to `gone`. */
function idsOf(
  before: Named | undefined,
  wished: readonly Endpoint[],
  take: () => number,
  gone: number[],
): readonly EndpointId[] {
  const old = before?.endpoints ?? [];
  const oldIds = before?.ids ?? [];
  let at = 0;
  const ids = wished.map((endpoint) => {
    for (; at < old.length; at++) {
      const order = compareEndpoints(old[at] as Endpoint, endpoint);
      if (order === 0) return oldIds[at++] as EndpointId;
      if (order > 0) break;
      gone.push(oldIds[at] as number);
    }
    return take() as EndpointId;
  });
  for (; at < old.length; at++) gone.push(oldIds[at] as number);
  return ids;
}
