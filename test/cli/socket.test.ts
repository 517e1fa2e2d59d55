// The control socket: who may listen, who may ask, what may be said.
import { spawnSync } from "node:child_process";
import { chmodSync, existsSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { connect, createServer } from "node:net";
import { join } from "node:path";
import t, { type Test } from "tap";
import { ask } from "../../src/cli/ask.js";
import { listen } from "../../src/cli/control.js";
import { parseRequest, requestBytesMax } from "../../src/cli/protocol.js";
import { claimSocket } from "../../src/cli/socket.js";
import { folder } from "./kit.js";

const nothing = async (): Promise<unknown> => ({ drops: {} });
const refused = (t: Test, promise: Promise<unknown>, words: RegExp) =>
  t.rejects(promise, { code: "control_refused", message: words });

t.test("listens for its owner alone, answers, and leaves nothing", async (t) => {
  const path = join(folder(t), "deep/np.sock");
  const server = await listen(path, async (request) => ({ asked: request }));
  t.equal(statSync(path).mode & 0o777, 0o600);
  t.same(await ask(path, { command: "services", from: 7 }), {
    asked: { command: "services", from: 7 },
  });
  await refused(t, listen(path, nothing), /another nodeplane listens there/);
  server.close();
  t.notOk(existsSync(path));
  await refused(t, (async () => ask(path, { command: "stats" }))(), /no nodeplane listens there/);
});

t.test("a stale socket is replaced", async (t) => {
  const path = join(folder(t), "np.sock");
  // A process that is killed leaves its socket behind.
  const script = `require("net").createServer().listen(process.argv[1], () => process.kill(process.pid, 9))`;
  const killed = spawnSync(process.execPath, ["-e", script, path]);
  t.equal(killed.signal, "SIGKILL");
  t.ok(existsSync(path));
  const server = await listen(path, nothing);
  t.same(await ask(path, { command: "stats" }), { drops: {} });
  server.close();
});

t.test("what is no socket of ours is refused and left alone", async (t) => {
  const dir = folder(t);
  writeFileSync(join(dir, "file"), "precious");
  await refused(t, claimSocket(join(dir, "file")), /exists and is not a socket/);
  symlinkSync("file", join(dir, "link"));
  await refused(t, claimSocket(join(dir, "link")), /exists and is not a socket/);
  await refused(t, claimSocket(join(dir, "x".repeat(200))), /is longer than 107 bytes/);
  await refused(t, claimSocket(join(dir, "file/np.sock")), /folder cannot be made: EEXIST/);
  // Whose file system takes no folder: said at once.
  await refused(
    t,
    claimSocket("/proc/none-such/deep/np.sock"),
    /folder cannot be made: no such file/,
  );
  chmodSync(dir, 0o777);
  await refused(t, claimSocket(join(dir, "np.sock")), /others may write to/);
  chmodSync(dir, 0o1777);
  await claimSocket(join(dir, "np.sock"));
  writeFileSync(join(dir, "np.sock"), "");
  await refused(
    t,
    (async () => ask(join(dir, "np.sock"), { command: "stats" }))(),
    /is not a socket/,
  );
});

t.test("a symlink to a live socket is not followed", async (t) => {
  const dir = folder(t);
  const server = await listen(join(dir, "np.sock"), nothing);
  symlinkSync("np.sock", join(dir, "link.sock"));
  await refused(
    t,
    (async () => ask(join(dir, "link.sock"), { command: "stats" }))(),
    /is not a socket/,
  );
  server.close();
});

t.test("requests are checked at the border", async (t) => {
  const good = [
    '{"command":"stats"}',
    '{"command":"flows"}',
    '{"command":"flows","from":{"v6":true,"at":9}}',
    '{"command":"services","from":1}',
    '{"command":"plan","file":"/a"}',
  ];
  for (const line of good) t.same(parseRequest(line), JSON.parse(line), line);
  const bad = [
    "",
    "3",
    "null",
    "[]",
    "{}",
    '{"command":"stop"}',
    '{"command":"flows","from":3}',
    '{"command":"flows","from":null}',
    '{"command":"flows","from":{"v6":1,"at":0}}',
    '{"command":"services","from":-1}',
    '{"command":"services","from":1.5}',
    '{"command":"plan","file":"a"}',
    '{"command":"plan"}',
  ];
  for (const line of bad) t.equal(parseRequest(line), null, line);
});

t.test("nonsense gets an answer, floods get none", async (t) => {
  const path = join(folder(t), "np.sock");
  const server = await listen(path, nothing);
  const say = (text: string): Promise<string> =>
    new Promise((resolve) => {
      let heard = "";
      const socket = connect(path, () => socket.write(text));
      socket.on("data", (chunk) => {
        heard += chunk;
        if (heard.split("\n").length > text.split("\n").length - 1) socket.end();
      });
      socket.on("error", () => undefined);
      socket.on("close", () => resolve(heard));
    });
  t.equal(await say("hello\n"), '{"ok":false,"message":"not a request"}\n');
  t.equal(
    await say('{"command":"stats"}\nx\n'),
    '{"ok":true,"value":{"drops":{}}}\n{"ok":false,"message":"not a request"}\n',
    "in order",
  );
  t.equal(await say("x".repeat(requestBytesMax + 1)), "");
  t.same(await ask(path, { command: "stats" }), { drops: {} }, "still there");
  server.close();
});

t.test("a peer that answers nonsense", async (t) => {
  const path = join(folder(t), "np.sock");
  const server = createServer((socket) => socket.end("\n")).listen(path);
  await new Promise((resolve) => server.once("listening", resolve));
  await t.rejects(ask(path, { command: "stats" }));
  server.close();
});
