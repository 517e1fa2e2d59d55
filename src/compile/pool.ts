/** Ids of one kind: those given back wait a generation. */
export class Pool {
  next = 0;
  free: number[] = [];
  /** Ids that are taken already; those between them are free. */
  constructor(taken: readonly number[] = []) {
    const all = new Set(taken);
    for (const id of taken) this.next = Math.max(this.next, id + 1);
    for (let id = this.next - 1; id >= 0; id--) if (!all.has(id)) this.free.push(id);
  }
  fork(): { take(): number; commit(freed: readonly number[]): void } {
    let next = this.next;
    let left = this.free.length;
    return {
      take: () => (left > 0 ? (this.free[--left] as number) : next++),
      commit: (freed) => {
        this.next = next;
        this.free.length = left;
        for (const id of freed) this.free.push(id);
      },
    };
  }
}
