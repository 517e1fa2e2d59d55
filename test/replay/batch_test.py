"""A batch gives what its packets one after another would have given: one capture with equal
timestamps and the same with distinct ones must agree in all but time and the number of batches."""

import random

from kit import *
from scapy.layers.inet6 import ICMPv6EchoRequest, ICMPv6ND_NA, ICMPv6NDOptDstLLAddr

STEP = 0.000_001


def once(world, objects, port, packets, step):
    return replay(world, objects, [(port, [(1 + i * step, p) for i, p in enumerate(packets)])])


def made_here(frame):
    """ARP, NDP, errors and resets are made at the batch's end: their order among the others is free.
    What is forwarded was sent with 64 and has one less."""
    at = {0x0800: 22, 0x86DD: 21}.get(int.from_bytes(frame[12:14], "big"))
    return at is None or frame[at] != 63


def any_port(frame):
    """A masqueraded packet without its port and sum: which port it gets hangs on what the batch's
    other packets took before it was known that they need none."""
    if frame[26:30] != bytes([10, 1, 0, 1]) or frame[23] not in (1, 6):
        return frame
    if frame[23] == 1:  # an identifier, or a port inside: both in the sum
        return frame[:36] + b"\0" * (len(frame) - 36)
    return frame[:34] + b"\0\0" + frame[36:50] + b"\0\0" + frame[52:]


def told(result):
    counters = {k: v for k, v in result.report["counters"].items() if k != "batches"}
    # Ports are taken before it is known whether a packet of the same batch made the connection.
    counters["snat_port_taken"] -= counters.pop("snat_port_given_back")
    out = {}
    for port, frames in result.out.items():
        frames = [any_port(frame) for _, frame in frames]
        out[port] = [f.hex() for f in frames if not made_here(f)]
        out[f"{port}, made here"] = sorted(f.hex() for f in frames if made_here(f))
    flows = [{k: v for k, v in f.items() if k != "expiresInMs"} for f in result.flows]
    for flow in flows:
        if flow["reply"]["destination"] == NODE:
            flow["reply"]["destinationPort"] = 0
    return {
        "out": out,
        "drops": result.report["drops"], "consumed": result.report["consumed"],
        "originated": result.report["originated"], "packets": result.report["packets"],
        "counters": counters, "flows": sorted(flows, key=json.dumps),
    }


def agree(world, objects, packets, port="client"):
    packets = [bytes(p) for p in packets]
    batch = told(once(world, objects, port, packets, 0))
    sequence = told(once(world, objects, port, packets, STEP))
    for port, wanted in sequence["out"].items():
        found = batch["out"][port]
        same(len(found), len(wanted), f"frames out by {port}: {batch['drops']} {sequence['drops']}")
        for i, (a, b) in enumerate(zip(found, wanted)):
            same(a, b, f"frame {i} by {port}, of the batch and of the sequence: "
                 f"{batch['drops']} {sequence['drops']}")
    for part, wanted in sequence.items():
        same(batch[part], wanted, f"{part} of the batch, and of the sequence")
    return batch


def at(sport, flags, client=OUTSIDE, **fields):
    return at_client(ip(client, VIP) / TCP(sport=sport, dport=80, flags=flags, **fields))


def to_port(packet):
    """Whatever it is, as if it had come by the clients' port too (one batch has one port)."""
    packet.src, packet.dst = GATEWAY_MAC, CLIENT_MAC
    return packet


def answer(sport, flags, client=OUTSIDE):
    return to_port(at_backends(ip(ENDPOINT, client) / TCP(sport=8080, dport=sport, flags=flags)))


PLAIN = config(node=plain_node())


@case
def equal_packets():
    """256 equal first packets, and more than a batch holds."""
    for count in (2, 256, 600):
        for world in (PLAIN, config()):
            found = agree(world, WEB, [at(5000, "S")] * count)
            same(found["flows"][0]["packets"], [count, 0], "one connection")
            same(len(set(found["out"]["backends"])), 1, "all alike")


@case
def own_reply():
    """A SYN, its reply, more data, the end and a new beginning, all in one batch."""
    talk = [at(5000, "S"), answer(5000, "SA"), at(5000, "A"), at(5000, "PA"), answer(5000, "PA"),
            answer(5000, "FA"), at(5000, "FA"), answer(5000, "A"), at(5000, "S"),
            answer(5000, "SA"), answer(5000, "R"), at(5000, "S"), at(5000, "R"), at(5000, "PA")]
    for length in (2, 3, 7, 9, 11, 12, 14):
        agree(PLAIN, WEB, talk[:length])
    agree(PLAIN, WEB, talk * 30)


@case
def refusals():
    """RST first, bad flags, unused ports, mid-stream packets: each answer, each drop."""
    mixed = [at(5000, "R"), at(5000, "S"), at(5000, "R"), at(5000, "R"), at(5001, "SF"),
             at(5001, ""), at(5001, "PA"), at(5001, "S"),
             at_client(ip(OUTSIDE, VIP) / TCP(sport=1, dport=81, flags="S")),
             at_client(ip(OUTSIDE, VIP) / UDP(sport=1, dport=81)),
             at_client(ip(OUTSIDE, "203.0.113.1") / UDP(sport=1, dport=81)),
             at_client(ip(OUTSIDE, VIP, ttl=1) / TCP(sport=9, dport=80, flags="S")),
             at(9, "S")]
    for world in (PLAIN, config(), {**PLAIN, "tcp": {"pickup": False}}):
        agree(world, WEB, mixed)
        agree(world, WEB, mixed[::-1])


@case
def limits():
    """A table that fills up, ports that run out and an error limit reached inside one batch."""
    syns = [at(1000 + i, "S") for i in range(200)]
    # Established ones, so that none gives way to another.
    opened = [p for i in range(100) for p in (at(1000 + i, "S"), answer(1000 + i, "SA"), at(1000 + i, "A"))]
    found = agree({**PLAIN, "flows": {"capacity": 100}}, WEB, opened + syns[100:] + syns[100:])
    same((found["drops"]["flow_table_full"], len(found["flows"])), (200, 100), "a full table")
    agree(config(nat={"ports": "2000-2049"}), WEB, syns + syns)
    # Packets of one connection take a port each before it is known that one is enough.
    found = agree(config(nat={"ports": "2000-2009"}), WEB, [at(1000, "S")] * 100 + syns[1:12])
    same((found["drops"]["snat_port_exhausted"], len(found["flows"])), (2, 10), "ten ports")
    lost = [at_client(ip(OUTSIDE, "203.0.113.1") / UDP(sport=1000 + i, dport=9)) for i in range(200)]
    agree({**PLAIN, "icmp": {"errorsPerSecond": 50}}, WEB, lost)


@case
def clash():
    """Two services of one endpoint and the same client port: reply tuples that clash."""
    objects = [service(), endpoint_slice(), service("two", ("10.96.0.11",)), endpoint_slice("two")]
    other = at_client(ip(OUTSIDE, "10.96.0.11") / TCP(sport=5000, dport=80, flags="S"))
    for world in (PLAIN, config()):
        agree(world, objects, [at(5000, "S"), other, at(5000, "A"), other])
        agree(world, objects, [at(5000, "S"), at(5000, "R"), other, at(5000, "S"), at(5000, "A")])


@case
def neighbours():
    """A neighbour's answer between packets that wait for it: none overtakes another."""
    world = config(node=plain_node())
    world["neighbours"] = [n for n in world["neighbours"] if n["address"] not in (ENDPOINT, ENDPOINT6)]
    world["ports"][1]["addresses"] = ["10.2.0.1/24", "fd00:2::1/64"]
    world["ports"][0]["addresses"] += ["10.1.0.1/24", "fd00:1::1/64"]
    world["neighbours"] = [n for n in world["neighbours"] if n["port"] == "client"]
    is_at = Ether(src=ENDPOINT_MAC, dst=CLIENT_MAC) / ARP(
        op="is-at", hwsrc=ENDPOINT_MAC, psrc=ENDPOINT, hwdst=CLIENT_MAC, pdst=NODE)
    is_at6 = (Ether(src=ENDPOINT_MAC, dst=CLIENT_MAC) / IPv6(src=ENDPOINT6, dst=NODE6, hlim=255)
              / ICMPv6ND_NA(tgt=ENDPOINT6, R=0, S=1, O=1) / ICMPv6NDOptDstLLAddr(lladdr=ENDPOINT_MAC))
    for client, vip, told_ in ((OUTSIDE, VIP, is_at), (OUTSIDE6, VIP6, is_at6)):
        def syn(i):
            return at_client(ip(client, vip) / TCP(sport=i, dport=80, flags="S", seq=i))
        for before in (1, 2, 4, 6):
            packets = [syn(1 + i) for i in range(before)] + [told_] + [syn(50 + i) for i in range(3)]
            agree(world, both("TCP"), packets)
            # The flow that waits, too: the second packet of a connection does not overtake the first.
            packets = [syn(1)] * before + [told_] + [syn(1)] * 3
            agree(world, both("TCP"), packets)


@case
def at_random():
    """Bursts of everything, a seed each."""
    seed = int(os.environ.get("NODEPLANE_SEED", "1"))
    for round_ in range(6):
        pick = random.Random(seed * 1000 + round_)
        world = pick.choice([PLAIN, config(), {**PLAIN, "tcp": {"pickup": False}},
                             config(nat={"ports": "3000-3015"})])
        packets = []
        for _ in range(400):
            sport, client = pick.randrange(4000, 4006), pick.choice([OUTSIDE, "198.51.100.9"])
            flags = pick.choice(["S", "S", "A", "PA", "FA", "R", "SA", "SF", ""])
            kind = pick.randrange(8)
            if kind < 3:
                packets.append(at(sport, flags, client))
            elif kind < 5:
                packets.append(answer(sport, flags, client))
            elif kind == 5:
                packets.append(at_client(ip(client, VIP) / ICMP(type=pick.choice([0, 8]), id=sport)))
            elif kind == 6:
                quote = ip(VIP, client) / TCP(sport=80, dport=sport)
                packets.append(at_client(ip("203.0.113.9", VIP) / ICMP(type=3, code=3) / quote))
            else:
                packets.append(at_client(ip(client, pick.choice([VIP, POD, "192.0.2.1"]),
                                            ttl=pick.choice([1, 64])) / UDP(sport=sport, dport=80)))
        try:
            agree(world, WEB, packets)
        except Wrong as wrong:
            raise Wrong(f"NODEPLANE_SEED={seed} round {round_} {world}: {wrong}") from None


run()
