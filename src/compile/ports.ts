// The one row of settings, and a row of each port.
import { ChecksumMode, type PortRow, portNone, type SettingsRow } from "../gen/layout.js";
import { macBytes } from "../kit/ip.js";
import type { Model } from "../model/model.js";
import type { Port } from "../model/port.js";
import type { Settings } from "../model/settings.js";

/** What an opened port is; compile cannot know. */
export interface PortFacts {
  readonly id: number;
  /** Six bytes, zero when it has none. */
  readonly mac: Uint8Array;
  readonly mtu: number;
}

const toHostFlag = 1;
const quietFlag = 2;
export function settingsRow({ flows: { timers }, ...s }: Settings): SettingsRow {
  return {
    tcpSynSentMs: timers.tcpSynSent,
    tcpSynReceivedMs: timers.tcpSynReceived,
    tcpEstablishedMs: timers.tcpEstablished,
    tcpFinWaitMs: timers.tcpFinWait,
    tcpLastAckMs: timers.tcpLastAck,
    tcpTimeWaitMs: timers.tcpTimeWait,
    tcpClosedMs: timers.tcpClosed,
    tcpPickedUpMs: timers.tcpPickedUp,
    udpUnrepliedMs: timers.udpUnreplied,
    udpRepliedMs: timers.udpReplied,
    icmpMs: timers.icmp,
    sctpMs: timers.sctp,
    neighbourReachableMs: s.neighbourTimers.reachable,
    neighbourRetryMs: s.neighbourTimers.retry,
    neighbourTries: s.neighbourTimers.tries,
    icmpErrorsPerSecond: s.icmp.errorsPerSecond,
    snatPortLow: s.nat.portLow,
    snatPortHigh: s.nat.portHigh,
    tcpPickup: s.tcp.pickup ? 1 : 0,
  };
}

export function portRow(
  port: Port,
  facts: PortFacts,
  model: Model,
  idOf: (name: string) => number,
  network: number,
  offline: boolean,
): PortRow {
  const owner = model.ports.find((p) => p.host === port.name);
  return {
    mtu: port.mtu || facts.mtu,
    id: facts.id,
    network: network,
    hostPort: port.host === null ? portNone : idOf(port.host),
    hostOf: owner ? idOf(owner.name) : portNone,
    checksumMode: ChecksumMode[port.checksum],
    flags: (port.take === "services" ? toHostFlag : 0) | (offline ? quietFlag : 0),
    // A tap's configured MAC is the host's side of it; ours is another, as the driver says.
    mac: port.mac === null || port.driver === "tap" ? facts.mac : macBytes(port.mac),
  };
}
