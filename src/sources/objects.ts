// Documents -> Service and EndpointSlice objects with their places; lists are opened, other kinds passed over.

import { tell } from "../config/parse.js";
import { kindOf, type Path, type Text } from "../config/yaml.js";
import type { Problem } from "../kit/error.js";
import { type ServiceObject, type SliceObject, serviceSchema, sliceSchema } from "./schema.js";

export interface Found<T> {
  readonly object: T;
  /** Reports a mistake at a path inside the object. */
  readonly say: (path: Path, message: string) => void;
}
export interface Objects {
  readonly services: Found<ServiceObject>[];
  readonly slices: Found<SliceObject>[];
}

const apiOf: Record<string, string> = { Service: "v1", EndpointSlice: "discovery.k8s.io/v1" };
/** Lists inside lists end here: the API knows none. */
const listDepthMax = 4;

type Map = Record<string, unknown>;
const isMap = (value: unknown): value is Map =>
  typeof value === "object" && value !== null && !Array.isArray(value);

export function readObjects(text: Text, into: Objects, problems: Problem[]): void {
  const say = (path: Path, message: string): void => {
    const place = text.place(path, "value");
    problems.push({
      code: "manifest_invalid",
      ...place,
      path: path.join(".") || "object",
      message,
    });
  };
  readOne(text.value, [], null, 0, into, say);
}

function readOne(
  value: unknown,
  at: Path,
  kindOfList: string | null,
  depth: number,
  into: Objects,
  say: (path: Path, message: string) => void,
): void {
  if (!isMap(value)) {
    say(at, `must be a Kubernetes object, not ${kindOf(value)}`);
    return;
  }
  const kind = value.kind ?? kindOfList;
  if (typeof kind !== "string" || kind === "") {
    say([...at, "kind"], "is required");
    return;
  }
  const isOurList = kind === "List" || kind === "ServiceList" || kind === "EndpointSliceList";
  if (isOurList) {
    readList(value, kind, at, depth, into, say);
    return;
  }
  const api = value.apiVersion ?? apiOf[kind];
  // Somebody else's Service (Knative has one), or a kind that does not concern us.
  if (!Object.hasOwn(apiOf, kind) || api !== apiOf[kind]) return;
  const inside = (path: Path, message: string): void => say([...at, ...path], message);
  const schema = kind === "Service" ? serviceSchema : sliceSchema;
  const read = schema.safeParse(value);
  if (!read.success) {
    tell(read.error.issues, [], value, inside);
    return;
  }
  if (kind === "Service") into.services.push({ object: read.data as ServiceObject, say: inside });
  else into.slices.push({ object: read.data as SliceObject, say: inside });
}

function readList(
  list: Map,
  kind: string,
  at: Path,
  depth: number,
  into: Objects,
  say: (path: Path, message: string) => void,
): void {
  const items = list.items ?? [];
  if (!Array.isArray(items)) {
    say([...at, "items"], `must be a list, not ${kindOf(items)}`);
    return;
  }
  if (depth === listDepthMax) {
    say(at, "is a list too deep inside lists");
    return;
  }
  const inner = kind === "List" ? null : kind.slice(0, -"List".length);
  items.forEach((item, i) => {
    readOne(item, [...at, "items", i], inner, depth + 1, into, say);
  });
}
