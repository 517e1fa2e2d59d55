// What Services and EndpointSlices mean (facts of the Kubernetes API and of kube-proxy).
import t from "tap";
import { choice, one, service, slice, worldOf } from "./world.js";

const ready = (address: string, more: object = {}): object => ({ addresses: [address], ...more });

t.test("a service and its endpoints", async (t) => {
  const { services, problems } = worldOf([
    service(one),
    slice([ready("10.1.0.1"), ready("10.1.0.2")]),
  ]);
  t.same(problems, []);
  t.equal(services.length, 1);
  t.match(services[0], {
    namespace: "default",
    name: "web",
    portName: "",
    protocol: "TCP",
    address: "10.96.0.10",
    port: 80,
    network: "default",
  });
  t.equal(choice(services[0]), "10.1.0.1:8080 10.1.0.2:8080 balance");
});

t.test("both families, by clusterIPs and ipFamilies", async (t) => {
  const spec = {
    clusterIP: "10.96.0.10",
    clusterIPs: ["10.96.0.10", "fd00::10"],
    ipFamilies: ["IPv4", "IPv6"],
    ports: [{ port: 80 }],
  };
  const { services, problems } = worldOf([
    service(spec),
    slice([ready("10.1.0.1")]),
    slice([ready("fd00:1::1")], { addressType: "IPv6" }),
  ]);
  t.same(problems, []);
  t.same(
    services.map((s) => `${s.address} ${choice(s)}`),
    ["10.96.0.10 10.1.0.1:8080 balance", "fd00::10 [fd00:1::1]:8080 balance"],
  );
});

t.test("ipFamilies must agree by index", async (t) => {
  const spec = {
    clusterIPs: ["10.96.0.10", "fd00::10"],
    ipFamilies: ["IPv6", "IPv4"],
    ports: [{ port: 80 }],
  };
  t.same(worldOf([service(spec)]).problems, [
    "spec.clusterIPs.0: 10.96.0.10 is not of ipFamilies.0, which is IPv6",
    "spec.clusterIPs.1: fd00::10 is not of ipFamilies.1, which is IPv4",
  ]);
});

t.test("what is skipped", async (t) => {
  const skipped: [string, object][] = [
    ["headless", service({ clusterIP: "None", ports: [{ port: 80 }] })],
    ["headless in clusterIPs", service({ clusterIPs: ["None"], ports: [{ port: 80 }] })],
    [
      "ExternalName",
      service({ type: "ExternalName", externalName: "example.com", clusterIP: "10.96.0.10" }),
    ],
    ["no clusterIP yet", service({ clusterIP: "", ports: [{ port: 80 }] })],
    [
      "of another proxy",
      service(one, { labels: { "service.kubernetes.io/service-proxy-name": "" } }),
    ],
    [
      "Knative's Service",
      { apiVersion: "serving.knative.dev/v1", kind: "Service", metadata: { name: "x" }, spec: {} },
    ],
    ["another kind", { apiVersion: "apps/v1", kind: "Deployment", spec: 3 }],
    ["a kind with the name of a method", { kind: "constructor" }],
  ];
  for (const [what, object] of skipped)
    t.same(worldOf([object]), { services: [], notices: [], problems: [] }, what);
});

t.test("slices that are not this service's", async (t) => {
  const others = [
    slice([ready("10.1.0.1")], {}, { "service.kubernetes.io/headless": "" }),
    slice([ready("10.1.0.2")], {}, { "service.kubernetes.io/service-proxy-name": "x" }),
    slice([ready("10.1.0.3")], {}, { "kubernetes.io/service-name": "other" }),
    slice([ready("10.1.0.4")], {
      metadata: {
        name: "s",
        namespace: "elsewhere",
        labels: { "kubernetes.io/service-name": "web" },
      },
    }),
    slice([ready("10.1.0.5")], { metadata: { name: "s" } }),
    slice([ready("fd00::1")], { addressType: "IPv6" }),
    slice([ready("web.example")], { addressType: "FQDN" }),
  ];
  t.equal(choice(worldOf([service(one), ...others]).services[0]), "reject");
});

t.test("ports go together by name and protocol; the number is the slice's", async (t) => {
  const spec = {
    clusterIP: "10.96.0.10",
    ports: [
      { name: "http", port: 80, targetPort: "web" },
      { name: "dns", port: 53, protocol: "UDP", targetPort: 9 },
      { name: "dns-tcp", port: 53 },
    ],
  };
  const ports = [
    { name: "http", port: 8080 },
    { name: "dns", port: 5353, protocol: "UDP" },
    { name: "dns-tcp", port: 5353, protocol: "UDP" },
  ];
  const other = slice([ready("10.1.0.2")], {
    metadata: { name: "web-2", labels: { "kubernetes.io/service-name": "web" } },
    ports: [{ name: "http", port: 9090 }, { name: "dns", port: 0, protocol: "UDP" }, { name: "x" }],
  });
  const { services, problems } = worldOf([
    service(spec),
    slice([ready("10.1.0.1")], { ports }),
    other,
  ]);
  t.same(problems, []);
  t.same(
    services.map((s) => `${s.portName} ${choice(s)}`),
    ["http 10.1.0.1:8080 10.1.0.2:9090 balance", "dns 10.1.0.1:5353 balance", "dns-tcp reject"],
  );
});

t.test("conditions: nil is ready, serving and not terminating", async (t) => {
  const states: [object | null, string][] = [
    [null, "10.1.0.1:8080 balance"],
    [{}, "10.1.0.1:8080 balance"],
    [{ ready: null, serving: null, terminating: null }, "10.1.0.1:8080 balance"],
    [{ ready: false }, "(10.1.0.1:8080) reject"],
    [{ ready: false, serving: true, terminating: true }, "10.1.0.1:8080 balance"],
    [{ ready: false, terminating: true }, "10.1.0.1:8080 balance"],
    [{ ready: false, serving: false, terminating: true }, "(10.1.0.1:8080) reject"],
  ];
  for (const [conditions, wanted] of states) {
    t.equal(
      choice(worldOf([service(one), slice([ready("10.1.0.1", { conditions })])]).services[0]),
      wanted,
      JSON.stringify(conditions),
    );
  }
});

t.test("terminating ones serve only when nobody is ready", async (t) => {
  const dying = ready("10.1.0.2", {
    conditions: { ready: false, serving: true, terminating: true },
  });
  t.equal(
    choice(worldOf([service(one), slice([ready("10.1.0.1"), dying])]).services[0]),
    "10.1.0.1:8080 (10.1.0.2:8080) balance",
  );
});

t.test("an endpoint in two slices: the one that does not terminate counts", async (t) => {
  const dying = slice([
    ready("10.1.0.1", { conditions: { ready: false, serving: true, terminating: true } }),
  ]);
  const living = slice([ready("10.1.0.1")]);
  for (const order of [
    [dying, living],
    [living, dying],
  ]) {
    const [found] = worldOf([service(one), ...order]).services;
    t.equal(choice(found), "10.1.0.1:8080 balance");
    t.equal(found?.endpoints[0]?.terminating, false);
  }
});

t.test("internal policy Local", async (t) => {
  const local = { ...one, internalTrafficPolicy: "Local" };
  const here = ready("10.1.0.1", { nodeName: "node-a" });
  const there = ready("10.1.0.2", { nodeName: "node-b" });
  const nowhere = ready("10.1.0.3");
  const of = (...endpoints: object[]): string =>
    choice(worldOf([service(local), slice(endpoints)]).services[0]);
  t.equal(of(here, there, nowhere), "10.1.0.1:8080 (10.1.0.2:8080) (10.1.0.3:8080) balance");
  t.equal(of(there, nowhere), "(10.1.0.2:8080) (10.1.0.3:8080) drop", "endpoints, but none here");
  t.equal(of(), "reject", "no endpoint at all");
  t.equal(
    of(ready("10.1.0.2", { nodeName: "node-b", conditions: { ready: false } })),
    "(10.1.0.2:8080) reject",
    "none that is usable",
  );
  const dying = ready("10.1.0.1", {
    nodeName: "node-a",
    conditions: { ready: false, serving: true, terminating: true },
  });
  t.equal(
    of(dying, there),
    "10.1.0.1:8080 (10.1.0.2:8080) balance",
    "terminating here before ready elsewhere",
  );
  const hinted = ready("10.1.0.1", {
    nodeName: "node-a",
    hints: { forZones: [{ name: "zone-9" }] },
  });
  t.equal(of(hinted), "10.1.0.1:8080 balance", "hints do not filter the local ones");
});

t.test("topology hints", async (t) => {
  const zone = (address: string, name: string | null, more: object = {}): object =>
    ready(address, { hints: name === null ? null : { forZones: [{ name }], ...more } });
  const of = (...endpoints: object[]): string =>
    choice(worldOf([service(one), slice(endpoints)]).services[0]);
  t.equal(
    of(zone("10.1.0.1", "zone-1"), zone("10.1.0.2", "zone-2")),
    "10.1.0.1:8080 (10.1.0.2:8080) balance",
  );
  t.equal(
    of(zone("10.1.0.1", "zone-1"), zone("10.1.0.2", null)),
    "10.1.0.1:8080 10.1.0.2:8080 balance",
    "not all have hints",
  );
  t.equal(
    of(zone("10.1.0.1", "zone-3"), zone("10.1.0.2", "zone-2")),
    "10.1.0.1:8080 10.1.0.2:8080 balance",
    "none names this zone",
  );
  const forNode = (name: string): object => ({ forNodes: [{ name }] });
  t.equal(
    of(
      zone("10.1.0.1", "zone-1", forNode("node-b")),
      zone("10.1.0.2", "zone-2", forNode("node-a")),
    ),
    "(10.1.0.1:8080) 10.1.0.2:8080 balance",
    "the node goes before the zone",
  );
  const unready = ready("10.1.0.3", { conditions: { ready: false } });
  t.equal(
    of(zone("10.1.0.1", "zone-1"), unready),
    "10.1.0.1:8080 (10.1.0.3:8080) balance",
    "only ready ones need hints",
  );
  const dying = (address: string, name: string): object =>
    ready(address, {
      conditions: { ready: false, serving: true, terminating: true },
      hints: { forZones: [{ name }] },
    });
  t.equal(
    of(dying("10.1.0.1", "zone-1"), dying("10.1.0.2", "zone-2")),
    "10.1.0.1:8080 10.1.0.2:8080 balance",
    "hints are for ready ones",
  );
});

t.test("lists, in lists too", async (t) => {
  const list = {
    apiVersion: "v1",
    kind: "List",
    items: [service(one), { kind: "List", items: [slice([ready("10.1.0.1")])] }],
  };
  t.equal(choice(worldOf([list]).services[0]), "10.1.0.1:8080 balance");
  const bare = { ...(slice([ready("10.1.0.1")]) as Record<string, unknown>) };
  delete bare.kind;
  delete bare.apiVersion;
  const typed = [
    { kind: "ServiceList", items: [service(one)] },
    { kind: "EndpointSliceList", items: [bare] },
  ];
  t.equal(choice(worldOf(typed).services[0]), "10.1.0.1:8080 balance");
  t.same(
    worldOf([
      { kind: "List", items: [3, {}] },
      { kind: "List", items: 4 },
    ]).problems,
    [
      "items.0: must be a Kubernetes object, not number 3",
      "items.1.kind: is required",
      "items: must be a list, not number 4",
    ],
  );
});

t.test("a service says what of a packet chooses its endpoint", async (t) => {
  const of = (annotations: object | null) => worldOf([service(one, { annotations })]);
  t.equal(of(null).services[0]?.hashFields, undefined, "as the configuration says");
  t.equal(of({ other: "client" }).services[0]?.hashFields, undefined);
  t.equal(of({ "nodeplane/hash-fields": "client" }).services[0]?.hashFields, "client");
  t.same(of({ "nodeplane/hash-fields": "source" }).problems, [
    'metadata.annotations.nodeplane/hash-fields: must be one of 5-tuple, client, not text "source"',
  ]);
});

t.test("what is not served yet is told and does no harm", async (t) => {
  const spec = {
    ...one,
    type: "LoadBalancer",
    externalIPs: ["192.0.2.9"],
    sessionAffinity: "ClientIP",
    unknown: { x: 1 },
  };
  const { services, notices, problems } = worldOf([service(spec)]);
  t.same(problems, []);
  t.equal(services.length, 1);
  t.same(notices, [
    "service default/web: type LoadBalancer beyond its clusterIP is not served yet",
    "service default/web: externalIPs is not served yet",
    "service default/web: sessionAffinity ClientIP is not served yet",
  ]);
});

t.test("mistakes", async (t) => {
  const wrong: [object, string[]][] = [
    [
      service({ ...one, clusterIP: "10.96.0.300" }),
      ['spec.clusterIP: "10.96.0.300" is not an IP address'],
    ],
    [service({ ...one, clusterIP: 5 }), ["spec.clusterIP: must be an IP address, not number 5"]],
    [
      service({ ...one, clusterIP: "127.0.0.1" }),
      ["spec.clusterIP: 127.0.0.1 is a loopback address"],
    ],
    [
      service({ ...one, clusterIPs: ["10.96.0.11"] }),
      ['spec.clusterIPs.0: is not clusterIP, which is "10.96.0.10"'],
    ],
    [
      service({ clusterIPs: ["10.96.0.10", "10.96.0.11"], ports: [{ port: 80 }] }),
      ["spec.clusterIPs.1: 10.96.0.11 is a second address of its family"],
    ],
    [service({ clusterIP: "10.96.0.10" }), ["spec.ports: is required"]],
    [
      service({ ...one, ports: [{ port: 0 }] }),
      ["spec.ports.0.port: must be a port from 1 to 65535, not number 0"],
    ],
    [
      service({ ...one, ports: [{ port: "80" }] }),
      ['spec.ports.0.port: must be a port from 1 to 65535, not text "80"'],
    ],
    [service({ ...one, ports: [{}] }), ["spec.ports.0.port: is required"]],
    [
      service({ ...one, ports: [{ port: 80, protocol: "tcp" }] }),
      ['spec.ports.0.protocol: must be one of TCP, UDP, SCTP, not text "tcp"'],
    ],
    [
      service({ ...one, ports: [{ port: 80 }, { port: 80, name: "b" }] }),
      [
        "spec.ports.0.name: is required with several ports",
        "spec.ports.1.port: TCP 80 is given twice",
      ],
    ],
    [
      service({ ...one, type: "Cluster" }),
      [
        'spec.type: must be one of ClusterIP, NodePort, LoadBalancer, ExternalName, not text "Cluster"',
      ],
    ],
    [
      service({ ...one, internalTrafficPolicy: "local" }),
      ['spec.internalTrafficPolicy: must be one of Cluster, Local, not text "local"'],
    ],
    [
      { apiVersion: "v1", kind: "Service", metadata: {}, spec: one },
      ["metadata.name: is required"],
    ],
    [{ apiVersion: "v1", kind: "Service", metadata: { name: "x" } }, ["spec: is required"]],
    [slice([{ addresses: [] }]), ["endpoints.0.addresses: is empty"]],
    [slice([ready("10.1.0.999")]), ['endpoints.0.addresses.0: "10.1.0.999" is not an IP address']],
    [slice([ready("fd00::1")]), ["endpoints.0.addresses.0: fd00::1 is not of addressType IPv4"]],
    [
      slice([ready("10.1.0.1", { conditions: { ready: "yes" } })]),
      ['endpoints.0.conditions.ready: must be true or false, not text "yes"'],
    ],
    [
      slice([], { addressType: "IPv5" }),
      ['addressType: must be one of IPv4, IPv6, FQDN, not text "IPv5"'],
    ],
    [
      slice([], { ports: [{ port: 65536 }] }),
      ["ports.0.port: must be a port from 1 to 65535, not number 65536"],
    ],
    [slice([3 as unknown as object]), ["endpoints.0: must be a map, not number 3"]],
  ];
  for (const [object, lines] of wrong) t.same(worldOf([object]).problems, lines);
});

t.test("two services with one name, or one address", async (t) => {
  t.same(worldOf([service(one), service(one)]).problems, [
    "metadata.name: service default/web is defined twice",
  ]);
  t.same(worldOf([service(one), service(one, { name: "other" })]).problems, [
    "spec.ports.0.port: 10.96.0.10:80 is service default/web's already",
  ]);
});
