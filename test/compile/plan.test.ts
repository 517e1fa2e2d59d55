// What would change, in words.
import t from "tap";
import { plan, renderPlan } from "../../src/compile/plan.js";
import { readModel } from "../../src/index.js";
import { endpoint, modelOf, service } from "./models.js";

t.test("from nothing, everything is new", async (t) => {
  const model = await modelOf([service("web", "10.96.0.10", [endpoint("10.1.0.1")])]);
  t.same(renderPlan(plan(null, model)).split("\n"), [
    "+ port client: loop on client (needs a restart)",
    "+ port backends: loop on backends (needs a restart)",
    "+ route 198.51.100.0/24: via 192.0.2.254 port client",
    "+ neighbour 192.0.2.254 port client: 02:00:00:00:01:fe",
    "+ service default/web:80: TCP 10.96.0.10:80, balance, 1 endpoints",
  ]);
});

t.test("what is added or removed says the same as JSON", async (t) => {
  const model = await modelOf([service("web", "10.96.0.10", [endpoint("10.1.0.1")])]);
  const detail = "TCP 10.96.0.10:80, balance, 1 endpoints";
  const wanted = { kind: "service", name: "default/web:80", detail, restart: false };
  const added = plan({ ...model, services: [] }, model);
  t.same(JSON.parse(JSON.stringify(added)), [{ change: "add", ...wanted }]);
  const removed = plan(model, { ...model, services: [] });
  t.same(JSON.parse(JSON.stringify(removed)), [{ change: "remove", ...wanted }]);
});

t.test("from itself, nothing", async (t) => {
  const make = () => modelOf([service("web", "10.96.0.10", [endpoint("10.1.0.1")])]);
  t.same(plan(await make(), await make()), []);
  t.equal(renderPlan([]), "no changes");
});

t.test("services and endpoints", async (t) => {
  const before = await modelOf([
    service("web", "10.96.0.10", [
      endpoint("10.1.0.1"),
      endpoint("10.1.0.2"),
      endpoint("10.1.0.3"),
    ]),
    service("old", "10.96.0.11", []),
  ]);
  const after = await modelOf([
    service("web", "10.96.0.10", [
      endpoint("10.1.0.1"),
      endpoint("10.1.0.2", { choosable: false }),
      endpoint("10.1.0.4"),
    ]),
    service("new", "10.96.0.12", [endpoint("10.1.0.1")]),
  ]);
  t.same(renderPlan(plan(before, after)).split("\n"), [
    "+ service default/new:80: TCP 10.96.0.12:80, balance, 1 endpoints",
    "- service default/old:80: TCP 10.96.0.11:80, reject, 0 endpoints",
    "~ endpoint default/web:80 10.1.0.2:8080: choosable: true -> false",
    "+ endpoint default/web:80 10.1.0.4:8080: takes new flows",
    "- endpoint default/web:80 10.1.0.3:8080: takes new flows",
  ]);
});

t.test("what needs a restart says so", async (t) => {
  const before = await modelOf();
  const workers = plan(before, await modelOf([], { workers: { count: 2 } }));
  t.match(workers, [{ change: "change", kind: "settings", name: "workers", restart: true }]);
  const timers = plan(before, await modelOf([], { flows: { timers: { icmp: 5 } } }));
  t.match(timers, [{ change: "change", kind: "settings", name: "flows.timers", restart: false }]);
  t.equal(timers.length, 1);
  const ports = [
    { name: "client", driver: "loop", queues: 2 },
    { name: "backends", driver: "loop", network: "blue", addresses: ["10.1.0.2/24"] },
  ];
  const changed = plan(
    { ...before, routes: [], neighbours: [] },
    await modelOf([], { ports, routes: [], neighbours: [] }),
  );
  t.same(
    changed.map((c) => [c.kind, c.name, c.restart]),
    [
      ["port", "client", true],
      ["port", "backends", false],
    ],
    "addresses are live",
  );
});

t.test("routes and neighbours change in place", async (t) => {
  const before = await modelOf();
  const neighbours = [{ address: "192.0.2.254", mac: "02:00:00:00:01:ff", port: "client" }];
  const after = await modelOf([], { neighbours, routes: [] });
  t.same(
    plan(before, after).map((c) => `${c.change} ${c.kind} ${c.detail}`),
    [
      "remove route via 192.0.2.254 port client",
      "change neighbour mac: 02:00:00:00:01:fe -> 02:00:00:00:01:ff",
    ],
  );
});

t.test("a secret is not told, its change is; copies are made at the start", async (t) => {
  const port = { name: "m", driver: "memif", socket: "@m", role: "client" };
  const before = await readModel({ ports: [{ ...port, secret: "old one" }] });
  const after = await readModel({
    ports: [{ ...port, secret: "new one" }],
    copy: { engine: "thread" },
  });
  const text = renderPlan(plan(before, after));
  t.match(text, /^~ port m: options: .*"secret":"\*\*\*".* \(needs a restart\)$/m);
  t.match(text, /^~ settings copy: .* \(needs a restart\)$/m);
  t.notMatch(text, "one");
});
