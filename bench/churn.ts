// bench churn: what a new connection costs while as many end, so that the number in the table stays:
// by expiry (SYNs only, each gone when its timer is over) or by reset (a SYN and an RST per connection,
// and the expiry of what was reset). So many established flows lie beside them.
import {
  type LapSetting,
  lapCase,
  lapParameters,
  type OpenLap,
  resident,
  withLaps,
} from "./laps.js";
import { machineFacts } from "./machine.js";
import type { Question } from "./questions.js";
import { withGoal } from "./ratio.js";
import type { Report } from "./report.js";
import { type Case, interleave } from "./runner.js";

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

export const churn: Question = {
  name: "churn",
  about: "ns per new connection in memory while as many end, at 1 M established flows",
  async run({ isFull, rounds, progress }): Promise<Report> {
    return withLaps("bench-churn", [...settings, ...(isFull ? full : [])], async (laps) => {
      const measured = await interleave(laps.map(caseOf), {
        rounds: rounds ?? (isFull ? 61 : 31),
        warmup: 3,
        progress,
      });
      checkResident(laps);
      return {
        question: "churn",
        machine: machineFacts({ hugePagesUsed: laps[0]?.dataplane.info().hugePages ?? false }),
        cases: measured.map((c) =>
          c.parameters.flows === 1_000_000 ? withGoal(c, { atMost: nsMax }) : c,
        ),
      };
    });
  },
};
