// nodeplane run, from its start to its end.
import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import t from "tap";
import { command } from "../kit/root.js";
import { tied } from "../kit/tied.js";
import { one, service } from "../sources/world.js";
import { endpoints, folder, list, nodeplane, writeConfig } from "./kit.js";

/** Waits until standard error says it. */
function said(process: ChildProcess, words: RegExp): Promise<string> {
  let heard = "";
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`never said ${words}: ${heard}`)), 120_000);
    const listen = (chunk: Buffer): void => {
      heard += chunk;
      if (!words.test(heard)) return;
      clearTimeout(timer);
      process.stderr?.off("data", listen);
      resolve(heard);
    };
    process.stderr?.on("data", listen);
  });
}

t.test("a whole life: run, ask, reload, a bad reload, plan, stop", async (t) => {
  const dir = folder(t);
  const file = writeConfig(dir);
  const socket = join(dir, "np.sock");
  const run = spawn(...tied(process.execPath, [command, "run", "-c", file]), {
    stdio: ["ignore", "ignore", "pipe"],
  });
  t.teardown(() => run.kill("SIGKILL"));
  await said(run, /"running"/);
  const ask = (...args: string[]): { endpoints: { address: string }[] }[] =>
    JSON.parse(nodeplane(...args, "-s", socket, "--json").out);
  const now = (): string[] | undefined => ask("services")[0]?.endpoints.map((e) => e.address);
  t.same(now(), ["10.1.0.1", "10.1.0.2"]);
  t.same(ask("flows"), []);
  t.same(ask("drops"), {});
  t.match(ask("stats"), { info: { running: true, generation: 1 }, ports: { p: { rxPackets: 0 } } });
  t.match(nodeplane("run", "-c", file), {
    status: 1,
    err: `nodeplane: ${socket}: another nodeplane listens there\n`,
  });

  let heard = said(run, /reloaded/);
  writeFileSync(join(dir, "services.json"), list(service(one), endpoints("10.1.0.2", "10.1.0.3")));
  await heard;
  t.same(now(), ["10.1.0.2", "10.1.0.3"], "by watching");

  heard = said(run, /has mistakes/);
  writeFileSync(join(dir, "services.json"), list(service({ ...one, clusterIP: "x" })));
  t.match(
    await heard,
    /services\.json:1:\d+: items\.0\.spec\.clusterIP: "x" is not an IP address\n/,
  );
  t.same(now(), ["10.1.0.2", "10.1.0.3"], "untouched");

  heard = said(run, /restart it/);
  writeFileSync(file, readFileSync(file, "utf8").replace("interface: np", "interface: other"));
  writeFileSync(join(dir, "services.json"), list(service(one), endpoints("10.1.0.3")));
  await heard;
  t.same(now(), ["10.1.0.2", "10.1.0.3"], "ports are fixed");
  t.match(nodeplane("plan", "-c", file), {
    status: 0,
    out: /~ port p: .*needs a restart.*\n- endpoint default\/web:80 10\.1\.0\.2:8080/,
  });

  heard = said(run, /reloaded/);
  writeFileSync(file, readFileSync(file, "utf8").replace("interface: other", "interface: np"));
  run.kill("SIGHUP");
  await heard;
  t.same(now(), ["10.1.0.3"]);

  const ended = new Promise((resolve) =>
    run.once("exit", (code, signal) => resolve(code ?? signal)),
  );
  run.kill("SIGTERM");
  t.equal(await ended, 0);
  t.notOk(existsSync(socket), "nothing left behind");
});
