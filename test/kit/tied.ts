/** A program and its arguments, killed when the test's process ends, however that does: tap kills what is late. */
export const tied = (
  program: string,
  args: readonly string[],
): [program: string, args: string[]] => ["setpriv", ["--pdeathsig", "KILL", program, ...args]];
