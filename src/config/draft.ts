// A configuration on its way: what the readers have of it, and how they tell a mistake.
import type { z } from "zod";
import type { ErrorCode } from "../gen/errors.js";
import type { NeighbourConfig, nodeSchema, PortConfig, RouteConfig, Sections } from "./schema.js";
import type { Path } from "./yaml.js";

/** Tells a mistake. */
export type Say = (path: Path, message: string, code?: ErrorCode) => void;

/** What was read so far: null stands for a list item with mistakes. */
export interface Draft {
  name: string;
  ports: (PortConfig | null)[];
  routes: (RouteConfig | null)[];
  neighbours: (NeighbourConfig | null)[];
  node: z.output<typeof nodeSchema>;
  manifests: string[];
  sections: Sections;
}

export interface Config extends Draft {
  ports: PortConfig[];
  routes: RouteConfig[];
  neighbours: NeighbourConfig[];
}
