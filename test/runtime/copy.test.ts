// Settings and the machine's work queues -> what the native side is told.
import { join } from "node:path";
import t from "tap";
import { readModel } from "../../src/index.js";
import { chooseCopy } from "../../src/runtime/copy.js";
import { writeWorld } from "../kit/dsa.js";

const memif = { ports: [{ name: "p", driver: "memif", socket: "@x" }] };

t.test("what is wished, in native units", async (t) => {
  const copy = {
    engine: "model",
    core: 1,
    bytesMin: 512,
    batchMin: 8,
    model: { latencyUs: 2.5, size: 16, shared: true, poison: true, faultPerMillion: 7 },
  };
  t.same(chooseCopy(await readModel({ ...memif, copy }), false), {
    native: {
      engine: "model",
      core: 1,
      bytesMin: 512,
      batchMin: 8,
      queues: [],
      model: {
        latencyNs: 2500,
        megabytesPerSecond: 30_000,
        size: 16,
        shared: true,
        reorder: false,
        poison: true,
        faultPerMillion: 7,
        errorPerMillion: 0,
        seed: 1,
      },
    },
    why: "",
  });
});

t.test("work queues are looked for only where they would be used", async (t) => {
  const dir = t.testdir();
  writeWorld(join(dir, "sys"), join(dir, "dev"));
  const { env } = process;
  t.teardown(() => {
    process.env = env;
  });
  process.env = {
    ...env,
    NODEPLANE_DSA_SYSFS: join(dir, "sys"),
    NODEPLANE_DSA_DEV: join(dir, "dev"),
  };
  const why = async (config: object, offline = false): Promise<string> =>
    chooseCopy(await readModel(config), offline).why;
  const dsa = { engine: "dsa", queues: ["wq0.2", "wq7.0"] };
  t.match(await why({ ports: [], copy: dsa }), /^wq0\.2: type kernel.*, wq7\.0: there is no such/);
  t.equal(await why({ ports: [], copy: dsa }, true), "", "a replay copies by itself");
  t.equal(chooseCopy(await readModel({ ports: [], copy: dsa }), true).native.engine, "cpu");
  t.equal(await why({ ports: [] }), "", "auto, nothing to copy");
  process.env.NODEPLANE_DSA_SYSFS = join(dir, "none");
  t.equal(await why(memif), "there is no DSA work queue");
  t.equal(chooseCopy(await readModel(memif), false).native.engine, "cpu");
  t.equal(await why({ ...memif, copy: { engine: "thread" } }), "");
});
