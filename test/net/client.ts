// The client of the network tests, a program in the client's namespace; one JSON line says how it went.
//   node client.js get URL COUNT            requests on new connections: who answered how often
//   node client.js big URL                  a download; the server's digest against ours
//   node client.js tcp HOST PORT BYTES      bytes echoed over TCP
//   node client.js udp HOST PORT BYTES      bytes echoed over UDP, a window of datagrams at a time
//   node client.js refused HOST PORT        the error a connected UDP socket sees
//   node client.js hold COUNT HOST PORT     COUNT connections that tick, until standard input ends;
//                                           each line there asks how they are
//   node client.js stream COUNT HOST PORT   COUNT connections with bytes echoed all the time, until then
import { createHash, randomBytes } from "node:crypto";
import { createSocket } from "node:dgram";
import { Agent, get as httpGet, type IncomingMessage } from "node:http";
import { connect, isIPv6, type Socket } from "node:net";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import { ask as stream } from "../../bench/stream.js";

/** Far longer than anything here takes, however slow the machine. */
const timeoutMs = 60_000;
const say = (result: unknown): boolean => process.stdout.write(`${JSON.stringify(result)}\n`);
const sha256 = (bytes: Buffer): string => createHash("sha256").update(bytes).digest("hex");

function get(url: string): Promise<{ response: IncomingMessage; body: Buffer }> {
  return new Promise((resolve, reject) => {
    const request = httpGet(url, { agent: new Agent(), timeout: timeoutMs }, (response) => {
      const parts: Buffer[] = [];
      response.on("data", (part: Buffer) => parts.push(part));
      response.on("end", () => resolve({ response, body: Buffer.concat(parts) }));
      response.on("error", reject);
    });
    request.on("timeout", () => request.destroy(new Error("timeout")));
    request.on("error", reject);
  });
}

async function many(url: string, count: number): Promise<void> {
  const servers: Record<string, number> = {};
  const errors: string[] = [];
  for (let i = 0; i < count; i++) {
    try {
      const { response } = await get(url);
      const name = String(response.headers["x-server"]);
      servers[name] = (servers[name] ?? 0) + 1;
    } catch (error) {
      errors.push(String(error));
    }
  }
  say({ servers, errors });
}

async function big(url: string): Promise<void> {
  const { response, body } = await get(url);
  say({ bytes: body.length, sent: response.headers["x-sha256"], received: sha256(body) });
}

function tcp(host: string, port: number, bytes: number): void {
  const sent = randomBytes(bytes);
  const parts: Buffer[] = [];
  const socket = connect(port, host);
  const report = (error: string | null): void => {
    const received = Buffer.concat(parts);
    say({ bytes: received.length, sent: sha256(sent), received: sha256(received), error });
  };
  socket.setTimeout(timeoutMs, () => socket.destroy(new Error("timeout")));
  socket.on("data", (part) => parts.push(part));
  socket.on("end", () => report(null));
  socket.on("error", (error) => report(error.message));
  socket.end(sent);
}

// Datagrams carry their index; a lost one is sent again after a while, so only bytes can differ.
function udp(host: string, port: number, bytes: number): void {
  const size = 1000;
  const window = 32;
  const againMs = 300;
  const sent = randomBytes(bytes);
  const received = Buffer.alloc(bytes);
  const count = Math.ceil(bytes / size);
  const open = new Map<number, NodeJS.Timeout>();
  const socket = createSocket(isIPv6(host) ? "udp6" : "udp4");
  let next = 0;
  let done = 0;
  let resent = 0;
  const send = (index: number): void => {
    const head = Buffer.alloc(4);
    head.writeUInt32BE(index);
    socket.send(Buffer.concat([head, sent.subarray(index * size, (index + 1) * size)]));
    const again = (): void => {
      resent++;
      send(index);
    };
    open.set(index, setTimeout(again, againMs));
  };
  const fill = (): void => {
    while (open.size < window && next < count) send(next++);
  };
  const finish = (error: string | null): void => {
    for (const timer of open.values()) clearTimeout(timer);
    clearTimeout(late);
    say({ bytes: done, sent: sha256(sent), received: sha256(received), resent, error });
    socket.close();
  };
  const late = setTimeout(() => finish("timeout"), timeoutMs);
  socket.on("error", (error) => finish(error.message));
  socket.on("message", (message) => {
    const index = message.readUInt32BE(0);
    if (!open.has(index)) return;
    clearTimeout(open.get(index));
    open.delete(index);
    done += message.copy(received, index * size, 4);
    if (done === bytes) finish(null);
    else fill();
  });
  socket.connect(port, host, fill);
}

function refused(host: string, port: number): void {
  const socket = createSocket(isIPv6(host) ? "udp6" : "udp4");
  const finish = (error: string | null): void => {
    clearTimeout(late);
    say({ error });
    socket.close();
  };
  const late = setTimeout(() => finish(null), timeoutMs);
  socket.on("error", (error) => finish((error as NodeJS.ErrnoException).code ?? error.message));
  socket.connect(port, host, () => socket.send("anyone?"));
}

// Connections that only listen to ticks; which server, how many ticks, how each ended.
async function hold(count: number, host: string, port: number): Promise<void> {
  const held: { server: string; ticks: number; error: string | null; closed: boolean }[] = [];
  const sockets: Socket[] = [];
  for (let i = 0; i < count; i++) {
    const state = { server: "", ticks: 0, error: null as string | null, closed: false };
    const socket = connect(port, host);
    held.push(state);
    sockets.push(socket);
    socket.on("data", (data) => {
      state.server ||= String(data).split("\n")[0] ?? "";
      state.ticks += String(data).split("\n").length - 1;
    });
    socket.on("error", (error) => {
      state.error = (error as NodeJS.ErrnoException).code ?? error.message;
    });
    socket.on("close", () => {
      state.closed = true;
    });
  }
  const until = Date.now() + timeoutMs;
  while (held.some((s) => !s.ticks && !s.closed) && Date.now() < until) await sleep(20);
  say(held); // all have begun
  for await (const _ of createInterface({ input: process.stdin })) say(held);
  say(held);
  for (const socket of sockets) socket.destroy();
}

const [what, ...args] = process.argv.slice(2);
const [a = "", b = "", c = ""] = args;
if (what === "get") await many(a, Number(b));
else if (what === "big") await big(a);
else if (what === "tcp") tcp(a, Number(b), Number(c));
else if (what === "udp") udp(a, Number(b), Number(c));
else if (what === "refused") refused(a, Number(b));
else if (what === "hold") await hold(Number(a), b, Number(c));
else if (what === "stream") await stream(Number(a), b, Number(c));
else process.exit(2);
