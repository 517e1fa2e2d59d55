import { afXdp } from "./af_xdp.js";
import { churn } from "./churn.js";
import { control } from "./control.js";
import { copy } from "./copy.js";
import { flows } from "./flows.js";
import { gap } from "./gap.js";
import { kernels } from "./kernels.js";
import { memif } from "./memif.js";
import { newFlows } from "./new_flows.js";
import { path } from "./path.js";
import type { Question } from "./questions.js";
import { restart } from "./restart.js";
import { services } from "./services.js";
import { veth } from "./veth.js";
import { vethBulk } from "./veth_bulk.js";
import { vethConnections } from "./veth_connections.js";
import { workers } from "./workers.js";

/** In the order in which `nodeplane bench` without arguments asks them. */
export const questions: readonly Question[] = [
  path,
  flows,
  newFlows,
  churn,
  services,
  workers,
  memif,
  copy,
  afXdp,
  veth,
  vethConnections,
  vethBulk,
  control,
  gap,
  restart,
  kernels,
];
