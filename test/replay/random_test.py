"""Random traffic against a model of a few lines: dicts of who is translated to whom. The model does
not know Maglev nor the SNAT ports: a first replay tells both, and they must be allowed ones; then every
packet of every connection, both ways, must come out byte for byte as the model says.
NODEPLANE_SEED=7 (or =random, which prints its seed) chooses other traffic."""

import random

from kit import *

FLOWS, PACKETS, MUTANTS = 250, 3000, 600
CLIENTS = {4: [f"198.51.100.{i}" for i in range(1, 9)], 6: [f"2001:db8:7::{i}" for i in range(1, 9)]}
PODS = {4: [f"10.1.0.{i}" for i in range(11, 17)], 6: [f"fd00:1::{i:x}" for i in range(11, 17)]}
MUTANT = {4: "198.51.100.240", 6: "2001:db8:7:0:ffff:ffff:ffff:fff0"}
VIPS = {4: "10.96.0.", 6: "fd96::"}
KINDS = {"TCP": TCP, "UDP": UDP, "SCTP": SCTP}
GATEWAYS = {4: "192.0.2.254", 6: "2001:db8:2::fe"}


def mac_of(pod):
    return f"02:00:00:00:02:{int(pod.split('.')[-1]) if '.' in pod else int(pod.split(':')[-1], 16):02x}"


def world(masked):
    made = config(node=config()["node"] if masked else plain_node())
    made["neighbours"] = [n for n in made["neighbours"] if n["port"] == "client"]
    made["neighbours"] += [{"address": p, "mac": mac_of(p), "port": "backends"}
                           for family in PODS for p in PODS[family]]
    return made


class Service:
    def __init__(self, number, protocol, pick):
        self.number, self.protocol = number, protocol
        self.port, self.target = 80 + number, 8080 + number
        self.vip = {f: f"{VIPS[f]}{10 + number}" for f in (4, 6)}
        size = pick.randrange(0, 4)
        self.pods = {f: sorted(pick.sample(PODS[f], size)) for f in (4, 6)}

    def objects(self):
        name, target = f"s{self.number}", (("", self.protocol, self.target),)
        return [service(name, (self.vip[4], self.vip[6]), (("", self.protocol, self.port),)),
                *[endpoint_slice(name, target, self.pods[f], str(f)) for f in (4, 6) if self.pods[f]]]


class Flow:
    """One connection: what the client sends and, once told, what the endpoint sees."""

    def __init__(self, number, services, pick):
        self.service = pick.choice(services)
        self.family = pick.choice((4, 6))
        self.from_pod = pick.random() < 0.25
        self.client = pick.choice(PODS[self.family] if self.from_pod else CLIENTS[self.family])
        self.sport = 20_000 + number
        self.seen = None  # (source, port, endpoint)
        self.count, self.bytes = [0, 0], [0, 0]

    def segment(self, forward, tag, pick, first=False):
        ends = (self.sport, self.service.port) if forward else (self.service.target, self.seen[1])
        body = tag + pick.randbytes(pick.randrange(0, 60))
        kind = self.service.protocol
        if kind == "SCTP":
            return SCTP(sport=ends[0], dport=ends[1], tag=pick.getrandbits(32)) / SCTPChunkData(
                data=body, tsn=pick.getrandbits(32))
        if kind == "UDP":
            bare = self.family == 4 and pick.random() < 0.2
            return UDP(sport=ends[0], dport=ends[1], **({"chksum": 0} if bare else {})) / Raw(body)
        flags = "S" if first else pick.choice(["A", "PA", "A", "FA"])
        return TCP(sport=ends[0], dport=ends[1], flags=flags, seq=pick.getrandbits(32),
                   ack=pick.getrandbits(32)) / Raw(body)

    def l3(self, src, dst, pick):
        if self.family == 6:
            return IPv6(src=src, dst=dst, hlim=pick.randrange(2, 256), tc=pick.randrange(256),
                        fl=pick.getrandbits(20))
        return IP(src=src, dst=dst, ttl=pick.randrange(2, 256), tos=pick.randrange(256),
                  id=pick.getrandbits(16), flags=pick.choice([0, "DF"]))


class Event:
    def __init__(self, when, port, frame, wanted, flow=None, forward=True):
        self.when, self.port, self.frame = when, port, bytes(frame)
        self.wanted = wanted  # (port, frame), or None when it must not come out
        self.flow, self.forward = flow, forward


def moved(packet, src, dst, ends, macs):
    """The packet as it must leave: parsed from its bytes, changed, its sums computed from scratch."""
    out = Ether(packet)
    out.src, out.dst = macs
    l3 = out.payload
    bare = UDP in out and out[UDP].chksum == 0
    if isinstance(l3, IP):
        l3.ttl -= 1
        del l3.chksum
    else:
        l3.hlim -= 1
    l3.src, l3.dst = src, dst
    l4 = l3.payload
    l4.sport, l4.dport = ends
    if not bare:
        del l4.chksum
    return bytes(out)


class Traffic:
    def __init__(self, seed, masked):
        self.pick = random.Random(f"{seed} {masked}")
        self.masked = masked
        self.services = [Service(i, ("TCP", "UDP", "SCTP")[i % 3], self.pick) for i in range(9)]
        self.flows = [Flow(i, self.services, self.pick) for i in range(FLOWS)]
        self.tags = 0
        self.refused = 0

    def objects(self):
        return [o for s in self.services for o in s.objects()]

    def tag(self):
        self.tags += 1
        return b"TAG!" + self.tags.to_bytes(4, "big")

    def side_of(self, address):
        inside = address.startswith(("10.1.0.", "fd00:1:"))
        return ("backends", BACKENDS_MAC, mac_of(address)) if inside else (
            "client", CLIENT_MAC, GATEWAY_MAC)

    def frame(self, flow, forward, first=False):
        """As it arrives, and the port it arrives by."""
        src, dst = ((flow.client, flow.service.vip[flow.family]) if forward
                    else (flow.seen[2], flow.seen[0]))
        port, own, theirs = self.side_of(src)
        packet = flow.l3(src, dst, self.pick) / flow.segment(forward, self.tag(), self.pick, first)
        return port, bytes(Ether(src=theirs, dst=own) / packet)

    def openings(self):
        """The first packet of every flow, and mutants of packets that nobody else sends."""
        events = []
        for i, flow in enumerate(self.flows):
            port, frame = self.frame(flow, True, first=True)
            events.append(Event(1 + i * 0.004, port, frame, None, flow))
        for i in range(MUTANTS):
            model = self.pick.choice(self.flows)
            client, flow = MUTANT[model.family], Flow(30_000 + i % 999, self.services, self.pick)
            flow.client, flow.family, flow.from_pod = client, model.family, False
            flow.service = model.service
            port, frame = self.frame(flow, True, self.pick.random() < 0.5)
            events.append(Event(1 + self.pick.random(), port, self.mutated(frame), None))
        return events

    def mutated(self, frame):
        data = bytearray(frame)
        at = data.find(b"TAG!")
        data[at:at + 4] = b"MUT!"
        for _ in range(self.pick.randrange(1, 4)):
            how, place = self.pick.randrange(4), self.pick.randrange(len(data))
            if how == 0:
                data[place] ^= 1 << self.pick.randrange(8)
            elif how == 1:
                data[place] = self.pick.choice([0, 255, 0x45, 0x60, 1])
            elif how == 2:
                del data[place:]
            else:
                data[place:place] = self.pick.randbytes(self.pick.randrange(1, 9))
            if not data:
                break
        if len(data) > 33 and data[12:14] == b"\x08\0" and self.pick.random() < 0.5:
            data[24:26] = b"\0\0"  # a right header sum, so that what lies behind it is looked at
            data[24:26] = checksum(bytes(data[14:34])).to_bytes(2, "big")
        return bytes(data[:1500]) if b"TAG!" not in data else b""

    def learn(self, events, result):
        """From the openings' outputs: endpoint and masquerade of every flow, checked to be allowed."""
        found = self.tagged(result)
        used = set()
        for event in events:
            flow = event.flow
            if flow is None:
                continue
            tag = tag_of(event.frame)
            pods = flow.service.pods[flow.family]
            if not pods:
                is_true(tag not in found, "a service without endpoints takes nothing")
                self.refused += 1
                continue
            is_true(tag in found, f"flow {flow.sport} is served: {result.drops()}")
            (port, data), = found[tag]
            out = Ether(data)
            l3, l4 = out.payload, out.payload.payload
            same(port, "backends", "port")
            is_true(l3.dst in pods, f"{l3.dst} is an endpoint of {pods}")
            same(l4.dport, flow.service.target, "target port")
            hidden = l3.dst == flow.client or (self.masked and not flow.from_pod)
            if hidden:
                same(l3.src, {4: NODE, 6: NODE6}[flow.family], "masqueraded")
                is_true(1024 <= l4.sport <= 29_999, f"SNAT port {l4.sport}")
            else:
                same((l3.src, l4.sport), (flow.client, flow.sport), "as itself")
            tuple_ = flow.service.protocol, l3.src, l4.sport, l3.dst, l4.dport
            is_true(tuple_ not in used, f"{tuple_} is nobody else's")
            used.add(tuple_)
            flow.seen = l3.src, l4.sport, l3.dst
            event.wanted = self.forward(flow, event.frame)

    def forward(self, flow, frame):
        src, sport, pod = flow.seen
        return "backends", moved(frame, src, pod, (sport, flow.service.target),
                                 (BACKENDS_MAC, mac_of(pod)))

    def backward(self, flow, frame):
        port, own, theirs = self.side_of(flow.client)
        return port, moved(frame, flow.service.vip[flow.family], flow.client,
                           (flow.service.port, flow.sport), (own, theirs))

    def talk(self):
        """Packets of both directions, of any flow that is served."""
        events = []
        served = [flow for flow in self.flows if flow.seen]
        for i in range(PACKETS):
            flow, forward = self.pick.choice(served), self.pick.random() < 0.5
            port, frame = self.frame(flow, forward)
            wanted = (self.forward if forward else self.backward)(flow, frame)
            events.append(Event(3 + i * 0.001, port, frame, wanted, flow, forward))
        return events

    def tagged(self, result):
        found = {}
        for port, frames in result.out.items():
            for _, frame in frames:
                tag = tag_of(frame)
                if tag and not is_error(frame):
                    found.setdefault(tag, []).append((port, frame))
        return found

    def run(self, events):
        inputs = {"client": [], "backends": []}
        for event in sorted(events, key=lambda e: e.when):
            inputs[event.port].append((event.when, event.frame))
        return replay(world(self.masked), self.objects(), list(inputs.items()), right_sums=False)


def tag_of(frame):
    at = frame.find(b"TAG!")
    return frame[at:at + 8] if at >= 0 else None


def is_error(frame):
    """Made here about a packet: the tag is in its quote."""
    return (frame[12:14], frame[23]) == (b"\x08\0", 1) or (frame[12:14], frame[20]) == (b"\x86\xdd", 58)


def judge(traffic, events, result):
    found = traffic.tagged(result)
    for event in events:
        tag = tag_of(event.frame)
        if event.flow is None:
            continue
        out = found.pop(tag, [])
        if event.wanted is None:
            same(out, [], "refused")
            continue
        way = "there" if event.forward else "back"
        same([(p, f.hex()) for p, f in out], [(event.wanted[0], event.wanted[1].hex())],
             f"flow {event.flow.sport} {way}: {event.frame.hex()}")
        outputs.append(out[0][1])
        direction = 0 if event.forward else 1
        event.flow.count[direction] += 1
        event.flow.bytes[direction] += len(event.frame) - 14
    same(found, {}, "nothing else comes out")
    ipv4 = [f for frames in result.out.values() for _, f in frames if f[12:14] == b"\x08\0"]
    for frame in ipv4:  # the mutants' too
        same(checksum(frame[14:14 + (frame[14] & 15) * 4]), 0, f"IPv4 header: {frame.hex()}")
    told = {(f["original"]["source"], f["original"]["sourcePort"], f["original"]["destination"]): f
            for f in result.flows}
    for flow in traffic.flows:
        record = told.get((flow.client, flow.sport, flow.service.vip[flow.family]))
        if flow.seen is None:
            same(record, None, "no record of what was refused")
            continue
        same((record["packets"], record["bytes"]), (flow.count, flow.bytes), f"{record}")
        same(record["reply"], {"source": flow.seen[2], "sourcePort": flow.service.target,
                               "destination": flow.seen[0], "destinationPort": flow.seen[1]}, "reply")
    is_true(result.drops().get("no_endpoint", 0) >= traffic.refused, "refusals are counted")


def differ(masked):
    seed = os.environ.get("NODEPLANE_SEED", "1")
    if seed == "random":
        seed = str(random.SystemRandom().getrandbits(32))
        print(f"# NODEPLANE_SEED={seed}")
    traffic = Traffic(seed, masked)
    try:
        openings = traffic.openings()
        traffic.learn(openings, traffic.run(openings))
        events = openings + traffic.talk()
        judge(traffic, events, traffic.run(events))
    except Exception as wrong:
        raise Wrong(f"NODEPLANE_SEED={seed}: {wrong}") from wrong


@case
def as_itself():
    """Random connections and mutants, nobody masqueraded but hairpins."""
    differ(False)


@case
def masqueraded():
    """Random connections and mutants, clients from outside masqueraded."""
    differ(True)


run()
