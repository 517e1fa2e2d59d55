// Config -> Model, once nothing is wrong with it.
import { resolve } from "node:path";
import type { Model } from "../model/model.js";
import type { Port, Route } from "../model/port.js";
import type { Service } from "../model/service.js";
import type { Settings } from "../model/settings.js";
import type { Config, Draft } from "./draft.js";
import { socketAt } from "./memif.js";
import { portOfGateway } from "./references.js";
import { driverKeys, type PortConfig } from "./schema.js";

function portOptions(port: PortConfig, base: string): Record<string, string> {
  const options: Record<string, string> = {};
  for (const key of Object.keys(driverKeys) as (keyof typeof driverKeys)[]) {
    if (port[key] !== undefined) options[key] = String(port[key]);
  }
  if (port.take !== "all") options.take = port.take;
  if (port.mac !== undefined) options.mac = port.mac;
  if (port.traceMaxBytes !== undefined) options.traceMaxBytes = String(port.traceMaxBytes);
  for (const key of ["in", "out", "trace"] as const) {
    const path = port[key];
    if (path !== undefined) options[key] = resolve(base, path);
  }
  if (port.socket !== undefined) options.socket = socketAt(port.socket, base);
  if (port.fault) {
    const { delay, ...chances } = port.fault;
    const parts = Object.entries(chances).map(([key, value]) => `${key}=${value}`);
    options.fault = [...parts, ...(delay === undefined ? [] : [`delay=${delay}ms`])].join(",");
  }
  return options;
}

function portOf(port: PortConfig, base: string): Port {
  return {
    name: port.name,
    driver: port.driver,
    interface: (port.socket && socketAt(port.socket, base)) ?? port.interface ?? port.name,
    queues: port.queues,
    mtu: port.mtu ?? 0,
    mac: port.mac ?? null,
    addresses: port.addresses,
    network: port.network,
    host: port.host ?? null,
    take: port.take,
    checksum: port.checksum,
    options: portOptions(port, base),
  };
}

function routesOf(config: Config): Route[] {
  return config.routes.map(({ to, via, port }) => ({
    to,
    via: via ?? null,
    port: port ?? (via ? portOfGateway(config.ports, via)[0]?.name : undefined) ?? "",
  }));
}

function settingsOf({ name, sections }: Draft, base: string): Settings {
  const { flows, nat, control, copy, ...rest } = sections;
  return {
    ...rest,
    name,
    flows: {
      ...flows,
      capacity6: flows.capacity6 ?? flows.capacity,
      seed: flows.seed ?? null,
      file: flows.file === undefined ? null : resolve(base, flows.file),
    },
    nat: { portLow: nat.ports.low, portHigh: nat.ports.high },
    copy: { ...copy, core: copy.core ?? null },
    controlSocket: control.socket === undefined ? null : resolve(base, control.socket),
  };
}

/** `base`: the directory where relative paths start. */
export function modelOf(config: Config, services: readonly Service[], base: string): Model {
  return {
    ports: config.ports.map((port) => portOf(port, base)),
    routes: routesOf(config),
    neighbours: config.neighbours,
    node: config.node,
    services,
    settings: settingsOf(config, base),
  };
}
