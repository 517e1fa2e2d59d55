// The running process's end of the control socket.
import { chmodSync } from "node:fs";
import { createServer, type Server, type Socket } from "node:net";
import { messageOf } from "../kit/error.js";
import { flowStart, readFlows } from "../observe/flows.js";
import { readStats } from "../observe/stats.js";
import type { Dataplane } from "../runtime/dataplane.js";
import type { Rooms } from "./context.js";
import {
  type Answer,
  connectionsMax,
  idleMsMax,
  parseRequest,
  type Request,
  requestBytesMax,
  servicePage,
} from "./protocol.js";
import { claimSocket } from "./socket.js";

export type Handle = (request: Request) => Promise<unknown>;

/** Answers from a dataplane. */
export function handlerOf(dataplane: () => Dataplane | null, rooms: Rooms): Handle {
  return async (request) => {
    const running = dataplane();
    if (!running) throw new Error("nodeplane is still starting");
    switch (request.command) {
      case "stats":
        return readStats(running);
      case "flows":
        return readFlows(running, request.from ?? flowStart);
      case "services": {
        const { services } = running.model;
        const from = request.from ?? 0;
        const next = from + servicePage;
        return { services: services.slice(from, next), next: next < services.length ? next : null };
      }
      case "plan": {
        const loaded = await rooms.loadFile(request.file);
        return loaded.ok ? { plan: running.plan(loaded.value.model) } : { problems: loaded.error };
      }
    }
  };
}

async function answerTo(line: string, handle: Handle): Promise<Answer> {
  const request = parseRequest(line);
  if (!request) return { ok: false, message: "not a request" };
  try {
    return { ok: true, value: await handle(request) };
  } catch (caught) {
    return { ok: false, message: messageOf(caught) };
  }
}

/** Requests of one connection are answered in order; a line too long ends it. */
function serve(socket: Socket, handle: Handle): void {
  let pending = "";
  let last: Promise<void> = Promise.resolve();
  socket.setEncoding("utf8");
  socket.setTimeout(idleMsMax, () => socket.destroy());
  socket.on("error", () => socket.destroy());
  socket.on("data", (chunk: string) => {
    pending += chunk;
    const lines = pending.split("\n");
    pending = lines.pop() ?? "";
    if ([pending, ...lines].some((line) => line.length > requestBytesMax)) {
      socket.destroy();
      return;
    }
    for (const line of lines) {
      last = last.then(async () => {
        const answer = await answerTo(line, handle);
        if (!socket.destroyed) socket.write(`${JSON.stringify(answer)}\n`);
      });
    }
  });
}

/** Listens at `path`, readable and writable by the owner alone. Closing removes the socket. */
export async function listen(path: string, handle: Handle): Promise<Server> {
  await claimSocket(path);
  const server = createServer((socket) => serve(socket, handle));
  server.maxConnections = connectionsMax;
  // The socket is made with the umask's mode: there is no moment when others may connect.
  const umask = process.umask(0o177);
  try {
    await new Promise<void>((resolve, reject) => {
      server.once("error", reject);
      server.listen(path, resolve);
    });
  } finally {
    process.umask(umask);
  }
  chmodSync(path, 0o600);
  return server;
}
