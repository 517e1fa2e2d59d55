// Where the control socket is and who may use it: mode 0600, owner checked, no symlink followed.
import { lstatSync, readdirSync, type Stats, unlinkSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { messageOf, NodeplaneError } from "../kit/error.js";
import { makeFolder } from "../kit/folder.js";

/** sun_path of unix(7), less its end. */
const pathBytesMax = 107;

export const refuse = (path: string, message: string): NodeplaneError =>
  new NodeplaneError("control_refused", { path, message });

const uid = (): number => process.geteuid?.() ?? 0;

export function socketDirectory(): string {
  if (uid() === 0) return "/run/nodeplane";
  const own = process.env.XDG_RUNTIME_DIR;
  return own ? join(own, "nodeplane") : join(tmpdir(), `nodeplane-${uid()}`);
}

export const defaultSocket = (name: string): string => join(socketDirectory(), `${name}.sock`);

function statOf(path: string): Stats | null {
  try {
    return lstatSync(path);
  } catch (caught) {
    if ((caught as NodeJS.ErrnoException).code === "ENOENT") return null;
    throw caught;
  }
}

/** The directory must be such that nobody else can put another socket in our place. */
function checkDirectory(directory: string, path: string): void {
  const info = statOf(directory);
  if (!info?.isDirectory()) throw refuse(path, `${directory} is not a directory`);
  if (info.uid !== uid() && info.uid !== 0)
    throw refuse(path, `${directory} belongs to somebody else`);
  const isShared = (info.mode & 0o022) !== 0;
  const isSticky = (info.mode & 0o1000) !== 0;
  if (isShared && !isSticky) throw refuse(path, `others may write to ${directory}`);
}

function isLive(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = connect(path);
    probe.once("connect", () => {
      probe.destroy();
      resolve(true);
    });
    probe.once("error", () => resolve(false));
  });
}

/** Makes room for a socket of ours: a stale one goes, a live one or anything else is refused. */
export async function claimSocket(path: string): Promise<void> {
  if (Buffer.byteLength(path) > pathBytesMax)
    throw refuse(path, `is longer than ${pathBytesMax} bytes`);
  try {
    makeFolder(dirname(path), 0o700);
  } catch (cause) {
    throw refuse(path, `its folder cannot be made: ${messageOf(cause)}`);
  }
  checkDirectory(dirname(path), path);
  const info = statOf(path);
  if (info === null) return;
  if (!info.isSocket()) throw refuse(path, "exists and is not a socket");
  if (info.uid !== uid()) throw refuse(path, "belongs to somebody else");
  if (await isLive(path)) throw refuse(path, "another nodeplane listens there");
  unlinkSync(path);
}

/** Before talking to it: it must be a socket of ours, or of root's. */
export function checkSocket(path: string): void {
  const info = statOf(path);
  if (info === null) throw refuse(path, "no nodeplane listens there");
  if (!info.isSocket()) throw refuse(path, "is not a socket");
  if (info.uid !== uid() && info.uid !== 0) throw refuse(path, "belongs to somebody else");
}

/** The socket that was meant: the default one, or the only one there is. */
export function findSocket(name: string | undefined): string {
  if (name !== undefined) return defaultSocket(name);
  const usual = defaultSocket("default");
  if (statOf(usual) !== null) return usual;
  try {
    const others = readdirSync(socketDirectory()).filter((f) => f.endsWith(".sock"));
    const [only] = others;
    if (others.length === 1 && only !== undefined) return join(socketDirectory(), only);
  } catch {
    // No directory, no socket: checkSocket says so.
  }
  return usual;
}
