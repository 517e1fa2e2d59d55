import type { Neighbour, Node, Port, Route } from "./port.js";
import type { Service } from "./service.js";
import type { Settings } from "./settings.js";

/**
 * What is wished for, whole: every source produces it, compile turns it into tables. Plain and
 * immutable; references between its parts have been checked by whoever made it.
 */
export interface Model {
  /** Order is the port id. */
  readonly ports: readonly Port[];
  readonly routes: readonly Route[];
  readonly neighbours: readonly Neighbour[];
  readonly node: Node;
  readonly services: readonly Service[];
  readonly settings: Settings;
}

/** A model and where it came from. */
export interface Loaded {
  readonly model: Model;
  /** Files and directories that it came from, absolute: to be watched. */
  readonly paths: readonly string[];
  /** One-line warnings: wishes that this version does not serve. */
  readonly notices: readonly string[];
}

export type { DriverName, Neighbour, Node, Port, Route } from "./port.js";
export type { Endpoint, Protocol, Service, Verdict } from "./service.js";
export type { CopySettings, FlowTimers, Settings, WorkerMode, Zone } from "./settings.js";
