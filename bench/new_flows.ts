// bench new-flows: what a new connection costs: one SYN each of clients never seen, through the whole
// corridor (service, Maglev, NAT, both directions inserted), while so many established flows stay.
import { lapQuestion } from "./lap_question.js";
import { type LapSetting, lapCase, lapParameters, type OpenLap, resident } from "./laps.js";
import { withGoal } from "./ratio.js";
import type { Measured } from "./report.js";

const unit = "ns/connection";
/** 5 M per second and core. */
const nsMax = 200;
/** Enough destinations for the ports of 1 M masqueraded clients. */
const masqueradeServices = 40;

const of = (flows: number, family: 4 | 6, masquerade = false): LapSetting => ({
  flows,
  services: masquerade ? masqueradeServices : 1,
  family,
  masquerade,
  room: true,
});
const settings = [
  of(1_000, 4),
  of(100_000, 4),
  of(1_000_000, 4),
  of(1_000_000, 4, true),
  of(1_000_000, 6),
];
const full = [of(1_000, 6), of(100_000, 6), of(100_000, 4, true), of(1_000_000, 6, true)];

const isGoal = (c: Measured): boolean =>
  c.subject === "corridor" && c.parameters.flows === 1_000_000 && !c.parameters.masquerade;

/** The flows of a lap go away between laps, all of them and no other. */
function checkResident(laps: readonly OpenLap[]): void {
  for (const open of laps)
    if (resident(open) !== open.setting.flows)
      throw new Error(`${resident(open)} flows stayed: ${JSON.stringify(lapParameters(open))}`);
}

export const newFlows = lapQuestion({
  name: "new-flows",
  about: "ns per new connection in memory, at 1 k to 1 M established flows",
  settings,
  more: full,
  cases: (laps) =>
    laps.flatMap((open) => [
      lapCase(open, "corridor", "new", unit),
      lapCase(open, "floor", "floor", "ns/packet"),
    ]),
  check: checkResident,
  judged: (cases) => cases.map((c) => (isGoal(c) ? withGoal(c, { atMost: nsMax }) : c)),
});
