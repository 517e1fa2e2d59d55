// bench churn: what a new connection costs while as many end, so that the number in the table stays:
// by expiry (SYNs only, each gone when its timer is over) or by reset (a SYN and an RST per connection,
// and the expiry of what was reset). So many established flows lie beside them.
import { lapQuestion } from "./lap_question.js";
import { type LapSetting, lapCase, lapParameters, type OpenLap, resident } from "./laps.js";
import { withGoal } from "./ratio.js";
import type { Case } from "./runner.js";

const ends = ["expire", "reset"] as const;
interface Setting extends LapSetting {
  readonly end: (typeof ends)[number];
}

/** 3 M per second and core. */
const nsMax = 333;
/** Of one lap; two laps' connections are in the table beside the established ones. */
const openedPerLap = 8192;

const of = (flows: number, family: 4 | 6): Setting[] =>
  ends.map((end) => ({ flows, services: 1, family, end, room: true }));
const settings = [...of(1_000_000, 4), ...of(1_000_000, 6)];
const full = [...of(1_000, 4), ...of(100_000, 4)];

const caseOf = (open: OpenLap & { setting: Setting }): Case => ({
  ...lapCase(open, "corridor", open.setting.end, "ns/connection"),
  parameters: { ...lapParameters(open), end: open.setting.end },
});

function checkResident(laps: readonly (OpenLap & { setting: Setting })[]): void {
  for (const open of laps) {
    const more = resident(open) - open.setting.flows;
    if (more < 0 || more > 2 * openedPerLap)
      throw new Error(
        `${more} flows more than at first: ${JSON.stringify(caseOf(open).parameters)}`,
      );
  }
}

export const churn = lapQuestion<Setting>({
  name: "churn",
  about: "ns per new connection in memory while as many end, at 1 M established flows",
  settings,
  more: full,
  cases: (laps) =>
    laps.flatMap((open) => {
      const floor = lapCase(open, "floor", "floor", "ns/packet");
      return open.setting.end === "expire" ? [caseOf(open), floor] : [caseOf(open)];
    }),
  check: checkResident,
  judged: (cases) =>
    cases.map((c) =>
      c.subject === "corridor" && c.parameters.flows === 1_000_000
        ? withGoal(c, { atMost: nsMax })
        : c,
    ),
});
