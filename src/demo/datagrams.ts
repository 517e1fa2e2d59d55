// A real UDP client for the demo's client namespace, a program of its own:
//   node datagrams.js ADDRESS PORT COUNT
// Sends datagrams of several sizes from several sockets and counts the answers that say the same. The
// first one waits until somebody answers: the server may be starting. One line of JSON at the end.
import { randomBytes } from "node:crypto";
import { createSocket, type Socket } from "node:dgram";

const [address = "", port = "0", count = "0"] = process.argv.slice(2);
const sockets = 4;
const timeoutMs = 2000;
const firstTries = 100;
const firstTimeoutMs = 100;
const sizes = [16, 512, 1400];

export interface DatagramResult {
  readonly sent: number;
  /** Time to each answer, microseconds. */
  readonly us: number[];
}

function ask(socket: Socket, bytes: number, within: number): Promise<number | null> {
  const question = randomBytes(bytes);
  const started = process.hrtime.bigint();
  return new Promise((resolve) => {
    const end = (us: number | null): void => {
      clearTimeout(late);
      socket.off("message", hear);
      resolve(us);
    };
    const hear = (answer: Buffer): void => {
      if (answer.equals(question)) end(Number((process.hrtime.bigint() - started) / 1000n));
    };
    const late = setTimeout(() => end(null), within);
    socket.on("message", hear);
    socket.send(question, Number(port), address);
  });
}

async function asker(first: number): Promise<(number | null)[]> {
  const socket = createSocket("udp4");
  const heard: (number | null)[] = [];
  for (let i = first; i < Number(count); i += sockets)
    heard.push(await ask(socket, sizes[i % sizes.length] ?? 0, timeoutMs));
  socket.close();
  return heard;
}

const scout = createSocket("udp4");
for (let i = 0; i < firstTries; i++) if ((await ask(scout, 16, firstTimeoutMs)) !== null) break;
scout.close();
const heard = (await Promise.all(Array.from({ length: sockets }, (_, i) => asker(i)))).flat();
const result: DatagramResult = { sent: heard.length, us: heard.filter((us) => us !== null) };
process.stdout.write(`${JSON.stringify(result)}\n`);
