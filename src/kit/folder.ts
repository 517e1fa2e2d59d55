import { existsSync, mkdirSync, statSync } from "node:fs";
import { dirname } from "node:path";

const isFolder = (path: string): boolean =>
  statSync(path, { throwIfNoEntry: false })?.isDirectory() === true;

/**
 * Makes a folder and those above it, if they are not there. (mkdirSync's own `recursive` turns for ever
 * where a file system takes no folder in one that exists, as /proc does.)
 */
export function makeFolder(path: string, mode = 0o777): void {
  if (isFolder(path)) return;
  if (!existsSync(dirname(path))) makeFolder(dirname(path), mode);
  try {
    mkdirSync(path, mode);
  } catch (cause) {
    if (!isFolder(path)) throw cause; // else somebody else was faster
  }
}
