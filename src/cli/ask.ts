// The asking end of the control socket.
import { connect } from "node:net";
import type { Command } from "commander";
import { complainOf, Failed, type Rooms } from "./context.js";
import { type Answer, type Answers, answerBytesMax, idleMsMax, type Request } from "./protocol.js";
import { checkSocket, defaultSocket, findSocket, refuse } from "./socket.js";

export interface AskOptions {
  socket?: string;
  name?: string;
  config?: string;
}

/** The options by which a command finds the process it asks. */
export const addAskOptions = (command: Command): Command =>
  command
    .option("-s, --socket <path>", "control socket of the running process")
    .option("-n, --name <name>", "name of the running dataplane")
    .option("-c, --config <file>", "configuration of the running dataplane, to find its socket");

export async function socketOf(options: AskOptions, rooms: Rooms): Promise<string> {
  if (options.socket !== undefined) return options.socket;
  if (options.config === undefined) return findSocket(options.name);
  const loaded = await rooms.loadFile(options.config);
  if (!loaded.ok) {
    complainOf(loaded.error);
    throw new Failed();
  }
  const { controlSocket, name } = loaded.value.model.settings;
  return controlSocket ?? defaultSocket(options.name ?? name);
}

function parseAnswer(text: string): Answer | null {
  try {
    const raw = JSON.parse(text) as Partial<Answer> | null;
    return typeof raw?.ok === "boolean" ? (raw as Answer) : null;
  } catch {
    return null;
  }
}

/** Sends one request over a connection of its own. Throws when nobody answers well. */
export function ask<C extends Request["command"]>(
  path: string,
  request: Request & { command: C },
): Promise<Answers[C]> {
  checkSocket(path);
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let size = 0;
    const socket = connect(path, () => socket.write(`${JSON.stringify(request)}\n`));
    const fail = (message: string): void => {
      socket.destroy();
      reject(refuse(path, message));
    };
    socket.setTimeout(idleMsMax, () => fail("no answer in time"));
    socket.on("error", (caught: NodeJS.ErrnoException) => {
      if (caught.code === "ECONNREFUSED") fail("no nodeplane listens there");
      else fail(caught.code === "EACCES" ? "permission denied" : caught.message);
    });
    socket.on("close", () => reject(refuse(path, "closed before it answered")));
    socket.on("data", (chunk: Buffer) => {
      chunks.push(chunk);
      size += chunk.length;
      if (size > answerBytesMax) fail("the answer is too long");
      if (chunk.at(-1) !== 10) return;
      socket.end();
      const answer = parseAnswer(Buffer.concat(chunks).toString("utf8"));
      if (!answer) fail("the answer is not in our language");
      else if (answer.ok) resolve(answer.value as Answers[C]);
      else reject(refuse(path, answer.message));
    });
  });
}
