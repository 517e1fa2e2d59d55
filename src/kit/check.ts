/** Ours, not the world's: a broken promise between two rooms stops the program, loudly. */
export function check(holds: unknown, what: string): asserts holds {
  if (!holds) throw new Error(`nodeplane: check failed: ${what}`);
}
