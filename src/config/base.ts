import { dirname, resolve } from "node:path";

/** Where relative paths of a configuration start. */
export const baseOf = (file: string): string => dirname(resolve(file));
