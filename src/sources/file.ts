// A configuration file and the manifests it names -> a Model, or every mistake in all of them.
import { type Dirent, promises as fs } from "node:fs";
import { dirname, extname, join, resolve } from "node:path";
import { baseOf } from "../config/base.js";
import type { Config } from "../config/draft.js";
import { modelOf } from "../config/model.js";
import { parseConfigText, type Reading, readConfig, readConfigObject } from "../config/parse.js";
import { parseYaml, placeless, type Text } from "../config/yaml.js";
import { endpointMax, serviceMax } from "../gen/layout.js";
import { messageOf, type Problem, sortProblems } from "../kit/error.js";
import { err, ok, type Result } from "../kit/result.js";
import type { Loaded } from "../model/model.js";
import type { Service } from "../model/service.js";
import { servicesOf } from "./manifests.js";
import { type Objects, readObjects } from "./objects.js";

/** Of one manifest file, bytes. */
export const manifestBytesMax = 512 << 20;
const extensions = [".yaml", ".yml", ".json"];

const unreadable = (file: string, message: string): Problem => ({
  code: "file_unreadable",
  file,
  line: 1,
  column: 1,
  path: "file",
  message,
});

/** JSON is YAML, but JSON.parse is a hundred times faster; places are looked up only for mistakes. */
function parseManifest(text: string, file: string): Result<Text[], Problem[]> {
  if (/^\s*[[{]/.test(text)) {
    try {
      const value: unknown = JSON.parse(text);
      let slow: Text | undefined;
      const place: Text["place"] = (path, of) => {
        const parsed = slow ? null : parseYaml(text, file);
        if (parsed?.ok) slow = parsed.value[0];
        return slow?.place(path, of) ?? { file, line: 1, column: 1 };
      };
      return ok([{ value, place }]);
    } catch {
      // Not JSON after all: the YAML reader has the last word and the place.
    }
  }
  return parseYaml(text, file);
}

async function listManifests(path: string, shown: string): Promise<string[]> {
  const info = await fs.stat(path);
  if (info.isFile()) return [shown];
  if (!info.isDirectory()) throw new Error("is neither a file nor a directory");
  const entries: Dirent[] = await fs.readdir(path, { withFileTypes: true });
  return entries
    .filter(
      (e) => !e.name.startsWith(".") && !e.isDirectory() && extensions.includes(extname(e.name)),
    )
    .map((e) => join(shown, e.name))
    .sort();
}

async function readManifest(file: string, objects: Objects, problems: Problem[]): Promise<void> {
  try {
    const { size } = await fs.stat(file);
    if (size > manifestBytesMax)
      throw new Error(`is longer than the limit of ${manifestBytesMax} bytes`);
    const texts = parseManifest(await fs.readFile(file, "utf8"), file);
    if (!texts.ok) problems.push(...texts.error);
    else for (const text of texts.value) readObjects(text, objects, problems);
  } catch (caught) {
    problems.push(unreadable(file, messageOf(caught)));
  }
}

function checkLimits(services: readonly Service[], reading: Reading): void {
  // Each virtual address has its echo beside its ports.
  const rows = services.length + new Set(services.map((s) => s.address)).size;
  const endpoints = services.reduce((n, s) => n + s.endpoints.length, 0);
  const limit = (what: string, count: number, max: number): void => {
    if (count > max)
      reading.say(["manifests"], `${what}: ${count} exceeds the limit of ${max}`, "limit_exceeded");
  };
  limit("services", rows, serviceMax);
  limit("endpoints", endpoints, endpointMax);
}

/** `shownBase`: how the configuration's directory is written in messages. */
async function complete(
  reading: Reading,
  base: string,
  shownBase: string,
  extra: readonly unknown[],
): Promise<Result<Loaded, Problem[]>> {
  const objects: Objects = { services: [], slices: [] };
  const problems: Problem[] = [];
  const paths: string[] = [];
  const seen = new Set<string>();
  for (const [i, entry] of reading.draft.manifests.entries()) {
    const path = resolve(base, entry);
    const shown = entry.startsWith("/") ? entry : join(shownBase, entry);
    paths.push(path);
    try {
      for (const file of await listManifests(path, shown)) {
        if (seen.has(resolve(file))) continue;
        seen.add(resolve(file));
        await readManifest(file, objects, problems);
      }
    } catch (caught) {
      reading.say(["manifests", i], `${entry}: ${messageOf(caught)}`, "file_unreadable");
    }
  }
  for (const object of extra) readObjects(placeless(object, "object"), objects, problems);
  const { services, notices } = servicesOf(objects, reading.draft.node);
  checkLimits(services, reading);
  const all = [...sortProblems(reading.problems), ...sortProblems(problems)];
  if (all.length > 0) return err(all);
  return ok({ model: modelOf(reading.draft as Config, services, base), paths, notices });
}

/** The configuration in `file` and its manifests. Never throws. */
export async function loadFile(file: string): Promise<Result<Loaded, Problem[]>> {
  let text: string;
  try {
    text = await fs.readFile(file, "utf8");
  } catch (caught) {
    return err([unreadable(file, messageOf(caught))]);
  }
  const document = parseConfigText(text, file);
  if (!document.ok) return err(sortProblems(document.error));
  const base = baseOf(file);
  const loaded = await complete(readConfig(document.value, base), base, dirname(file), []);
  return loaded.ok
    ? ok({ ...loaded.value, paths: [resolve(file), ...loaded.value.paths] })
    : loaded;
}

/**
 * A configuration given as a value, with Kubernetes objects given as values beside the files that
 * `manifests` names. `base`: where relative paths start.
 */
export function loadObject(
  config: unknown,
  objects: readonly unknown[] = [],
  base: string = process.cwd(),
): Promise<Result<Loaded, Problem[]>> {
  return complete(readConfigObject(config, base), base, base, objects);
}
