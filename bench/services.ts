// bench services: whether the number of services costs anything on the path: 100,000 flows spread over
// 1, 5,000 and 100,000 services of 5 endpoints, established and new ones.
import { lapQuestion } from "./lap_question.js";
import { findCase, type LapSetting, lapCase } from "./laps.js";
import { ratioOf } from "./ratio.js";
import type { Measured } from "./report.js";

const flows = 100_000;
const subjects = { established: "corridor", new: "new" } as const;
/** Over one service. */
const goals = {
  established: { 5000: 1.05, 100000: 1.15 },
  new: { 5000: 2, 100000: 2 },
} as const;

const of = (services: number): LapSetting => ({ flows, services, family: 4, room: true });
const settings = [of(1), of(5_000), of(100_000)];

function ratiosOf(cases: readonly Measured[]): Measured[] {
  return (["established", "new"] as const).flatMap((subject) =>
    Object.entries(goals[subject]).flatMap(([services, atMost]) => {
      const one = findCase(cases, subject, { services: 1 });
      const many = findCase(cases, subject, { services: Number(services) });
      return one && many
        ? [ratioOf(`${subject} / one service`, many.parameters, many, one, { atMost })]
        : [];
    }),
  );
}

export const services = lapQuestion({
  name: "services",
  about: "established and new flows in memory with 1 to 100,000 services",
  settings,
  rounds: { quick: 61, full: 121 },
  cases: (laps) =>
    laps.flatMap((open) => [
      lapCase(open, "established", subjects.established, "ns/packet"),
      lapCase(open, "new", subjects.new, "ns/connection"),
      lapCase(open, "floor", "floor", "ns/packet"),
    ]),
  judged: (cases) => [...cases, ...ratiosOf(cases)],
});
