// Ids stay; a freed one rests for a generation.
import t from "tap";
import { IdDirectory, type Naming } from "../../src/compile/ids.js";
import type { Endpoint } from "../../src/model/service.js";
import { endpoint } from "./models.js";

type Wish = Record<string, string[]>;
const places = (names: string[]): Endpoint[] => [...names].sort().map((a) => endpoint(a));

/** Publishes a wish: service -> endpoints' addresses; says the ids. */
function publish(
  directory: IdDirectory,
  wish: Wish,
  isCommitted = true,
): Record<string, readonly [number, ...number[]]> {
  const draft = directory.draft();
  const ids = Object.entries(wish).map(([key, names]) => {
    const named = draft.service(key, `label ${key}`, places(names));
    const pair: readonly [number, ...number[]] = [named.id, ...named.ids];
    return [key, pair] as const;
  });
  if (isCommitted) draft.commit();
  return Object.fromEntries(ids);
}

t.test("the same names have the same ids, whatever comes and goes around them", async (t) => {
  const directory = new IdDirectory();
  const first = publish(directory, { a: ["10.0.0.1", "10.0.0.3"], b: ["10.0.0.1"] });
  t.equal(
    new Set([...(first.a ?? []).slice(1), ...(first.b ?? []).slice(1)]).size,
    3,
    "one place in two services is two endpoints",
  );
  const second = publish(directory, { c: ["10.0.0.1"], a: ["10.0.0.1", "10.0.0.2", "10.0.0.3"] });
  t.equal(second.a?.[0], first.a?.[0]);
  t.equal(second.a?.[1], first.a?.[1]);
  t.equal(second.a?.[3], first.a?.[2]);
});

t.test("a freed id is not used in the generation that frees it, but later", async (t) => {
  const directory = new IdDirectory();
  const first = publish(directory, { a: ["10.0.0.1"], b: ["10.0.0.2"] });
  const second = publish(directory, { b: ["10.0.0.3"], c: ["10.0.0.4"] });
  t.not(second.c?.[0], first.a?.[0], "service");
  t.notOk(
    [second.b?.[1], second.c?.[1]].includes(first.a?.[1]),
    "endpoint of a service that is gone",
  );
  t.notOk([second.b?.[1], second.c?.[1]].includes(first.b?.[1]), "endpoint that is gone");
  const third = publish(directory, {
    b: ["10.0.0.3"],
    c: ["10.0.0.4"],
    d: ["10.0.0.5", "10.0.0.6"],
  });
  t.equal(third.d?.[0], first.a?.[0], "used again");
  t.same(new Set(third.d?.slice(1)), new Set([first.a?.[1], first.b?.[1]]));
});

t.test("what is not committed never was", async (t) => {
  const directory = new IdDirectory();
  const first = publish(directory, { a: ["10.0.0.1"] });
  publish(directory, { b: ["10.0.0.9"] }, false);
  t.same(publish(directory, { a: ["10.0.0.1"] }), first);
  t.equal(directory.labelOf(first.a?.[0] ?? -1), "label a");
});

t.test("labels outlive their service until the id is used again", async (t) => {
  const directory = new IdDirectory();
  const id = publish(directory, { a: [] }).a?.[0] ?? -1;
  publish(directory, {});
  t.equal(directory.labelOf(id), "label a");
  publish(directory, { b: [] });
  t.equal(directory.labelOf(id), "label b");
});

t.test("networks", async (t) => {
  const directory = new IdDirectory();
  const draft = directory.draft();
  t.same(
    ["blue", "default", "red", "blue"].map((n) => draft.network(n)),
    [1, 0, 2, 1],
  );
  draft.commit();
  t.equal(directory.draft().network("red"), 2);
  t.equal(directory.networkOf(1), "blue");
});

t.test(
  "random comings and goings: never two names for one id, never a new id for an old name",
  async (t) => {
    const directory = new IdDirectory();
    let seed = 1;
    const random = (n: number): number => {
      seed = (Math.imul(seed, 1103515245) + 12345) >>> 0;
      return (seed >>> 8) % n;
    };
    let before: Record<string, readonly [number, ...number[]]> = {};
    let wishBefore: Wish = {};
    for (let round = 0; round < 300; round++) {
      const wish: Wish = {};
      for (let s = 0; s < 8; s++) {
        if (random(3) === 0) continue;
        wish[`s${s}`] = Array.from({ length: 6 }, (_, e) => `10.0.0.${e}`).filter(
          () => random(2) === 0,
        );
      }
      const now = publish(directory, wish);
      const ids = Object.values(now).flatMap(([, ...endpoints]) => endpoints);
      if (new Set(ids).size !== ids.length) t.fail("one id for two endpoints");
      const gone = new Set<number>(Object.values(before).flatMap(([, ...e]) => e));
      for (const [key, names] of Object.entries(wish)) {
        names.forEach((name, i) => {
          const was = wishBefore[key]?.indexOf(name) ?? -1;
          const id = now[key]?.[i + 1] ?? -1;
          if (was >= 0 && before[key]?.[was + 1] !== id) t.fail("an old name with a new id");
          if (was < 0 && gone.has(id)) t.fail("an id that was another's a moment ago");
        });
      }
      before = now;
      wishBefore = wish;
    }
    t.pass("300 rounds");
  },
);

/** Names and ids, in no order. */
const listed = (names: Iterable<Naming>): string[] =>
  [...names].map(({ kind, key, id }) => `${kind} ${key} ${id}`).sort();

t.test(
  "what is named and freed tells the whole directory, and a new one begins with it",
  async (t) => {
    const kept = new Map<string, Naming>();
    const directory = new IdDirectory();
    const wishes: Wish[] = [
      { a: ["10.0.0.1", "10.0.0.2"], b: ["10.0.0.1"] },
      { a: ["10.0.0.2", "10.0.0.3"], c: [] },
      { a: ["10.0.0.2", "10.0.0.3"], d: ["10.0.0.9"], b: ["10.0.0.1"] },
    ];
    let last: ReturnType<typeof publish> = {};
    for (const [round, wish] of wishes.entries()) {
      const draft = directory.draft();
      draft.network("blue");
      last = {};
      for (const [key, names] of Object.entries(wish)) {
        const { id, ids } = draft.service(key, key, places(names));
        last[key] = [id, ...ids];
      }
      for (const one of draft.freed()) t.ok(kept.delete(`${one.kind} ${one.key}`), "freed once");
      for (const one of draft.named()) {
        t.notOk(kept.has(`${one.kind} ${one.key}`), "named once");
        kept.set(`${one.kind} ${one.key}`, one);
      }
      draft.commit();
      t.equal(kept.size, [1 + 2 + 3, 1 + 2 + 2, 1 + 3 + 4][round]);
    }
    const again = new IdDirectory(kept.values());
    t.equal(again.networkOf(1), "blue");
    const draft = again.draft();
    const ids = (key: string, names: string[]) => {
      const { id, ids } = draft.service(key, key, places(names));
      return [id, ...ids];
    };
    t.same(ids("a", ["10.0.0.2", "10.0.0.3"]), last.a);
    t.same(ids("d", ["10.0.0.9"]), last.d);
    const fresh = ids("e", ["10.0.0.9"]);
    t.notOk(fresh.some((id, i) => (i === 0 ? [last.b?.[0]] : last.b?.slice(1))?.includes(id)));
    t.same(listed(draft.freed()), [
      `endpoint b 10.0.0.1:8080 ${last.b?.[1]}`,
      `service b ${last.b?.[0]}`,
    ]);
    t.same(listed(draft.named()), [
      `endpoint e 10.0.0.9:8080 ${fresh[1]}`,
      `service e ${fresh[0]}`,
    ]);
    draft.commit();
    const next = publish(again, { a: ["10.0.0.2", "10.0.0.3"], f: ["10.0.0.7"] });
    t.same(next.a, last.a);
    t.same(next.f, last.b, "what nobody named is free now");
  },
);
