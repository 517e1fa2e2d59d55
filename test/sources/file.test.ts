// Configuration files with the manifests they name.
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import t from "tap";
import { formatProblem } from "../../src/kit/error.js";
import { loadFile, loadObject } from "../../src/sources/file.js";
import { watchFiles } from "../../src/sources/watch.js";
import { one, service, slice } from "./world.js";

const lines = async (file: string): Promise<string[]> => {
  const loaded = await loadFile(file);
  return loaded.ok ? [] : loaded.error.map(formatProblem);
};
const json = (...objects: unknown[]): string =>
  JSON.stringify({ kind: "List", items: objects }, null, 1);

t.test("files and directories, YAML and JSON, beside the configuration", async (t) => {
  const dir = t.testdir({
    "np.yaml": "ports: [{ name: a, driver: loop }]\nmanifests: [svc, more.json, svc/b.yaml]\n",
    "more.json": json(slice([{ addresses: ["10.1.0.1"] }])),
    svc: {
      "b.yaml":
        "apiVersion: v1\nkind: Service\nmetadata: { name: web }\nspec: { clusterIP: 10.96.0.10, ports: [{ port: 80 }] }\n---\n# nothing here\n---\nkind: Secret\n",
      "notes.txt": "kind: {{{",
      ".hidden.yaml": "kind: {{{",
      deeper: { "c.yaml": "kind: {{{" },
    },
  });
  const loaded = await loadFile(join(dir, "np.yaml"));
  t.ok(loaded.ok, "a file that is named twice is read once");
  if (!loaded.ok) return;
  t.same(
    loaded.value.model.services.map((s) => [s.name, s.endpoints.map((e) => e.address)]),
    [["web", ["10.1.0.1"]]],
  );
  t.same(
    loaded.value.paths,
    ["np.yaml", "svc", "more.json", "svc/b.yaml"].map((p) => join(dir, p)),
  );
});

t.test("mistakes stand where they are, the configuration's first", async (t) => {
  const dir = t.testdir({
    "np.yaml": "ports: [{ name: a, queue: 1 }]\nmanifests: [a.yaml, b.json, missing.yaml]\n",
    "a.yaml":
      "apiVersion: v1\nkind: Service\nmetadata: { name: web }\nspec:\n  clusterIP: nowhere\n  ports:\n    - port: 0\n",
    "b.json": json(service({ ...one, ports: [{ port: "x" }] }, { name: "b" })),
  });
  t.same(await lines(join(dir, "np.yaml")), [
    `${dir}/np.yaml:1:20: ports.0.queue: unknown key`,
    `${dir}/np.yaml:2:29: manifests.2: missing.yaml: no such file or directory`,
    `${dir}/a.yaml:5:14: spec.clusterIP: "nowhere" is not an IP address`,
    `${dir}/a.yaml:7:13: spec.ports.0.port: must be a port from 1 to 65535, not number 0`,
    `${dir}/b.json:14:15: items.0.spec.ports.0.port: must be a port from 1 to 65535, not text "x"`,
  ]);
});

t.test("files that cannot be read", async (t) => {
  const dir = t.testdir({
    "np.yaml": "ports: []\nmanifests: [bad.json, /dev/null]\n",
    "bad.json": '{"kind": ',
  });
  t.same(await lines(join(dir, "none.yaml")), [
    `${dir}/none.yaml:1:1: file: no such file or directory`,
  ]);
  t.same(await lines(dir), [`${dir}:1:1: file: is a directory`]);
  const [first, second] = await lines(join(dir, "np.yaml"));
  t.equal(first, `${dir}/np.yaml:2:23: manifests.1: /dev/null: is neither a file nor a directory`);
  t.match(second, /bad\.json:1:\d+: yaml: /);
});

t.test("values in place of files", async (t) => {
  const good = await loadObject({ ports: [] }, [
    service(one),
    slice([{ addresses: ["10.1.0.1"] }]),
  ]);
  t.ok(good.ok && good.value.model.services.length === 1);
  const bad = await loadObject({ ports: [], x: 1 }, [service({})]);
  t.same(bad.ok ? [] : bad.error.map(formatProblem), ["config:1:1: x: unknown key"]);
});

t.test("watching sees writes, replacements and new files, and settles", async (t) => {
  const dir = t.testdir({ "np.yaml": "1", "other.txt": "1", svc: { "a.yaml": "1" } });
  let seen = 0;
  const watch = watchFiles(
    [join(dir, "np.yaml"), join(dir, "svc")],
    () => seen++,
    (why) => t.fail(why.message),
  );
  /** So many calls at least, however late; then a while in which more could come. */
  const after = async (act: () => void, least = 0): Promise<number> => {
    const before = seen;
    act();
    for (const end = Date.now() + 60_000; seen - before < least && Date.now() < end; )
      await sleep(20);
    await sleep(500);
    return seen - before;
  };
  t.equal(await after(() => writeFileSync(join(dir, "other.txt"), "2")), 0, "not ours");
  t.equal(
    await after(() => {
      for (const n of [1, 2, 3]) writeFileSync(join(dir, "np.yaml"), String(n));
    }, 1),
    1,
    "three writes, one call",
  );
  t.equal(await after(() => writeFileSync(join(dir, "svc/b.yaml"), "1"), 1), 1, "a new file");
  mkdirSync(join(dir, "next"));
  watch.move([join(dir, "next")]);
  t.equal(await after(() => writeFileSync(join(dir, "svc/b.yaml"), "2")), 0, "moved away");
  watch.close();
});
