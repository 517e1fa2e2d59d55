// What the kernel tells of DSA work queues, by its files or through its library.
/** One queue as the kernel tells it. */
export interface DsaFacts {
  readonly name: string;
  readonly device: string;
  readonly deviceEnabled: boolean;
  /** The IOMMU gives processes address spaces of their own (intel_iommu=on,sm_on). */
  readonly pasidEnabled: boolean;
  /** -1: none. */
  readonly numaNode: number;
  /** `user`, `kernel` or `none`. */
  readonly type: string;
  /** `dedicated` or `shared`. */
  readonly mode: string;
  readonly state: string;
  readonly driver: string;
  /** Entries. */
  readonly size: number;
  /** Of them usable from user space, in a shared queue. */
  readonly threshold: number;
  /** -1: in none. */
  readonly group: number;
  readonly priority: number;
  readonly blockOnFault: boolean;
  /** Descriptors; 0: no batches. */
  readonly batchMax: number;
  /** Bytes in one descriptor. */
  readonly transferMax: number;
  readonly clients: number;
  /** Of the character device. */
  readonly path: string;
}

/** Where the files are. */
export interface DsaRoots {
  readonly sysfs: string;
  /** Folder of the character devices. */
  readonly dev: string;
}
