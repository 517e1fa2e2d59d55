// The library with a flow file: ids and connections go over to the next dataplane.
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { join } from "node:path";
import t, { type Test } from "tap";
import { Dataplane as Library } from "../../src/index.js";
import { Dataplane } from "../../src/runtime/dataplane.js";
import { loadObject } from "../../src/sources/file.js";
import { endpoints } from "../cli/kit.js";
import { one, service } from "../sources/world.js";

const config = (file: string) => ({
  ports: [{ name: "p", driver: "loop", interface: "survival", addresses: ["192.0.2.1/24"] }],
  frames: { count: 256 },
  flows: { capacity: 100, file },
});

function folder(t: Test): string {
  const dir = mkdtempSync("/dev/shm/nodeplane-survival-");
  t.teardown(() => rmSync(dir, { recursive: true, force: true }));
  return dir;
}

t.test("ids stay the same, generations go on", async (t) => {
  const path = join(folder(t), "np.flows");
  const open = async (...addresses: string[]): Promise<Dataplane> => {
    const loaded = await loadObject(config(path), [service(one), endpoints(...addresses)]);
    if (!loaded.ok) throw new Error("the model has mistakes");
    return Dataplane.open(loaded.value.model, {
      flowFile: { path, hugeDirectory: null, survive: "restart" },
    });
  };
  const first = await open("10.1.0.1", "10.1.0.2");
  t.equal(first.info().generation, 1);
  t.match(first.flowFile(), { found: false, news: "" });
  const label = first.directory.labelOf(0);
  t.throws(
    () =>
      Dataplane.open(first.model, { flowFile: { path, hugeDirectory: null, survive: "crash" } }),
    /in use by another process/,
  );
  t.ok(first.close(false), "as if it had crashed");

  const second = await open("10.1.0.3", "10.1.0.2");
  t.match(second.flowFile(), { found: true });
  t.equal(second.info().generation, 2, "above all that a flow can be stamped with");
  t.equal(second.directory.labelOf(0), label);
  t.ok(second.close());
  t.ok(existsSync(path) && existsSync(`${path}.ids`));
});

t.test("the library keeps connections in a file when its configuration names one", async (t) => {
  const path = join(folder(t), "np.flows");
  const one = await Library.open(config(path));
  t.match(one.flowFile()?.description, path);
  t.equal(one.stats().flowFile?.found, false);
  t.ok(one.close());
  t.notOk(existsSync(path), "a clean end");
  const { file: _, ...flows } = config(path).flows;
  const other = await Library.open({ ...config(path), flows });
  t.equal(other.flowFile(), null);
  t.ok(other.close());
});
