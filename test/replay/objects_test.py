"""Kubernetes objects and configurations: what they mean, and what is said of their mistakes."""

from kit import *


def syns(count, dst=VIP, dport=80, first=1000, client=OUTSIDE, kind=TCP):
    def one(i):
        return (TCP(sport=first + i, dport=dport, flags="S") if kind is TCP
                else kind(sport=first + i, dport=dport))
    return [(1 + i / 1000, at_client(ip(client, dst) / one(i))) for i in range(count)]


def targets(result, l3=IP):
    found = {}
    for packet in result.packets("backends"):
        found[packet[l3].dst] = found.get(packet[l3].dst, 0) + 1
    return found


def chosen(endpoints, objects=None, count=200, **spec):
    """Endpoint addresses that new connections reach, and how often."""
    objects = objects or [service(**spec), endpoint_slice(endpoints=endpoints)]
    result = replay(many(), objects, [("client", syns(count))])
    return targets(result), result.drops()


def many(count=30):
    world = config(node={**plain_node()})
    world["neighbours"] = [n for n in world["neighbours"] if n["port"] == "client"]
    world["neighbours"] += [{"address": f"10.1.0.{i}", "mac": f"02:00:00:00:02:{i:02x}",
                             "port": "backends"} for i in range(2, 2 + count)]
    return world


A, B, C = "10.1.0.2", "10.1.0.3", "10.1.0.4"


@case
def spread():
    """Connections spread evenly over the endpoints, and a connection keeps its own."""
    addresses = [f"10.1.0.{i}" for i in range(2, 12)]
    result = replay(many(), [service(), endpoint_slice(endpoints=addresses)],
                    [("client", syns(2000))])
    found = targets(result)
    same(set(found), set(addresses), "all take part")
    # 200 each; six standard deviations of a fair draw, and Maglev's own unevenness of 1 %.
    is_true(all(110 <= n <= 290 for n in found.values()), f"evenly: {found}")


@case
def order_does_not_matter():
    """The same choice whatever the order of objects, slices and endpoints in the manifests."""
    addresses = [f"10.1.0.{i}" for i in range(2, 9)]
    other = [service("other", ("10.96.0.99",), (("", "TCP", 80),)),
             endpoint_slice("other", endpoints=addresses[:2])]
    halves = [endpoint_slice(endpoints=addresses[:3]), endpoint_slice(endpoints=addresses[3:], suffix="2")]
    orders = [[service(), *halves, *other],
              [*other, *reversed(halves), service()],
              [endpoint_slice(endpoints=list(reversed(addresses))), *reversed(other), service()]]
    outs = []
    for objects in orders:
        result = replay(many(), objects, [("client", syns(200))])
        outs.append([(p[TCP].sport, p[IP].dst) for p in result.packets("backends")])
    same(outs[1], outs[0], "objects in another order")
    same(outs[2], outs[0], "endpoints in another order")


@case
def maglev_moves_little():
    """One endpoint more moves about its own share of new connections, hardly any other."""
    addresses = [f"10.1.0.{i}" for i in range(2, 12)]
    def choice(endpoints):
        result = replay(many(), [service(), endpoint_slice(endpoints=endpoints)],
                        [("client", syns(1000))])
        return {p[TCP].sport: p[IP].dst for p in result.packets("backends")}
    before, after = choice(addresses), choice(addresses[:-1])
    moved = [s for s in before if before[s] != after[s] and before[s] != addresses[-1]]
    is_true(len(moved) <= 50, f"moved without need: {len(moved)} of 1000")


@case
def readiness():
    """Ready ones; if there is none, those that serve while they terminate; absent means ready."""
    e = endpoint
    table = [
        ([e(A, ready=True), e(B, ready=False)], {A}, {}),
        ([e(A), e(B)], {A, B}, {}),
        ([{"addresses": [A]}, {"addresses": [B], "conditions": None}], {A, B}, {}),
        ([e(A, ready=True), e(B, ready=False, serving=True, terminating=True)], {A}, {}),
        ([e(A, ready=False, serving=True, terminating=True), e(B, ready=False)], {A}, {}),
        ([e(A, ready=False, terminating=True), e(B, ready=False, serving=False, terminating=True)],
         {A}, {}),
        ([e(A, ready=False, serving=True)], set(), {"no_endpoint": 50}),
        ([e(A, ready=False, serving=False, terminating=True)], set(), {"no_endpoint": 50}),
        ([], set(), {"no_endpoint": 50}),
        # Twice, in both conditions: the one that lives counts.
        ([e(A, ready=False, serving=True, terminating=True), e(A, ready=True)], {A}, {}),
        # Only the first address of an endpoint is used.
        ([{"addresses": [A, B]}], {A}, {}),
    ]
    for endpoints, wanted, drops in table:
        found, dropped = chosen(endpoints, count=50)
        same((set(found), dropped), (wanted, drops), f"{endpoints}")


@case
def local_policy():
    """internalTrafficPolicy Local: local ones, then local ones that terminate, then silence."""
    e = endpoint
    table = [
        ([e(A, nodeName="node-a"), e(B, nodeName="node-b"), e(C)], {A}, {}),
        ([e(A, nodeName="node-a", ready=False, serving=True, terminating=True),
          e(B, nodeName="node-b")], {A}, {}),
        ([e(A, nodeName="node-a", ready=False), e(B, nodeName="node-b")], set(),
         {"no_local_endpoint": 50}),
        ([e(A, ready=True)], set(), {"no_local_endpoint": 50}),
        ([e(A, nodeName="node-a", ready=False)], set(), {"no_endpoint": 50}),
        ([], set(), {"no_endpoint": 50}),
    ]
    for endpoints, wanted, drops in table:
        found, dropped = chosen(endpoints, count=50, internalTrafficPolicy="Local")
        same((set(found), dropped), (wanted, drops), f"{endpoints}")


@case
def hints():
    """Topology hints: node, then zone, only when every ready endpoint has them; never for Local."""
    def e(address, zone=None, node=None, **more):
        hint = {}
        if zone:
            hint["forZones"] = [{"name": zone}]
        if node:
            hint["forNodes"] = [{"name": node}]
        return endpoint(address, hints=hint, **more)
    table = [
        ([e(A, "zone-1"), e(B, "zone-2")], {A}),
        ([e(A, "zone-1"), e(B)], {A, B}),
        ([e(A, "zone-2"), e(B, "zone-3")], {A, B}),
        ([e(A, "zone-1", "node-b"), e(B, "zone-2", "node-a")], {B}),
        ([e(A, "zone-1", "node-b"), e(B, "zone-1")], {A, B}),
        ([e(A, "zone-1"), e(B, ready=False)], {A}),
    ]
    for endpoints, wanted in table:
        found, _ = chosen(endpoints, count=50)
        same(set(found), wanted, f"{endpoints}")
    found, _ = chosen([e(A, "zone-2", nodeName="node-a"), e(B, "zone-1", nodeName="node-b")],
                      count=50, internalTrafficPolicy="Local")
    same(set(found), {A}, "Local looks at no hints")


@case
def ports():
    """Named ports over several slices: the slice's number counts, per endpoint; targetPort does not."""
    objects = [
        service(ports=(("http", "TCP", 80), ("dns", "UDP", 53), ("assoc", "SCTP", 80))),
        endpoint_slice(ports=(("http", "TCP", 8080), ("dns", "UDP", 5353)), endpoints=[A]),
        endpoint_slice(ports=(("http", "TCP", 9090),), endpoints=[B], suffix="2"),
        endpoint_slice(ports=(("assoc", "SCTP", 7777), ("http", "UDP", 1)), endpoints=[C], suffix="3"),
        endpoint_slice(ports=(("other", "TCP", 1),), endpoints=[C], suffix="4"),
    ]
    objects[0]["spec"]["ports"][0]["targetPort"] = "a-name"
    objects[0]["spec"]["ports"][1]["targetPort"] = 99
    objects[0]["spec"]["ports"][0]["nodePort"] = 30080
    result = replay(many(), objects, [("client", syns(100)), ("client", [])][:1])
    same({(p[IP].dst, p[TCP].dport) for p in result.packets("backends")}, {(A, 8080), (B, 9090)}, "")
    result = replay(many(), objects, [("client", syns(20, dport=53, kind=UDP))])
    same({(p[IP].dst, p[UDP].dport) for p in result.packets("backends")}, {(A, 5353)}, "dns")
    result = replay(many(), objects, [("client", [(1, at_client(
        ip(OUTSIDE, VIP) / SCTP(sport=1, dport=80) / SCTPChunkInit()))])])
    same((result.only("backends")[IP].dst, result.only("backends")[SCTP].dport), (C, 7777), "sctp")
    same(result.flows[0]["service"], "default/web:80", "service of the flow")
    # A port without a number, or zero, is nobody's.
    nothing = [service(), endpoint_slice(ports=(("", "TCP", None),), endpoints=[A])]
    result = replay(many(), nothing, [("client", syns(1))])
    same(result.drops(), {"no_endpoint": 1}, "no number")


@case
def dual_stack():
    """Both families, either first; each with the slices of its own."""
    for addresses, families in (((VIP, VIP6), ["IPv4", "IPv6"]), ((VIP6, VIP), ["IPv6", "IPv4"]),
                                ((VIP, VIP6), None)):
        more = {"ipFamilies": families} if families else {}
        objects = [service(addresses=addresses, **more), endpoint_slice(endpoints=[ENDPOINT]),
                   endpoint_slice(endpoints=[ENDPOINT6], suffix="2")]
        for family, client, vip, pod in FAMILIES:
            result = replay(config(), objects, [("client", syns(1, vip, client=client))])
            same(targets(result, IP if family == 4 else IPv6), {pod: 1}, f"{addresses} {family}")
    only = [service(addresses=(VIP,)), endpoint_slice(endpoints=[ENDPOINT6])]
    result = replay(config(), only, [("client", syns(1))])
    same(result.drops(), {"no_endpoint": 1}, "only endpoints of the other family")


@case
def defaults():
    """The API server's defaults: protocol TCP, port name "", type, clusterIPs, namespace."""
    text = """
apiVersion: v1
kind: Service
metadata: { name: web }
spec:
  clusterIP: 10.96.0.10
  ports: [{ port: 80 }]
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: { name: web-x, labels: { kubernetes.io/service-name: web } }
addressType: IPv4
ports: [{ port: 8080 }]
endpoints: [{ addresses: [10.1.0.2] }]
"""
    result = replay(many(), {"services.yaml": text}, [("client", syns(1))])
    same((targets(result), result.flows[0]["service"]), ({A: 1}, "default/web:80"), "defaults")


@case
def forms():
    """List, several documents, JSON, a directory of files, kinds of others, unknown keys."""
    slice_, service_ = endpoint_slice(endpoints=[A]), service()
    service_["spec"]["unknownKey"] = {"deep": [1]}
    service_["status"] = {"loadBalancer": {}}
    slice_["endpoints"][0]["surprise"] = True
    noise = [{"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d"}, "spec": 5},
             {"apiVersion": "v1", "kind": "ConfigMap", "data": {"a": "b"}},
             {"apiVersion": "serving.knative.dev/v1", "kind": "Service", "metadata": {"name": "k"}}]
    listed = {"apiVersion": "v1", "kind": "List", "items": [service_, *noise, slice_]}
    typed = [{"apiVersion": "v1", "kind": "ServiceList", "items": [
                 {k: v for k, v in service_.items() if k not in ("kind", "apiVersion")}]},
             {"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSliceList", "items": [slice_]}]
    forms = [
        {"services.yaml": documents(service_, slice_, *noise)},
        {"services.yaml": documents(listed)},
        {"services.yaml": json.dumps(listed)},
        {"services.yaml": documents(*typed)},
        {"services.yaml": "---\n# nothing\n---\n" + documents(service_, slice_) + "---\n...\n"},
    ]
    for files in forms:
        result = replay(many(), files, [("client", syns(1))])
        same(targets(result), {A: 1}, f"{files}")
    world = {**many(), "manifests": ["dir", "more/one.json"]}
    files = {"dir/a.yaml": [service_], "dir/b.json": json.dumps(slice_),
             "dir/c.yml": documents(noise[0]), "dir/README.txt": "{ no yaml", "dir/.hidden.yaml": "{",
             "more/one.json": json.dumps(service("two", ("10.96.0.11",)))}
    result = replay(world, files, [("client", syns(1))])
    same(targets(result), {A: 1}, "a directory")
    result = replay(world, files, [("client", syns(1, "10.96.0.11"))])
    same(result.drops(), {"no_endpoint": 1}, "a file beside it")


@case
def skipped():
    """Headless, ExternalName and somebody else's services are not ours: routed as any address."""
    for spec, labels in (({"clusterIP": "None", "clusterIPs": ["None"]}, {}),
                         ({"type": "ExternalName", "externalName": "example.org"}, {}),
                         ({}, {"service.kubernetes.io/service-proxy-name": "other"})):
        hidden = service(**spec)
        hidden["metadata"]["labels"] = labels
        result = replay(many(), [hidden, endpoint_slice(endpoints=[A])], [("client", syns(1))])
        same(result.drops(), {"no_route": 1}, f"{spec} {labels}")
    headless = endpoint_slice(endpoints=[A])
    headless["metadata"]["labels"]["service.kubernetes.io/headless"] = ""
    result = replay(many(), [service(), headless], [("client", syns(1))])
    same(result.drops(), {"no_endpoint": 1}, "a headless slice")
    fqdn = {**endpoint_slice(endpoints=[]), "addressType": "FQDN",
            "endpoints": [{"addresses": ["example.org"]}]}
    result = replay(many(), [service(), fqdn], [("client", syns(1))])
    same(result.drops(), {"no_endpoint": 1}, "FQDN")


@case
def networks():
    """A service lives in the default network; ports of another one know nothing of it."""
    world = config(node=plain_node())
    world["ports"].append({"name": "far", "driver": "pcap", "mac": "02:00:00:00:00:03",
                           "addresses": ["203.0.113.1/24"], "network": "red"})
    packet = Ether(src=GATEWAY_MAC, dst="02:00:00:00:00:03") / ip("203.0.113.5", VIP) / TCP(
        sport=1, dport=80, flags="S")
    result = replay(world, WEB, [("far", [(1, packet)])], outs=("client", "backends", "far"))
    same(result.drops(), {"no_route": 1}, "unknown there")
    result = replay(world, WEB, [("client", syns(1))])
    same(result.flows[0]["network"], "default", "network")


# --- mistakes -----------------------------------------------------------------------------------------


def said(text, manifests=WEB):
    with tempfile.TemporaryDirectory() as folder:
        write_world(folder, text, manifests)
        done = command("check", "-c", f"{folder}/nodeplane.yaml")
        lines = done.stderr.replace(folder + "/", "").strip().split("\n")
        as_json = command("check", "-c", f"{folder}/nodeplane.yaml", "--json")
        document = json.loads(as_json.stdout)
        same((as_json.returncode, document["ok"]), (done.returncode, done.returncode == 0), "--json")
        again = command("replay", "-c", f"{folder}/nodeplane.yaml", "--json")
        if done.returncode:
            same((again.returncode, again.stdout), (1, ""), "replay refuses it too")
        return done.returncode, lines


def place(text, words, file="nodeplane.yaml"):
    """FILE:LINE:COL of the only place where the words stand."""
    same(text.count(words), 1, f"{words} stands once")
    before = text[:text.index(words)].split("\n")
    return f"{file}:{len(before)}:{len(before[-1]) + 1}:"


def said_at(text, *wanted, manifests=WEB):
    """One line for each wanted (words, path), in this order."""
    status, lines = said(text, manifests)
    same(status, 1, f"{lines}")
    same([" ".join(line.split(" ")[:2]) for line in lines],
         [f"{place(text, words)} {path}:" for words, path in wanted], f"{lines}")
    return lines


@case
def mistakes():
    """Each mistake of a configuration is one line FILE:LINE:COL: path: message, status 1."""
    same(said(CONFIG)[0], 0, "the sample is right")
    text = CONFIG.replace("driver: pcap, addresses: [192", "drivr: pcap, addresses: [192")
    lines = said_at(text, ("drivr", "ports.0.drivr"))
    same(lines[0].split(" ", 2)[2], "unknown key", "the message")
    said_at(CONFIG.replace("10.1.0.1/24", "10.1.0.300/24"), ("10.1.0.300", "ports.1.addresses.0"))
    said_at(CONFIG.replace("254, port: client }\nn", "254, port: cliant }\nn"),
            ("cliant", "routes.0.port"))
    said_at(CONFIG + "surprise: 1\nnode2: {}\n", ("surprise", "surprise"), ("node2", "node2"))
    said_at(CONFIG.replace("podCIDRs", "podCidrs").replace("02:00:00:00:02:0b", "02:xx"),
            ("02:xx", "neighbours.1.mac"), ("podCidrs", "node.podCidrs"))
    said_at(CONFIG.replace("services.yaml", "nowhere.yaml"), ("nowhere.yaml", "manifests.0"))
    said_at(CONFIG.replace("198.51.100.0/24", "198.51.100.1/24"), ("198.51.100.1/24", "routes.0.to"))
    said_at(CONFIG.replace("name: backends", "name: client"), ("client, driver: pcap, addresses: [10",
                                                               "ports.1.name"),
            ("backends }\nnode", "neighbours.1.port"))
    status, lines = said("ports: [\n")
    is_true(status == 1 and lines[0].startswith("nodeplane.yaml:2:1: "), f"{lines}")
    same(said(""), (1, ["nodeplane.yaml:1:1: config: is empty"]), "empty")
    is_true(said("- a\n- b\n")[0] == 1 and said("just text\n")[0] == 1, "no map")


@case
def manifest_mistakes():
    """Mistakes of manifests have their own file, line and column."""
    text = """apiVersion: v1
kind: Service
metadata:
  name: web
spec:
  clusterIP: 10.96.0.300
  ports:
    - port: 80
    - { name: b, port: 70000, protocol: ICMP }
"""
    status, lines = said(CONFIG, {"services.yaml": text})
    same(status, 1, f"{lines}")
    same([line.split(" ")[0] for line in lines],
         [place(text, words, "services.yaml") for words in ("10.96.0.300", "70000", "ICMP")], "")
    status, lines = said(CONFIG, {"services.yaml": "kind: Service\n  x: 1\n"})
    is_true(status == 1 and lines[0].startswith("services.yaml:"), f"{lines}")
    two = [service(), service("other"), endpoint_slice()]
    status, lines = said(CONFIG, {"services.yaml": documents(*two)})
    is_true(status == 1 and "default/web" in lines[0], f"one address, two services: {lines}")


run()
