// The folder that `nodeplane bench --report` writes: index.html, report.json with every sample, and
// each chart as an SVG of its own. And reports read again, from such a file or from --json.
import { accessSync, constants, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { z } from "zod";
import { messageOf } from "../src/kit/error.js";
import { makeFolder } from "../src/kit/folder.js";
import { renderChart } from "./chart_svg.js";
import { type About, page, type Section } from "./html.js";
import { chartsOf } from "./plots.js";
import type { Report } from "./report.js";

const readmeFile = fileURLToPath(new URL("../../../bench/README.md", import.meta.url));

/** The rows of the README's table of questions: what is measured, and how. */
export function aboutAll(readme = readFileSync(readmeFile, "utf8")): Map<string, About> {
  const rows = readme.matchAll(/^\| `([\w-]+)` \| (.*?) \| (.*) \|$/gm);
  return new Map([...rows].map(([, name = "", what = "", how = ""]) => [name, { what, how }]));
}

// More than any run of ours has; what can be drawn in seconds.
export const reportsMax = 100;
export const casesMax = 4000;
const numberMax = 1e15;

const number = z.number().min(-numberMax).max(numberMax);
const parameters = z.record(z.string(), z.union([number, z.string()]));
const pair = z.tuple([number, number]);
const goal = z.union([z.strictObject({ atLeast: number }), z.strictObject({ atMost: number })]);
// A question may say more of a figure.
const figure = z.looseObject({
  subject: z.string(),
  parameters,
  unit: z.string(),
  min: number,
  median: number,
  max: number,
  samples: z.array(number).min(1),
  roundTripNs: z.array(pair).optional(),
  pairs: number.optional(),
  interval: pair.optional(),
  goal: goal.optional(),
});
const skipped = z.object({
  subject: z.string(),
  parameters: parameters.optional(),
  skipped: z.string(),
});
const report = z.object({
  // It names a place in the page.
  question: z.string().regex(/^[a-z][a-z0-9_-]*$/),
  machine: z.record(z.string(), z.union([number, z.string(), z.boolean()])),
  cases: z.array(z.union([figure, skipped])).max(casesMax),
  notes: z.array(z.string()).optional(),
  recommended: z.record(z.string(), parameters).optional(),
});

/** What --json or --report wrote; an Error that says what is wrong with it. */
export function readReports(file: string): Report[] {
  let json: unknown;
  try {
    json = JSON.parse(readFileSync(file, "utf8"));
  } catch (cause) {
    throw new Error(`${file}: ${messageOf(cause)}`);
  }
  const found = z
    .array(report)
    .min(1)
    .max(reportsMax)
    .safeParse(Array.isArray(json) ? json : [json]);
  if (found.success) return found.data as Report[];
  const [issue] = found.error.issues;
  const what = [issue?.path.join("."), issue?.message].filter(Boolean).join(": ");
  throw new Error(`${file} is no report of nodeplane bench: ${what}`);
}

/** Makes the folder when there is none; an Error when nothing can be written there. */
export function openFolder(folder: string): void {
  try {
    makeFolder(folder);
    accessSync(folder, constants.W_OK | constants.X_OK);
  } catch (cause) {
    throw new Error(`${folder} cannot be written: ${messageOf(cause)}`);
  }
}

/** May be called again with more; `made` says when, for people. */
export async function writeReports(
  folder: string,
  reports: readonly Report[],
  made: string,
): Promise<void> {
  const abouts = aboutAll();
  const sections: Section[] = [];
  for (const one of reports) {
    const charts = [];
    for (const chart of chartsOf(one)) {
      const svg = await renderChart(chart);
      writeFileSync(join(folder, `${chart.name}.svg`), svg);
      charts.push({ name: chart.name, title: chart.title, svg });
    }
    const about = abouts.get(one.question) ?? { what: "", how: "" };
    sections.push({ report: one, about, charts });
  }
  writeFileSync(join(folder, "report.json"), `${JSON.stringify(reports, null, 1)}\n`);
  writeFileSync(join(folder, "index.html"), page(sections, made));
}
