import type { HashFields } from "./service.js";

export type WorkerMode = "polling" | "interrupt" | "adaptive";

/** Lifetimes in milliseconds, as in SettingsRow. */
export interface FlowTimers {
  readonly tcpSynSent: number;
  readonly tcpSynReceived: number;
  readonly tcpEstablished: number;
  readonly tcpFinWait: number;
  readonly tcpLastAck: number;
  readonly tcpTimeWait: number;
  readonly tcpClosed: number;
  readonly tcpPickedUp: number;
  readonly udpUnreplied: number;
  readonly udpReplied: number;
  readonly icmp: number;
  readonly sctp: number;
}

/** Linux's conntrack values with kube-proxy's 24 h for established TCP; RFC 4787 REQ-5 for UDP. */
export const defaultTimers: FlowTimers = {
  tcpSynSent: 120_000,
  tcpSynReceived: 60_000,
  tcpEstablished: 86_400_000,
  tcpFinWait: 120_000,
  tcpLastAck: 30_000,
  tcpTimeWait: 120_000,
  tcpClosed: 10_000,
  tcpPickedUp: 300_000,
  udpUnreplied: 30_000,
  udpReplied: 120_000,
  icmp: 30_000,
  sctp: 210_000,
};

/** What no zone claims is in this one; it may have shares, and nothing else. */
export const defaultZone = "default";

/** What belongs to a zone of the flow tables, and its shares in percent of their capacity. */
export interface Zone {
  /** Flows that come in by ports of this network. */
  readonly network?: string | undefined;
  /** Flows whose client is in node.podCIDRs, or is not. */
  readonly from?: "podCIDRs" | "outside" | undefined;
  readonly guaranteed: number;
  readonly maximum: number;
}

/** Who moves bytes between a memif peer's memory and ours (native/copy/copy.h). */
export interface CopySettings {
  readonly engine: "auto" | "cpu" | "thread" | "dsa" | "model";
  /** DSA work queues to use, such as wq0.0; none: every usable one. */
  readonly queues: readonly string[];
  /** CPU where `thread` and `model` work, or null: not pinned. */
  readonly core: number | null;
  /** Smaller copies are the CPU's. */
  readonly bytesMin: number;
  /** Fewer than that in one submit are the CPU's. */
  readonly batchMin: number;
  /** The software DSA. */
  readonly model: {
    readonly latencyUs: number;
    readonly megabytesPerSecond: number;
    /** Entries of its queue. */
    readonly size: number;
    readonly shared: boolean;
    readonly reorder: boolean;
    readonly poison: boolean;
    readonly faultPerMillion: number;
    readonly errorPerMillion: number;
    readonly seed: number;
  };
}

export interface Settings {
  /** Of this dataplane: names its control socket. */
  readonly name: string;
  readonly workers: {
    readonly count: number;
    readonly pin: readonly number[];
    readonly mode: WorkerMode;
  };
  readonly frames: {
    readonly count: number;
    readonly size: number;
    readonly hugePages: boolean;
  };
  readonly flows: {
    readonly capacity: number;
    readonly capacity6: number;
    readonly hash: "sip13" | "crc32c";
    /** 32 hex digits, or null: random at start. */
    readonly seed: string | null;
    /** After what end connections are still there for the next process. */
    readonly survive: "crash" | "restart" | "never";
    /** Path of the flow file, or null: the default one. */
    readonly file: string | null;
    readonly timers: FlowTimers;
    /** In order: the first that matches. */
    readonly zones: Readonly<Record<string, Zone>>;
  };
  readonly tcp: { readonly pickup: boolean };
  /** Of services that do not say otherwise. */
  readonly services: { readonly hashFields: HashFields };
  readonly nat: { readonly portLow: number; readonly portHigh: number };
  readonly icmp: { readonly errorsPerSecond: number };
  readonly neighbourTimers: {
    readonly reachable: number;
    readonly retry: number;
    readonly tries: number;
  };
  readonly copy: CopySettings;
  /** Path, or null: the default one of `name`. */
  readonly controlSocket: string | null;
}
