import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

/** The checkout's top folder, from build/js/test/kit where the compiled tests stand. */
export const root = join(dirname(fileURLToPath(import.meta.url)), "../../../..");
/** The command as a user starts it. */
export const command = join(root, "bin/nodeplane.js");
