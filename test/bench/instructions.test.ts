// The guard that counts instructions: what it tells of a change. That it counts is its own step of
// scripts/test.sh.
import t from "tap";
import { Callgrind, callgrindMissing } from "../../bench/callgrind.js";
import { compare, nameOf, subjects, withTables } from "../../bench/instructions.js";

const expected = { compiler: "GCC 12.2.0", figures: { a: 100, b: 200 } };

t.test("three percent more fail, less ask for an update", async (t) => {
  const counted = (a: number, b: number, compiler = expected.compiler) => ({
    compiler,
    figures: { a, b },
  });
  t.match(compare(counted(102.9, 198), expected), {
    isOver: false,
    text: /\+2\.9 %\nb.* -1\.0 %$/,
  });
  t.match(compare(counted(103.2, 200), expected), {
    isOver: true,
    text: /a .*OVER\n(.*\n)*.*--update/,
  });
  t.match(compare(counted(90, 200), expected), {
    isOver: false,
    text: /a .*fell\n(.*\n)*.*--update/,
  });
  const other = compare(counted(150, 200, "GCC 13.1.0"), expected);
  t.match(other, { isOver: false, text: /a .*OVER\n(.*\n)*only told: .*13\.1\.0.*12\.2\.0/ });
  t.match(compare({ ...expected, figures: { c: 1 } }, expected), { isOver: true });
});

t.test("tables go between the README's marks", async (t) => {
  const readme = "a\n<!-- where -->\nold\n$1\n<!-- end of where -->\nb\n";
  const text = withTables(readme, "| $& | 1 |");
  t.equal(text, "a\n<!-- where -->\n| $& | 1 |\n<!-- end of where -->\nb\n");
  t.equal(withTables(text, "old\n$1"), readme);
  t.throws(() => withTables("no marks", ""), /no place/);
});

t.test("every subject has a name of its own", async (t) => {
  t.equal(new Set(subjects.map(nameOf)).size, subjects.length);
});

const skip = callgrindMissing() ?? false;

t.test("the corridor is counted, the same every time", { skip }, async (t) => {
  const callgrind = new Callgrind();
  t.teardown(() => callgrind.close());
  const known = { family: 4, flows: 300, what: "known", kernel: "scalar" } as const;
  const first = await callgrind.count(known, true);
  t.ok((first.all.Ir as number) > 100 && (first.all.Ir as number) < 5000, "per packet");
  t.ok((first.all.Bc as number) > 1 && first.compiler.length > 3);
  t.same((await callgrind.count(known, true)).all, first.all);
  const names = [...first.functions.keys()];
  t.ok(
    names.some((name) => name.startsWith("nodeplane::express(")),
    names.join(),
  );
});
