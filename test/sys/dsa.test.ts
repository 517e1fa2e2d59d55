// What is found of DSA work queues, and what is said of those that cannot be used.
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import t, { type Test } from "tap";
import { queuesOfLibrary } from "../../src/sys/accfg.js";
import {
  chooseDsaQueues,
  type DsaQueue,
  dsaQueues,
  kernelRoots,
  queuesOfFiles,
} from "../../src/sys/dsa.js";
import { writeWorld } from "../kit/dsa.js";
import { root } from "../kit/root.js";

const both = { flags: new Set(["movdir64b", "enqcmd"]), isRawIo: true };

function world(t: Test): string {
  const dir = t.testdir();
  const sysfs = join(dir, "sys");
  const dev = join(dir, "dev");
  writeWorld(sysfs, dev);
  const { env } = process;
  process.env = { ...env, NODEPLANE_DSA_SYSFS: sysfs, NODEPLANE_DSA_DEV: dev };
  t.teardown(() => {
    process.env = env;
  });
  return dev;
}

const whys = (queues: readonly DsaQueue[]): Record<string, string> =>
  Object.fromEntries(queues.map((q) => [q.name, q.why]));

t.test("every queue, in order, and why not", async (t) => {
  const dev = world(t);
  const queues = dsaQueues(both);
  t.same(whys(queues), {
    "wq0.0": "",
    "wq0.1": "",
    "wq0.2": "type kernel, not user",
    "wq0.3": "type none, not user; disabled, not enabled",
    "wq0.4": `${dev}/wq0.4: no such file or directory`,
    "wq0.5": "no batches",
    "wq0.10": "",
    "wq2.0": "dsa2 is not enabled",
    "wq4.0": "dsa4 has PASID disabled (boot with intel_iommu=on,sm_on)",
  });
  t.same(
    queues.map((q) => q.name),
    ["wq0.0", "wq0.1", "wq0.2", "wq0.3", "wq0.4", "wq0.5", "wq0.10", "wq2.0", "wq4.0"],
    "by number; queues of IAX are not DSA's",
  );
  for (const q of queues) t.equal(q.usable, q.why === "", q.name);
  t.same(queues[0], {
    name: "wq0.0",
    device: "dsa0",
    deviceEnabled: true,
    pasidEnabled: true,
    numaNode: 0,
    type: "user",
    mode: "dedicated",
    state: "enabled",
    driver: "user",
    size: 16,
    threshold: 0,
    group: 0,
    priority: 10,
    blockOnFault: true,
    batchMax: 32,
    transferMax: 2097152,
    clients: 1,
    path: `${dev}/wq0.0`,
    usable: true,
    why: "",
  });
  t.match(queues[1], { mode: "shared", size: 64, threshold: 48, group: 1, usable: true });
  t.match(queues[7], { numaNode: -1, transferMax: 65536 }, "no more than the device");
});

t.test("instructions and rights", async (t) => {
  world(t);
  const of = (flags: string[], isRawIo: boolean): Record<string, string> =>
    whys(dsaQueues({ flags: new Set(flags), isRawIo }));
  t.match(of(["movdir64b"], true), {
    "wq0.0": "",
    "wq0.1": "this CPU lacks ENQCMD, which shared queues need",
  });
  t.match(of(["enqcmd"], true), {
    "wq0.0": "this CPU lacks MOVDIR64B, which dedicated queues need",
    "wq0.1": "",
  });
  t.match(of(["movdir64b", "enqcmd"], false), {
    "wq0.0": "CAP_SYS_RAWIO is missing (INTEL-SA-01084)",
    "wq0.2": "type kernel, not user; CAP_SYS_RAWIO is missing (INTEL-SA-01084)",
  });
});

t.test("the choice", async (t) => {
  world(t);
  const queues = dsaQueues(both);
  const choose = (...wanted: string[]): { names: string[]; why: string } => {
    const { queues: chosen, why } = chooseDsaQueues(wanted, queues);
    return { names: chosen.map((q) => q.name), why };
  };
  t.match(choose().names, ["wq0.0", "wq0.1", "wq0.10"]);
  t.same(choose("wq0.1", "wq0.0"), { names: ["wq0.0", "wq0.1"], why: "" });
  t.same(choose("wq0.2", "wq9.9"), {
    names: [],
    why: "wq0.2: type kernel, not user, wq9.9: there is no such queue",
  });
  t.same(chooseDsaQueues([], []), { queues: [], why: "there is no DSA work queue" });
  t.same(chooseDsaQueues(["wq0.0"], []).why, "wq0.0: there is no such queue");
});

t.test("no tree at all", async (t) => {
  t.same(queuesOfFiles({ sysfs: join(t.testdir(), "none"), dev: "/dev/dsa" }), []);
});

const isThere = queuesOfLibrary(kernelRoots) !== null;
const isRoot = process.getuid?.() === 0;
// The library knows only /sys/bus/dsa: a mount namespace of our own puts the tree there.
t.test(
  "libaccel-config and the files say the same",
  {
    skip: !isThere ? "libaccel-config is not installed" : !isRoot && "needs root",
  },
  async (t) => {
    const module = (path: string): string => JSON.stringify(join(root, "build/js", path));
    const script = `
    const { writeWorld } = await import(${module("test/kit/dsa.js")});
    const { queuesOfLibrary } = await import(${module("src/sys/accfg.js")});
    const { kernelRoots, queuesOfFiles } = await import(${module("src/sys/dsa.js")});
    writeWorld(kernelRoots.sysfs, process.argv[1]);
    const library = queuesOfLibrary(kernelRoots);
    const files = queuesOfFiles(kernelRoots);
    console.log(JSON.stringify({ library, files }));`;
    const run = spawnSync(
      "unshare",
      [
        "--mount",
        "sh",
        "-ec",
        'mount -t tmpfs none /sys/bus; exec "$@"',
        "sh",
        process.execPath,
        "--input-type=module",
        "--eval",
        script,
        t.testdir(),
      ],
      { encoding: "utf8" },
    );
    t.equal(run.status, 0, run.stderr);
    const { library, files } = JSON.parse(run.stdout) as Record<string, { name: string }[]>;
    const sorted = (queues: { name: string }[] = []): { name: string }[] =>
      queues.sort((a, b) => (a.name < b.name ? -1 : 1));
    t.equal(files?.length, 9);
    t.same(sorted(library), sorted(files));
  },
);
