// The library's face.
//
//     const model = await readModel({ ports: [...] }, [service, endpointSlice]);
//     const dataplane = Dataplane.open(model);
//     dataplane.start();
//     dataplane.apply(await readModel({ ports: [...] }, [service, otherSlice]));
//     readCounters(dataplane); allFlows(dataplane);
//     dataplane.close();
import { InvalidInput, type Problem } from "./kit/error.js";
import type { Result } from "./kit/result.js";
import type { Loaded, Model } from "./model/model.js";
import { loadFile, loadObject } from "./sources/file.js";

function modelOrThrow(loaded: Result<Loaded, Problem[]>): Model {
  if (!loaded.ok) throw new InvalidInput(loaded.error);
  return loaded.value.model;
}

/**
 * The model of a configuration given as a value (the keys of a configuration file), with Kubernetes
 * Service and EndpointSlice objects given as values. Relative paths start at `base`, by default the
 * working directory. Throws InvalidInput with every mistake.
 */
export async function readModel(
  config: unknown,
  objects: readonly unknown[] = [],
  base?: string,
): Promise<Model> {
  return modelOrThrow(await loadObject(config, objects, base));
}

/** The model of a configuration file and the manifests it names. Throws InvalidInput with every mistake. */
export async function readModelFile(file: string): Promise<Model> {
  return modelOrThrow(await loadFile(file));
}

export { type Change, type Plan, plan, renderPlan } from "./compile/plan.js";
export { formatProblem, InvalidInput, NodeplaneError, type Problem } from "./kit/error.js";
export type {
  Endpoint,
  Loaded,
  Model,
  Neighbour,
  Node,
  Port,
  Route,
  Service,
  Settings,
} from "./model/model.js";
export { type Counters, type PortCounters, readCounters } from "./observe/counters.js";
export { allFlows, type Flow, type Tuple } from "./observe/flows.js";
export { readStats, type Stats } from "./observe/stats.js";
export { Dataplane, type OpenedPort, type OpenOptions } from "./runtime/dataplane.js";
export { loadFile, loadObject } from "./sources/file.js";
