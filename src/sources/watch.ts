// Tells when files may have changed. Directories are watched, since editors and ConfigMap volumes
// replace files instead of writing into them.
import { type FSWatcher, statSync, watch } from "node:fs";
import { basename, dirname } from "node:path";
import { debounce } from "../kit/clock.js";

const quietMs = 200;

export interface Watch {
  /** Watches other paths from now on. */
  move(paths: readonly string[]): void;
  close(): void;
}

function isDirectory(path: string): boolean {
  try {
    return statSync(path).isDirectory();
  } catch {
    return false;
  }
}

/** Directory -> names in it that matter; null: all. */
function group(paths: readonly string[]): Map<string, Set<string> | null> {
  const groups = new Map<string, Set<string> | null>();
  for (const path of paths) {
    if (isDirectory(path)) groups.set(path, null);
    else if (groups.get(dirname(path)) !== null) {
      const names = groups.get(dirname(path)) ?? new Set();
      groups.set(dirname(path), names.add(basename(path)));
    }
  }
  return groups;
}

/** Calls `changed` after things have been quiet for a moment. Never keeps the process alive. */
export function watchFiles(
  paths: readonly string[],
  changed: () => void,
  failed: (why: Error) => void,
): Watch {
  let watchers: FSWatcher[] = [];
  const wait = debounce(quietMs, changed);
  const stop = (): void => {
    for (const watcher of watchers) watcher.close();
    watchers = [];
  };
  const move = (next: readonly string[]): void => {
    stop();
    for (const [directory, names] of group(next)) {
      try {
        const watcher = watch(directory, { persistent: false }, (_, name) => {
          // ConfigMap volumes swap the link "..data"; the file itself sees no event.
          if (names === null || name === null || names.has(name) || name.startsWith(".."))
            wait.poke();
        });
        watcher.on("error", failed);
        watchers.push(watcher);
      } catch (caught) {
        failed(caught as Error);
      }
    }
  };
  move(paths);
  return {
    move,
    close() {
      wait.stop();
      stop();
    },
  };
}
