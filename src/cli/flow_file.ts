// Where a running process keeps its connections: beside its control socket when that is in memory, else in
// shared memory; never on a disk, which the kernel would write them to.
import { createHash } from "node:crypto";
import { existsSync, statfsSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import type { Settings } from "../model/settings.js";
import type { FlowFileWish } from "../runtime/survival.js";
import { socketDirectory } from "./socket.js";

const tmpfsMagic = 0x01021994;
const sharedMemory = "/dev/shm";
/** What NAME_MAX leaves to the name of a file with files beside it. */
const nameMax = 200;

const uid = (): number => process.geteuid?.() ?? 0;

/** A folder that is not there yet will be where the folder above it is. */
const isInMemory = (directory: string): boolean =>
  existsSync(directory)
    ? statfsSync(directory).type === tmpfsMagic
    : isInMemory(dirname(directory));

/** One for each control socket: the dataplane's name, or the whole path of a socket elsewhere. */
function fileName(socket: string): string {
  const isUsual = dirname(socket) === socketDirectory();
  const name = isUsual ? basename(socket, ".sock") : encodeURIComponent(socket);
  const isLong = Buffer.byteLength(name) > nameMax;
  return `${isLong ? createHash("sha256").update(name).digest("hex") : name}.flows`;
}

/** Where a dataplane with this control socket has its file unless `flows.file` says otherwise. */
export function defaultFile(socket: string): string {
  const beside = dirname(socket);
  const directory = isInMemory(beside)
    ? beside
    : join(sharedMemory, uid() === 0 ? "nodeplane" : `nodeplane-${uid()}`);
  return join(directory, fileName(socket));
}

/** Undefined: connections end with the process. */
export function flowFileOf(
  { flows: { survive, file }, frames: { hugePages } }: Settings,
  socket: string,
): FlowFileWish | undefined {
  if (survive === "never") return undefined;
  return {
    path: file ?? defaultFile(socket),
    // To mount takes root.
    hugeDirectory: hugePages && uid() === 0 ? join(socketDirectory(), "huge") : null,
    survive,
  };
}
