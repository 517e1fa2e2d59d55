// docs/flow_table.md is written by hand: its offsets are those that flow_layout_test.cc asserts.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import t from "tap";
import { root } from "../kit/root.js";

const doc = readFileSync(join(root, "docs/flow_table.md"), "utf8");
const source = readFileSync(join(root, "test/native/table/flow_layout_test.cc"), "utf8");

const ascending = (all: readonly string[]): number[] => all.map(Number).sort((a, b) => a - b);

const asserted = (struct: string): number[] =>
  ascending(
    [...source.matchAll(/offsetof\((\w+), [\w[\]]+\) == (\d+)/g)].flatMap(([, of, at = ""]) =>
      of === struct ? [at] : [],
    ),
  );

/** Offsets of a table's column, the one with this head; not those of bytes that nobody uses. */
function told(struct: string): number[] {
  const table = doc.split("\n\n").find((block) => block.startsWith("| ") && block.includes(struct));
  const [head = [], , ...rows] = (table ?? "").split("\n").map((row) => row.split(" | "));
  const column = head.findIndex((cell) => cell.replaceAll(/[| ]/g, "") === struct);
  return ascending(
    rows
      .filter((cells) => !cells.some((cell) => cell.includes("unused")))
      .flatMap((cells) => cells[column]?.match(/\d+/g) ?? []),
  );
}

for (const struct of ["SideV4", "SideV6", "FlowCold", "FlowBucket"])
  t.test(struct, async (t) => {
    t.ok(told(struct).length >= 3);
    t.same(told(struct), asserted(struct));
  });
