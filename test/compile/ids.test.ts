// Ids stay; a freed one rests for a generation.
import t from "tap";
import { IdDirectory, type Naming } from "../../src/compile/ids.js";
import type { L4Port } from "../../src/kit/brand.js";
import type { Endpoint, Service } from "../../src/model/service.js";
import { endpoint, service } from "./models.js";

type Wish = Record<string, string[]>;
const places = (names: string[]): Endpoint[] => [...names].sort().map((a) => endpoint(a));

/** All at one address, whose echo is the anchor's: then echoes take no ids in between. */
const portOf = (key: string): L4Port => (1000 + key.charCodeAt(key.length - 1)) as L4Port;
const anchor = service("anchor", "10.96.0.10", []);
const wished = (key: string, names: string[]): Service =>
  service(key, "10.96.0.10", places(names), { port: portOf(key) });
const servicesOf = (wish: Wish): Service[] => [
  anchor,
  ...Object.entries(wish).map(([key, names]) => wished(key, names)),
];
const nameOf = (key: string): string => `default/${key}:/TCP/10.96.0.10:${portOf(key)}`;

/** Publishes a wish: service -> endpoints' addresses; says the ids. */
function publish(
  directory: IdDirectory,
  wish: Wish,
  isCommitted = true,
): Record<string, readonly [number, ...number[]]> {
  const draft = directory.draft(servicesOf(wish));
  const ids = draft.services.map((service) => {
    const named = draft.named(service);
    const pair: readonly [number, ...number[]] = [named.id, ...named.ids];
    return [service.name, pair] as const;
  });
  if (isCommitted) directory.commit(draft);
  const { anchor: _, ...rest } = Object.fromEntries(ids);
  return rest;
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
  t.equal(directory.labelOf(first.a?.[0] ?? -1), "default/a:1097");
});

t.test("labels outlive their service until the id is used again", async (t) => {
  const directory = new IdDirectory();
  const id = publish(directory, { a: [] }).a?.[0] ?? -1;
  publish(directory, {});
  t.equal(directory.labelOf(id), "default/a:1097");
  publish(directory, { b: [] });
  t.equal(directory.labelOf(id), "default/b:1098");
});

t.test("networks", async (t) => {
  const directory = new IdDirectory();
  const draft = directory.draft([]);
  t.same(
    ["blue", "default", "red", "blue"].map((n) => draft.network(n)),
    [1, 0, 2, 1],
  );
  directory.commit(draft);
  t.equal(directory.draft([]).network("red"), 2);
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
      const draft = directory.draft(servicesOf(wish));
      draft.network("blue");
      for (const one of draft.freed()) t.ok(kept.delete(`${one.kind} ${one.key}`), "freed once");
      for (const one of draft.fresh()) {
        t.notOk(kept.has(`${one.kind} ${one.key}`), "named once");
        kept.set(`${one.kind} ${one.key}`, one);
      }
      directory.commit(draft);
      last = publish(directory, wish);
      const echoAndAnchor = 2;
      t.equal(kept.size, echoAndAnchor + ([1 + 2 + 3, 1 + 2 + 2, 1 + 3 + 4][round] as number));
    }
    const again = new IdDirectory(kept.values());
    t.equal(again.networkOf(1), "blue");
    const wish = { a: ["10.0.0.2", "10.0.0.3"], d: ["10.0.0.9"], e: ["10.0.0.9"] };
    const draft = again.draft(servicesOf(wish));
    const now = publish(again, wish, false);
    t.same([now.a, now.d], [last.a, last.d]);
    t.notOk(now.e?.some((id, i) => (i === 0 ? [last.b?.[0]] : last.b?.slice(1))?.includes(id)));
    t.same(listed(draft.freed()), [
      `endpoint ${nameOf("b")} 10.0.0.1:8080 ${last.b?.[1]}`,
      `service ${nameOf("b")} ${last.b?.[0]}`,
    ]);
    t.same(listed(draft.fresh()), [
      `endpoint ${nameOf("e")} 10.0.0.9:8080 ${now.e?.[1]}`,
      `service ${nameOf("e")} ${now.e?.[0]}`,
    ]);
    again.commit(draft);
    const next = publish(again, { a: ["10.0.0.2", "10.0.0.3"], f: ["10.0.0.7"] });
    t.same(next.a, last.a);
    t.same(next.f, last.b, "what nobody named is free now");
  },
);

t.test("a change is what another list does not share with the one before", async (t) => {
  const directory = new IdDirectory();
  const at = (name: string, address: string, port: number, endpoints: string[] = []): Service =>
    service(name, address, places(endpoints), { port: port as L4Port });
  const apply = (services: readonly Service[]) => {
    const draft = directory.draft(services);
    const echoes = services.filter((s) => draft.echo(s) !== null).map((s) => s.name);
    const changed = [...draft.changed].map((s) => s.name);
    for (const list of [services, draft.changed, [...services].reverse(), services.slice(1)]) {
      const named = list.map((s) => draft.named(s));
      const ids = list.map((s) => draft.echo(s));
      t.same(draft.beside(list), { named, echoes: ids }, "beside a list, in whatever order");
    }
    const { serviceCount, endpointCount, removed } = draft;
    directory.commit(draft);
    return { changed, echoes, removed: removed.length, serviceCount, endpointCount };
  };
  const a = at("a", "10.96.0.1", 80, ["10.0.0.1"]);
  const b = at("b", "10.96.0.1", 90, ["10.0.0.2", "10.0.0.3"]);
  const c = at("c", "10.96.0.2", 80);
  const counts = { removed: 0, serviceCount: 5, endpointCount: 3 };
  t.same(apply([b, a, c]), { changed: ["b", "a", "c"], echoes: ["a", "c"], ...counts });
  t.same(apply([c, b, a]), { changed: [], echoes: ["c", "a"], ...counts }, "another order");
  const twin = at("a", "10.96.0.1", 80, ["10.0.0.1"]);
  t.same(apply([c, b, twin]), { changed: [], echoes: ["c", "a"], ...counts }, "an equal object");
  t.same(
    apply([c, b]),
    { changed: ["b"], echoes: ["c", "b"], removed: 1, serviceCount: 4, endpointCount: 2 },
    "the echo passes on to the lowest port that is left, whose rows are said again",
  );
  const low = at("low", "10.96.0.1", 7, ["10.0.0.9"]);
  t.same(apply([low, c, b]), {
    changed: ["low"],
    echoes: ["low", "c"],
    removed: 0,
    serviceCount: 5,
    endpointCount: 3,
  });
  const other = at("low", "10.96.0.1", 7, ["10.0.0.8", "10.0.0.9"]);
  t.same(apply([other, b]), {
    changed: ["low"],
    echoes: ["low"],
    removed: 2,
    serviceCount: 3,
    endpointCount: 4,
  });
  t.ok(directory.draft([other, b, b]).isDoubled);
  t.notOk(directory.draft([b, other]).isDoubled);
});
