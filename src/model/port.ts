import type { IpText, MacText, PrefixText } from "../kit/brand.js";

export const driverNames = ["auto", "af_xdp", "af_packet", "tap", "memif", "pcap", "loop"] as const;
export type DriverName = (typeof driverNames)[number];

/** An interface as it is wished for. */
export interface Port {
  readonly name: string;
  readonly driver: DriverName;
  /** Kernel interface or whatever the driver opens. */
  readonly interface: string;
  readonly queues: number;
  /** Largest IP packet in bytes; 0: the interface's own. */
  readonly mtu: number;
  /** Null: the interface's own. */
  readonly mac: MacText | null;
  /** `address/length`, host bits as they are. */
  readonly addresses: readonly PrefixText[];
  /** Routing domain: part of the flow key. */
  readonly network: string;
  /** Name of the tap port behind which the host lives, or null. */
  readonly host: string | null;
  readonly take: "all" | "services";
  readonly checksum: "auto" | "trust" | "compute";
  /** The driver's own keys, as text. */
  readonly options: Readonly<Record<string, string>>;
}

export interface Route {
  readonly to: PrefixText;
  readonly via: IpText | null;
  readonly port: string;
}

/** A static neighbour: never asked, never aged. */
export interface Neighbour {
  readonly address: IpText;
  readonly mac: MacText;
  readonly port: string;
}

/** Where this dataplane runs, for topology and masquerade. Names as in Kubernetes. */
export interface Node {
  readonly name: string;
  readonly zone: string;
  readonly addresses: readonly IpText[];
  readonly podCIDRs: readonly PrefixText[];
}
