// Mutates valid configurations and manifests: whatever the bytes, reading them gives a result, never
// an exception, and every problem is one line with a place.
//   node build/js/test/fuzz/config_fuzz.js [--seconds N] [--seed N]
import { parseArgs } from "node:util";
import { IdDirectory } from "../../src/compile/ids.js";
import { compile } from "../../src/compile/tables.js";
import type { Config } from "../../src/config/draft.js";
import { modelOf } from "../../src/config/model.js";
import { parseConfig } from "../../src/config/parse.js";
import { parseYaml } from "../../src/config/yaml.js";
import { formatProblem, type Problem } from "../../src/kit/error.js";
import { servicesOf } from "../../src/sources/manifests.js";
import { type Objects, readObjects } from "../../src/sources/objects.js";
import { configs, manifests, words } from "./config_corpus.js";

const { values } = parseArgs({
  options: {
    seconds: { type: "string", default: "5" },
    seed: { type: "string", default: String(Date.now() % 1e9) },
  },
});
const seconds = Number(values.seconds);

/** xorshift32 (Marsaglia 2003): the same seed, the same inputs. */
let state = Number(values.seed) >>> 0 || 1;
function random(below: number): number {
  state ^= state << 13;
  state ^= state >>> 17;
  state ^= state << 5;
  return (state >>> 0) % below;
}
const pick = <T>(list: readonly T[]): T => list[random(list.length)] as T;
const piece = (text: string): string => {
  const at = random(text.length + 1);
  return text.slice(at, at + 1 + random(40));
};

const mutations: ((text: string, at: number) => string)[] = [
  (text, at) => text.slice(0, at) + pick(words) + text.slice(at),
  (text, at) => text.slice(0, at) + pick(words) + text.slice(at + 1 + random(8)),
  (text, at) => text.slice(0, at) + text.slice(at + 1 + random(20)),
  (text, at) => text.slice(0, at) + piece(text) + text.slice(at),
  (text, at) =>
    text.slice(0, at) + String.fromCharCode(random(random(4) ? 128 : 65536)) + text.slice(at + 1),
  (text, at) => text.slice(0, at) + piece(pick([...configs, ...manifests])) + text.slice(at),
  (text) => text.replace(/\d+/, () => String(pick([0, -1, 65536, 4294967296, 1e308, 0.5]))),
  (text, at) => {
    const lines = text.split("\n");
    const line = lines.splice(at % lines.length, 1);
    lines.splice(random(lines.length + 1), 0, ...line);
    return lines.join("\n");
  },
];

function mutate(text: string): string {
  let out = text;
  for (let n = 1 + random(6); n > 0; n--)
    out = pick(mutations)(out, random(out.length + 1)).slice(0, 20_000);
  return out;
}

function checkProblems(problems: readonly Problem[]): void {
  for (const problem of problems) {
    const line = formatProblem(problem);
    if (!/^f:[1-9]\d*:[1-9]\d*: [^\n]+: [^\n]+$/.test(line))
      throw new Error(`not a problem's form: ${JSON.stringify(line)}`);
  }
}

/** A configuration that is accepted must also make a model and tables. */
function readConfig(text: string): "accepted" | "refused" {
  const read = parseConfig(text, "f");
  const problems = read.ok ? read.value.problems : read.error;
  checkProblems(problems);
  if (!read.ok || problems.length > 0) return "refused";
  compile(modelOf(read.value.draft as Config, [], "/"), new IdDirectory());
  return "accepted";
}

const base = parseConfig(configs[0] as string, "f");
if (!base.ok || base.value.problems.length > 0) throw new Error("the corpus is not valid");
const baseConfig = base.value.draft as Config;

function readManifest(text: string): "accepted" | "refused" {
  const texts = parseYaml(text, "f");
  const problems: Problem[] = [];
  const objects: Objects = { services: [], slices: [] };
  if (texts.ok) for (const document of texts.value) readObjects(document, objects, problems);
  else problems.push(...texts.error);
  const { services } = servicesOf(objects, baseConfig.node);
  checkProblems(problems);
  if (problems.length > 0) return "refused";
  compile(modelOf(baseConfig, services, "/"), new IdDirectory());
  return "accepted";
}

const counts = { accepted: 0, refused: 0 };
const end = performance.now() + seconds * 1000;
let slowest = 0;
for (const text of configs)
  if (readConfig(text) !== "accepted") throw new Error("the corpus is not valid");
for (const text of manifests)
  if (readManifest(text) !== "accepted") throw new Error("the corpus is not valid");
while (performance.now() < end) {
  const isConfig = random(2) === 0;
  const text = mutate(pick(isConfig ? configs : manifests));
  const since = performance.now();
  try {
    counts[isConfig ? readConfig(text) : readManifest(text)]++;
  } catch (caught) {
    console.error(
      `seed ${values.seed}: ${isConfig ? "configuration" : "manifest"} ${JSON.stringify(text)}`,
    );
    throw caught;
  }
  slowest = Math.max(slowest, performance.now() - since);
}
const total = counts.accepted + counts.refused;
console.log(
  `seed ${values.seed}: ${total} inputs, ${counts.accepted} accepted, slowest ${Math.round(slowest)} ms`,
);
if (counts.accepted === 0 || counts.refused === 0)
  throw new Error("the mutations are too mild or too wild");
