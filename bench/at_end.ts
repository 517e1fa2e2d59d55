// What must not be left behind, however a benchmark ends: Ctrl-C, SIGTERM, an error.

type Undo = () => void;
const undos = new Set<Undo>();
/** As shells tell them (sysexits: 128 + the signal's number). */
const statuses = { SIGINT: 130, SIGTERM: 143, SIGHUP: 129 } as const;
let isHooked = false;

function undoAll(): void {
  for (const undo of [...undos].reverse()) {
    undos.delete(undo);
    try {
      undo();
    } catch (error) {
      process.stderr.write(`nodeplane bench: while tidying up: ${error}\n`);
    }
  }
}

/** Runs at the end of the process, the last one first. The answer forgets it. */
export function atEnd(undo: Undo): () => void {
  if (!isHooked) {
    isHooked = true;
    process.on("exit", undoAll);
    for (const [signal, status] of Object.entries(statuses))
      process.on(signal as keyof typeof statuses, () => process.exit(status));
  }
  undos.add(undo);
  return () => undos.delete(undo);
}
