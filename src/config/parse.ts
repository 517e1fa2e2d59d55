// Text -> Config, or every mistake in it. Sections and list items are read one by one, so that one
// mistake hides no other.
import type { z } from "zod";
import type { ErrorCode } from "../gen/errors.js";
import type { Problem } from "../kit/error.js";
import { err, ok, type Result } from "../kit/result.js";
import { baseOf } from "./base.js";
import type { Draft, Say } from "./draft.js";
import { checkReferences } from "./references.js";
import {
  manifestsSchema,
  nameSchema,
  neighbourSchema,
  nodeSchema,
  portSchema,
  portsMax,
  rootKeys,
  routeSchema,
  type SectionName,
  type Sections,
  sectionNames,
  sections,
} from "./schema.js";
import { kindOf, type Path, parseYaml, placeless, type Text } from "./yaml.js";

/** A larger configuration is a mistake: services come from manifests. Bytes. */
export const configBytesMax = 4 << 20;

/** A configuration as far as it could be read; it may be used as Config when problems is empty. */
export interface Reading {
  readonly draft: Draft;
  readonly problems: Problem[];
  /** A further mistake, found by a later reader. */
  readonly say: Say;
}

const unknownKey = "unknown key";

const isMap = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** The issues of zod, in our words, one call per mistake. */
export function tell(
  issues: readonly z.core.$ZodIssue[],
  at: Path,
  value: unknown,
  say: Say,
): void {
  for (const issue of issues) {
    const path = [...at, ...(issue.path as (string | number)[])];
    if (issue.code === "unrecognized_keys") {
      for (const key of issue.keys) say([...path, key], unknownKey);
    } else if (issue.code === "invalid_type") {
      const found = (issue.path as (string | number)[]).reduce<unknown>(
        (v, key) =>
          typeof v === "object" && v !== null ? (v as Record<string, unknown>)[key] : undefined,
        value,
      );
      const wanted = issue.expected === "array" ? "a list" : "a map";
      say(path, found === undefined ? "is required" : `must be ${wanted}, not ${kindOf(found)}`);
    } else if (issue.code === "invalid_key") {
      for (const { message } of issue.issues) say(path, message);
    } else say(path, issue.message);
  }
}

function read<S extends z.ZodType>(
  schema: S,
  value: unknown,
  at: Path,
  say: Say,
): z.output<S> | null {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  tell(result.error.issues, at, value, say);
  return null;
}

function readList<S extends z.ZodType>(
  schema: S,
  value: unknown,
  at: Path,
  say: Say,
): (z.output<S> | null)[] {
  if (value === undefined || value === null) return [];
  if (Array.isArray(value)) return value.map((item, i) => read(schema, item, [...at, i], say));
  say(at, `must be a list, not ${kindOf(value)}`);
  return [];
}

function readSections(root: Record<string, unknown>, say: Say): Sections {
  const out: Partial<Record<SectionName, unknown>> = {};
  for (const key of sectionNames) {
    // A section whose keys are all commented out reads as null: everything is default.
    out[key] = read(sections[key], root[key] ?? {}, [key], say) ?? sections[key].parse({});
  }
  return out as Sections;
}

/** Reads a value that stands in `text`; relative paths start at `base`. Never throws. */
export function readConfig(text: Text, base: string): Reading {
  const problems: Problem[] = [];
  const say: Say = (path, message, code = "config_invalid") => {
    const of = message === unknownKey ? "key" : "value";
    problems.push({ code, ...text.place(path, of), path: path.join(".") || "config", message });
  };
  if (!isMap(text.value)) say([], `must be a map, not ${kindOf(text.value)}`);
  const root = isMap(text.value) ? text.value : {};
  for (const key of Object.keys(root)) if (!rootKeys.includes(key)) say([key], unknownKey);
  if (isMap(text.value) && root.ports === undefined) say(["ports"], "is required");
  const draft: Draft = {
    name:
      root.name === undefined
        ? "default"
        : (read(nameSchema, root.name, ["name"], say) ?? "default"),
    ports: readList(portSchema, root.ports, ["ports"], say),
    routes: readList(routeSchema, root.routes, ["routes"], say),
    neighbours: readList(neighbourSchema, root.neighbours, ["neighbours"], say),
    node: read(nodeSchema, root.node ?? {}, ["node"], say) ?? nodeSchema.parse({}),
    manifests: read(manifestsSchema, root.manifests ?? [], ["manifests"], say) ?? [],
    sections: readSections(root, say),
  };
  if (draft.ports.length > portsMax) {
    say(["ports"], `${draft.ports.length} ports exceed the limit of ${portsMax}`, "limit_exceeded");
  }
  checkReferences(draft, root, base, say);
  return { draft, problems, say };
}

/** The one document of a configuration file. */
export function parseConfigText(text: string, file: string): Result<Text, Problem[]> {
  const problem = (code: ErrorCode, path: string, message: string): Result<Text, Problem[]> =>
    err([{ code, file, line: 1, column: 1, path, message }]);
  if (Buffer.byteLength(text) > configBytesMax) {
    return problem("limit_exceeded", "file", `is longer than the limit of ${configBytesMax} bytes`);
  }
  const documents = parseYaml(text, file);
  if (!documents.ok) return documents;
  const [first, second] = documents.value;
  if (!first) return problem("config_invalid", "config", "is empty");
  if (second) {
    const place = second.place([]);
    return err([
      { code: "config_syntax", ...place, path: "yaml", message: "only one document is expected" },
    ]);
  }
  return ok(first);
}

/** Text -> Reading; a text that is no YAML at all gives its syntax errors. */
export function parseConfig(text: string, file: string): Result<Reading, Problem[]> {
  const document = parseConfigText(text, file);
  return document.ok ? ok(readConfig(document.value, baseOf(file))) : document;
}

/** A configuration given as a value, by a program. */
export const readConfigObject = (value: unknown, base: string): Reading =>
  readConfig(placeless(value, "config"), base);
