// The problems of a configuration text, as lines, for tests.
import { parseConfig } from "../../src/config/parse.js";
import { formatProblem, sortProblems } from "../../src/kit/error.js";

/** Sorted by place. */
export function linesOf(text: string): string[] {
  const read = parseConfig(text, "f.yaml");
  return sortProblems(read.ok ? read.value.problems : read.error).map(formatProblem);
}
