// Columns for a terminal.
import { oneLine } from "../kit/error.js";

/** Left-aligned columns, two spaces apart; without a head when there is none. */
export function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const lines = (head.length > 0 ? [head, ...rows] : rows).map((row) => row.map(oneLine));
  const widths: number[] = [];
  for (const line of lines) {
    line.forEach((cell, i) => {
      widths[i] = Math.max(widths[i] ?? 0, cell.length);
    });
  }
  return lines
    .map((line) =>
      line
        .map((cell, i) => cell.padEnd(widths[i] ?? 0))
        .join("  ")
        .trimEnd(),
    )
    .join("\n");
}
