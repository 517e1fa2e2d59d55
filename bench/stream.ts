// Many TCP connections with data under way, in one program; what they went through is one JSON line.
//   node stream.js serve PORT             sends back what it reads
//   node stream.js ask COUNT HOST PORT    says one line when all have begun, one after standard input's end
import { createServer, connect as tcpConnect } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";

/** Each connection sends so much so often. */
const recordBytes = 64;
const tickMs = 100;
const beginMsMax = 60_000;
const endMsMax = 60_000;

export interface Streamed {
  readonly connections: number;
  /** Broken, without all of their bytes, or with a wrong one. */
  readonly lost: number;
  readonly wrong: number;
  readonly bytes: number;
  /** The longest time in which nothing came on any connection, and its end (epoch, ms). */
  readonly silenceMs: number;
  readonly silenceEnd: number;
  /** The longest time in which nothing came on one connection. */
  readonly slowestMs: number;
  readonly errors: Readonly<Record<string, number>>;
}

/** Byte `at` of connection `i`: another stream for each. */
const byteOf = (i: number, at: number): number => (i * 13 + at * 7 + (at >> 8)) & 255;

class Stream {
  sent = 0;
  received = 0;
  wrong = 0;
  error: string | null = null;
  last = Date.now();
  slowest = 0;
  readonly #socket;

  constructor(
    readonly i: number,
    host: string,
    port: number,
    heard: (now: number) => void,
  ) {
    this.#socket = tcpConnect(port, host);
    this.#socket.setNoDelay(true);
    this.#socket.on("data", (data) => {
      const now = Date.now();
      for (const byte of data) if (byte !== byteOf(i, this.received++)) this.wrong++;
      this.slowest = Math.max(this.slowest, now - this.last);
      this.last = now;
      heard(now);
    });
    this.#socket.on("error", (error) => {
      this.error = (error as NodeJS.ErrnoException).code ?? error.message;
    });
    this.#socket.on("close", () => {
      this.error ??= "closed";
    });
  }

  send(): void {
    if (this.error) return;
    const record = Buffer.alloc(recordBytes);
    for (let b = 0; b < recordBytes; b++) record[b] = byteOf(this.i, this.sent++);
    this.#socket.write(record);
  }
  get isWhole(): boolean {
    return this.error === null && this.wrong === 0 && this.received === this.sent;
  }
  close(): void {
    this.#socket.destroy();
  }
}

const say = (line: unknown): boolean => process.stdout.write(`${JSON.stringify(line)}\n`);

export async function ask(count: number, host: string, port: number): Promise<void> {
  const silence = { last: Date.now(), longest: 0, end: 0 };
  const heard = (now: number): void => {
    if (now - silence.last > silence.longest) {
      silence.longest = now - silence.last;
      silence.end = now;
    }
    silence.last = now;
  };
  const streams = Array.from({ length: count }, (_, i) => new Stream(i, host, port, heard));
  for (const s of streams) s.send();
  for (const until = Date.now() + beginMsMax; Date.now() < until; await sleep(20))
    if (streams.every((s) => s.error !== null || s.received > 0)) break;
  // From here on it counts: connecting is no silence.
  Object.assign(silence, { last: Date.now(), longest: 0 });
  for (const s of streams) Object.assign(s, { last: Date.now(), slowest: 0 });
  // In turn, so that something is under way at any time.
  const slices = 10;
  let turn = 0;
  const timer = setInterval(() => {
    const slice = turn++ % slices;
    for (let i = slice; i < streams.length; i += slices) streams[i]?.send();
  }, tickMs / slices);
  say({ connections: streams.filter((s) => s.error === null && s.received > 0).length });
  process.stdin.resume();
  await new Promise((ended) => process.stdin.once("end", ended));
  clearInterval(timer);
  for (const until = Date.now() + endMsMax; Date.now() < until; await sleep(50))
    if (streams.every((s) => s.error !== null || s.received >= s.sent)) break;
  const errors: Record<string, number> = {};
  for (const s of streams) if (s.error) errors[s.error] = (errors[s.error] ?? 0) + 1;
  const result: Streamed = {
    connections: count,
    lost: streams.filter((s) => !s.isWhole).length,
    wrong: streams.reduce((sum, s) => sum + s.wrong, 0),
    bytes: streams.reduce((sum, s) => sum + s.received, 0),
    silenceMs: silence.longest,
    silenceEnd: silence.end,
    slowestMs: Math.max(...streams.map((s) => s.slowest)),
    errors,
  };
  say(result);
  for (const s of streams) s.close();
}

function serve(port: number): void {
  const server = createServer((socket) => {
    socket.setNoDelay(true);
    socket.on("error", () => socket.destroy());
    socket.pipe(socket);
  });
  server.listen(port, "::", 4096, () => say("ready"));
}

const [what, ...args] = process.argv[1]?.endsWith("/stream.js") ? process.argv.slice(2) : [];
if (what === "serve") serve(Number(args[0]));
else if (what === "ask") await ask(Number(args[0]), String(args[1]), Number(args[2]));
