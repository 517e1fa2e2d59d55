// The flow file as users meet it: two processes on one name, kills, clean ends, files that are none.
import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import t, { type Test } from "tap";
import { command } from "../kit/root.js";
import { tied } from "../kit/tied.js";
import { folder, nodeplane } from "./kit.js";

const until = 120_000;

function config(dir: string, name: string, flows: Record<string, unknown>): string {
  const file = join(dir, `${name}.yaml`);
  const ports = [
    { name: "p", driver: "loop", interface: `sv-${name}`, addresses: ["192.0.2.1/24"] },
  ];
  const control = { socket: join(dir, `${name}.sock`) };
  const small = { capacity: 1000, file: join(dir, "np.flows"), ...flows };
  writeFileSync(file, JSON.stringify({ ports, control, flows: small, frames: { count: 256 } }));
  return file;
}

/** Running, and what it said until then. */
async function run(t: Test, file: string): Promise<{ child: ChildProcess; said: string }> {
  const child = spawn(...tied(process.execPath, [command, "run", "-c", file]), {
    stdio: ["ignore", "ignore", "pipe"],
  });
  t.teardown(() => child.kill("SIGKILL"));
  let said = "";
  await new Promise<void>((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`it never ran: ${said}`)), until);
    child.once("exit", () => reject(new Error(`it ended: ${said}`)));
    child.stderr?.on("data", (chunk) => {
      said += chunk;
      if (!said.includes('"running"')) return;
      clearTimeout(timer);
      resolve();
    });
  });
  child.removeAllListeners("exit");
  return { child, said };
}

const end = (child: ChildProcess, signal: NodeJS.Signals): Promise<number | string | null> =>
  new Promise((resolve) => {
    child.once("exit", (code, by) => resolve(code ?? by));
    child.kill(signal);
  });

const flowFiles = (dir: string): string[] =>
  readdirSync(dir).filter((f) => f.startsWith("np.flows"));

t.test("one process at a time; a killed one's connections are restored", async (t) => {
  const dir = folder(t);
  const file = config(dir, "a", {});
  const first = await run(t, file);
  t.match(first.said, /connections in \S+ on [24] [KM]iB pages/);
  t.notMatch(first.said, /restored/);
  const second = nodeplane("run", "-c", config(dir, "b", {}));
  t.equal(second.status, 1);
  t.equal(
    second.err,
    `nodeplane: flow file ${join(dir, "np.flows")}: in use by another process (${first.child.pid})\n`,
  );

  t.equal(await end(first.child, "SIGKILL"), "SIGKILL");
  t.same(flowFiles(dir), ["np.flows", "np.flows.ids"]);
  const next = await run(t, file);
  t.match(next.said, /connections restored: \S+: left by a crash/);
  t.match(nodeplane("stats", "-s", join(dir, "a.sock"), "--json").out, /"recovered": 0/);
  t.equal(await end(next.child, "SIGTERM"), 0);
  t.same(flowFiles(dir), [], "nothing left behind");
});

t.test("restart keeps them after a clean exit; never keeps none", async (t) => {
  const dir = folder(t);
  const first = await run(t, config(dir, "a", { survive: "restart" }));
  t.equal(await end(first.child, "SIGTERM"), 0);
  t.same(flowFiles(dir), ["np.flows", "np.flows.ids"]);
  const second = await run(t, config(dir, "a", { capacity: 2000 }));
  t.match(second.said, /left by a clean exit, moved to another capacity/);
  t.equal(await end(second.child, "SIGTERM"), 0);
  t.same(flowFiles(dir), []);
  const third = await run(t, config(dir, "a", { survive: "never" }));
  t.notMatch(third.said, /connections in/);
  t.equal(await end(third.child, "SIGKILL"), "SIGKILL");
  t.same(flowFiles(dir), []);
});

t.test(
  "what is no flow file is left alone; a port that does not open leaves none behind",
  async (t) => {
    const dir = folder(t);
    writeFileSync(join(dir, "np.flows"), "precious\n", { mode: 0o600 });
    const refused = nodeplane("run", "-c", config(dir, "a", {}));
    t.equal(refused.status, 1);
    t.match(refused.err, /np\.flows: is no flow file, and is left alone\n$/);
    const other = join(dir, "other.flows");
    const file = config(dir, "b", { file: other });
    const ports = [{ name: "p", driver: "af_packet", interface: "none-such", addresses: [] }];
    writeFileSync(
      file,
      JSON.stringify({
        ports,
        flows: { file: other, capacity: 1000 },
        control: { socket: join(dir, "b.sock") },
      }),
    );
    t.equal(nodeplane("run", "-c", file).status, 1);
    t.notOk(existsSync(other) || existsSync(`${other}.ids`));
  },
);
