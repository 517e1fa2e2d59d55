// The page of `bench --report`: one HTML document without scripts or anything from elsewhere. Whatever
// it says comes through `h`, which escapes.
import { judged, type Measured, type Parameters, type Report, remarks, round } from "./report.js";
import { css } from "./style.js";

/** HTML that is written; all else is text. */
class Html {
  constructor(readonly text: string) {}
}

type Inside = string | number | Html | readonly Html[];

const escapes: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
  "'": "&#39;",
};
const escapeText = (text: string): string => text.replace(/[&<>"']/g, (c) => escapes[c] as string);

const insert = (value: Inside): string =>
  value instanceof Html
    ? value.text
    : Array.isArray(value)
      ? value.map(({ text }: Html) => text).join("\n")
      : escapeText(String(value));

/** A template of HTML: what is put in is text, unless it is Html. */
export const h = (parts: TemplateStringsArray, ...values: readonly Inside[]): Html =>
  new Html(
    parts.map((part, i) => part + (i < values.length ? insert(values[i] as Inside) : "")).join(""),
  );

export interface Drawn {
  /** Of its file, without an ending. */
  readonly name: string;
  readonly title: string;
  readonly svg: string;
}

/** What bench/README.md says of a question. */
export interface About {
  readonly what: string;
  readonly how: string;
}

export interface Section {
  readonly report: Report;
  readonly about: About;
  readonly charts: readonly Drawn[];
}

const isFigure = (c: Report["cases"][number]): c is Measured => !("skipped" in c);
const figuresOf = (report: Report): Measured[] => report.cases.filter(isFigure);

const parametersText = (parameters: Parameters | undefined): string =>
  Object.entries(parameters ?? {})
    .map(([key, value]) => `${key}=${value}`)
    .join(" ");

/** Of the README's markdown: `code` and *emphasis*. */
const marked = (text: string): Html =>
  new Html(
    escapeText(text)
      .replace(/`([^`]+)`/g, "<code>$1</code>")
      .replace(/(^|\s)\*([^*]+)\*/g, "$1<em>$2</em>"),
  );

const facts = (report: Report): Html =>
  h`<dl class="facts">${Object.entries(report.machine).map(
    ([name, value]) => h`<div><dt>${name}</dt><dd>${String(value)}</dd></div>`,
  )}</dl>`;

function verdictMark(c: Measured): Html {
  const [, verdict = "", rest = ""] = /: (met|open|MISSED)(.*)$/.exec(judged(c)) ?? [];
  return h`<span class="verdict ${verdict.toLowerCase()}">${verdict}</span>${rest}`;
}

const goalWanted = (c: Measured): string => /^goal (.*): /.exec(judged(c))?.[1] ?? "";

function goals(sections: readonly Section[]): Html {
  const rows = sections.flatMap(({ report }) =>
    figuresOf(report)
      .filter((c) => c.goal)
      .map(
        (
          c,
        ) => h`<tr><td><a href="#${report.question}">${report.question}</a></td><td>${c.subject}</td>
<td class="small">${parametersText(c.parameters)}</td><td class="goal">${goalWanted(c)}</td><td class="number">${round(c.median)}</td>
<td class="number small">${c.interval?.map(round).join(" to ") ?? ""}</td><td>${c.unit}</td><td class="goal">${verdictMark(c)}</td></tr>`,
      ),
  );
  if (rows.length === 0) return h``;
  return h`<section id="goals"><h2>Goals</h2>
<p>Met or missed when the whole 95 % interval of the median lies on one side and there are samples enough; open otherwise.</p>
<div class="wide"><table><thead><tr><th>question</th><th>subject</th><th>parameters</th><th>goal</th><th class="number">median</th><th class="number">95 %</th><th>unit</th><th></th></tr></thead>
<tbody>${rows}</tbody></table></div></section>`;
}

function table(report: Report): Html {
  const rows = report.cases.map((c) =>
    isFigure(c)
      ? h`<tr><td>${c.subject}</td><td class="small">${parametersText(c.parameters)}</td><td class="number">${round(c.min)}</td>
<td class="number median">${round(c.median)}</td><td class="number">${round(c.max)}</td><td class="small">${c.unit}${remarks(c)}</td></tr>`
      : h`<tr class="skipped"><td>${c.subject}</td><td class="small">${parametersText(c.parameters)}</td><td colspan="4">skipped: ${c.skipped}</td></tr>`,
  );
  return h`<details${report.cases.length <= 16 ? new Html(" open") : ""}><summary>All figures (${report.cases.length})</summary>
<div class="wide"><table><thead><tr><th>subject</th><th>parameters</th><th class="number">min</th><th class="number">median</th><th class="number">max</th><th>unit</th></tr></thead>
<tbody>${rows}</tbody></table></div></details>`;
}

function recommended(report: Report): Html {
  const lines = Object.entries(report.recommended ?? {}).map(
    ([name, values]) =>
      h`<pre>${name}: { ${Object.entries(values)
        .map(([key, value]) => `${key}: ${value}`)
        .join(", ")} }</pre>`,
  );
  return lines.length > 0 ? h`<p>Recommended for this machine:</p>${lines}` : h``;
}

const section = ({ report, about, charts }: Section): Html =>
  h`<section id="${report.question}"><h2>${report.question}</h2>
<p class="what">${marked(about.what)}</p><p class="how">${marked(about.how)}</p>
${charts.map(
  (chart) => h`<figure>${new Html(chart.svg)}
<figcaption><a href="${chart.name}.svg">${chart.name}.svg</a></figcaption></figure>`,
)}
${recommended(report)}
${(report.notes ?? []).map((note) => h`<p class="note">${note}</p>`)}
${table(report)}
<details><summary>The machine when this was measured</summary>${facts(report)}</details></section>`;

/** `made`: when, for people. */
export function page(sections: readonly Section[], made: string): string {
  const first = sections[0];
  return h`<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark"><title>nodeplane bench</title><style>${new Html(css)}</style></head>
<body><header><h1>nodeplane bench</h1><p>${made}. <a href="report.json">Every sample as JSON</a>.</p>
${first ? facts(first.report) : h``}
<nav>${sections.map(({ report }) => h`<a href="#${report.question}">${report.question}</a>`)}</nav></header>
<main>${goals(sections)}
${sections.map(section)}</main>
<footer><p>Points are medians, upright lines the middle half of the samples. Compare figures of one run only:
absolute ones of a shared machine mean little.</p></footer></body></html>
`.text;
}
