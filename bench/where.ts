// Where the corridor's work goes: instructions, branches and cache lines per packet, by function for
// the express lane, by stage for new flows. Markdown, as bench/README.md shows it.
import { Callgrind, type Counted, type Events, type Profile } from "./callgrind.js";

/** Column, and the events that it adds up (callgrind's manual, section 6.2). */
const columns: readonly (readonly [title: string, events: readonly string[]])[] = [
  ["instructions", ["Ir"]],
  ["branches", ["Bc", "Bi"]],
  ["mispredicted", ["Bcm", "Bim"]],
  ["lines not in L1", ["D1mr", "D1mw"]],
  ["lines not in L3", ["DLmr", "DLmw"]],
];

/** Functions below that share of the instructions are not shown. */
const shareMin = 0.02;

const subjects: readonly Counted[] = [
  { family: 4, flows: 1000, what: "known", kernel: "avx2" },
  { family: 4, flows: 1_000_000, what: "known", kernel: "avx2" },
  { family: 6, flows: 1000, what: "known", kernel: "avx2" },
  { family: 4, flows: 1_000_000, what: "stages", kernel: "avx2" },
  { family: 4, flows: 1_000_000, what: "new", kernel: "avx2" },
];

const row = (name: string, events: Events): string => {
  const cells = columns.map(([, add]) => {
    const sum = add.reduce((all, event) => all + (events[event] ?? 0), 0);
    return sum < 10 ? sum.toFixed(2) : sum.toFixed(0);
  });
  return `| ${[name, ...cells].join(" | ")} |`;
};

/** `void nodeplane::(anonymous namespace)::f<A>(B)` is `f`. */
const shortName = (name: string): string =>
  name
    .replace(/ \[clone .*\]$|'\d+$/g, "")
    .replace(/\(anonymous namespace\)::|nodeplane::/g, "")
    .replace(/<[^(]*>(?=\()/, "")
    .replace(/\(.*\)( const)?$/, "")
    .replace(/^.* /, "");

const stageOf = (name: string): string | undefined =>
  /^nodeplane::(\w+)::run\(nodeplane::Batch&/.exec(name)?.[1];

function parts(profile: Profile, what: Counted["what"]): (readonly [string, Events])[] {
  const instructions = profile.all.Ir as number;
  if (what === "known")
    return [...profile.functions]
      .filter(([, { self }]) => (self.Ir as number) >= shareMin * instructions)
      .map(([name, { self }]) => [shortName(name), self] as const);
  return [...profile.functions].flatMap(([name, { inclusive }]) => {
    const stage = stageOf(name);
    return stage ? [[stage.toLowerCase(), inclusive] as const] : [];
  });
}

function table(subject: Counted, profile: Profile): string {
  const { family, flows, what } = subject;
  const about = { known: "known flows", stages: "known flows, stages only", new: "new flows" };
  const own = [...parts(profile, what)].sort(([, a], [, b]) => (b.Ir as number) - (a.Ir as number));
  return [
    `| ${about[what]}, IPv${family}, ${flows.toLocaleString("en")} | ${columns.map(([title]) => title).join(" | ")} |`,
    `|---|${columns.map(() => "---:|").join("")}`,
    row("all", profile.all),
    ...own.map(([name, events]) => row(name, events)),
  ].join("\n");
}

export async function whereTables(): Promise<string> {
  const callgrind = new Callgrind();
  try {
    const tables: string[] = [];
    for (const subject of subjects)
      tables.push(table(subject, await callgrind.count(subject, true)));
    return tables.join("\n\n");
  } finally {
    callgrind.close();
  }
}
