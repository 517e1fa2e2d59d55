"""Connections over time: the packets' timestamps are the only clock."""

from kit import *

WORLD = config(node=plain_node())
REQUEST = {"TCP": 80, "UDP": 80}


def forward(when, flags="A", sport=40000, kind=TCP, client=OUTSIDE, vip=VIP, **fields):
    segment = (TCP(sport=sport, dport=80, flags=flags, **fields) if kind is TCP
               else kind(sport=sport, dport=80))
    return "client", when, at_client(ip(client, vip) / segment)


def backward(when, flags="A", sport=40000, kind=TCP, client=OUTSIDE, pod=ENDPOINT, **fields):
    segment = (TCP(sport=8080, dport=sport, flags=flags, **fields) if kind is TCP
               else kind(sport=8080, dport=sport))
    return "backends", when, at_backends(ip(pod, client) / segment)


def beat(when):
    """Something that moves the clock on and leaves by no port."""
    return "client", when, Ether(src=GATEWAY_MAC, dst="02:00:00:00:00:99") / Raw(b"tick")


def told(*events, world=WORLD, protocol="TCP", objects=None):
    inputs = {}
    for port, when, packet in events:
        inputs.setdefault(port, []).append((when, packet))
    return replay(world, objects or both(protocol), sorted(inputs.items(), reverse=True))


def state(*events, **more):
    result = told(*events, **more)
    same(len(result.flows), 1, f"one flow: {result.flows} {result.drops()}")
    flow = result.flows[0]
    return flow["state"], flow["expiresInMs"]


def gone(*events, **more):
    same(told(*events, **more).flows, [], "no flow any more")


OPEN = [forward(1, "S"), backward(1.1, "SA"), forward(1.2, "A")]


@case
def tcp_states():
    """TCP states and their times, down to the millisecond."""
    table = [
        ([forward(1, "S")], ("syn_sent", 120_000)),
        ([forward(1, "S"), forward(4, "S")], ("syn_sent", 120_000)),
        ([forward(1, "S"), backward(1.1, "SA")], ("syn_received", 60_000)),
        (OPEN, ("established", 86_400_000)),
        ([*OPEN, beat(1.25)], ("established", 86_399_950)),
        ([*OPEN, forward(2, "FA")], ("fin_wait", 120_000)),
        ([*OPEN, forward(2, "FA"), backward(2.1, "A")], ("fin_wait", 120_000)),
        ([*OPEN, forward(2, "FA"), backward(3, "PA")], ("fin_wait", 120_000)),
        ([*OPEN, forward(2, "FA"), backward(2.1, "FA")], ("last_ack", 30_000)),
        ([*OPEN, backward(2, "FA"), forward(2.1, "FA")], ("last_ack", 30_000)),
        ([*OPEN, forward(2, "FA"), backward(2.1, "FA"), forward(2.2)], ("time_wait", 120_000)),
        ([*OPEN, backward(2, "FA"), forward(2.1, "FA"), backward(2.2)], ("time_wait", 120_000)),
        ([*OPEN, backward(2, "R")], ("closed", 10_000)),
        ([*OPEN, forward(2, "RA")], ("closed", 10_000)),
        ([forward(1, "S"), backward(1.1, "RA")], ("closed", 10_000)),
        ([*OPEN, backward(2, "R"), beat(11)], ("closed", 1_000)),
        ([forward(1, "A")], ("picked_up", 300_000)),
        ([forward(1, "A"), backward(2, "A")], ("established", 86_400_000)),
        ([forward(1, "SA")], ("picked_up", 300_000)),
    ]
    for events, wanted in table:
        same(state(*events), wanted, " ".join(
            f"{'>' if p == 'client' else '<'}{e[TCP].flags if TCP in e else '.'}" for p, _, e in events))


@case
def tcp_ends():
    """Each state ends when its time is over, and not before."""
    closed = [*OPEN, backward(2, "R")]
    for last, seconds, events in (
            (1, 120, [forward(1, "S")]), (1.1, 60, OPEN[:2]), (1.2, 86_400, OPEN), (2, 10, closed),
            (1, 300, [forward(1, "A")]),
            (2.2, 120, [*OPEN, forward(2, "FA"), backward(2.1, "FA"), forward(2.2)])):
        _, left = state(*events, beat(last + seconds - 0.01))
        same(left, 10, f"10 ms before the end of {seconds} s")
        gone(*events, beat(last + seconds + 0.001))


@case
def udp_ends():
    """UDP lives 30 s without an answer and 120 s after one; every packet renews."""
    for family, client, vip, pod in FAMILIES:
        def there(when):
            return forward(when, kind=UDP, client=client, vip=vip)

        def back(when):
            return backward(when, kind=UDP, client=client, pod=pod)
        more = {"protocol": "UDP"}
        same(state(there(1), **more), ("unreplied", 30_000), "new")
        same(state(there(1), there(20), beat(49.999), **more), ("unreplied", 1), "renewed")
        gone(there(1), beat(31.001), **more)
        same(state(there(1), back(2), **more), ("replied", 120_000), "answered")
        same(state(there(1), back(2), beat(121.5), **more), ("replied", 500), "120 s")
        gone(there(1), back(2), beat(122.001), **more)
        # An answer that comes too late belongs to nobody: routed as it is.
        late = told(there(1), back(32), **more)
        l3 = late.only("client")[IP if family == 4 else IPv6]
        same((l3.src, l3.payload.sport), (pod, 8080), "untranslated")


@case
def other_ends():
    """SCTP and echo have times of their own."""
    sctp_there, sctp_back = (SCTP(sport=40000, dport=80) / SCTPChunkInit(),
                             SCTP(sport=8080, dport=40000) / SCTPChunkInit())
    there = "client", 1, at_client(ip(OUTSIDE, VIP) / sctp_there)
    back = "backends", 2, at_backends(ip(ENDPOINT, OUTSIDE) / sctp_back)
    same(state(there, protocol="SCTP"), ("unreplied", 30_000), "SCTP")
    same(state(there, back, protocol="SCTP"), ("replied", 210_000), "SCTP answered")
    ping = "client", 1, at_client(ip(OUTSIDE, VIP) / ICMP(type=8, id=1))
    same(state(ping), ("unreplied", 30_000), "echo")


@case
def timers_are_set():
    """flows.timers change them; the next packet of an expired connection begins a new one."""
    world = config(node=plain_node(), flows={"timers": {
        "udpUnreplied": "5s", "udpReplied": "500ms", "tcpEstablished": "10m", "tcpClosed": 1}})
    same(state(forward(1, kind=UDP), protocol="UDP", world=world), ("unreplied", 5_000), "5s")
    same(state(forward(1, kind=UDP), backward(2, kind=UDP), protocol="UDP", world=world),
         ("replied", 500), "500ms")
    same(state(*OPEN, world=world), ("established", 600_000), "10m")
    same(state(*OPEN, backward(2, "R"), world=world), ("closed", 1_000), "1")
    events = [forward(1, kind=UDP), forward(7, kind=UDP)]
    flow = told(*events, protocol="UDP", world=world).flows[0]
    same(flow["packets"], [1, 0], "a new one")


@case
def leaps():
    """Time may begin at 0, stand still for long and leap by months."""
    same(state(forward(0, "S")), ("syn_sent", 120_000), "from 0")
    still = [forward(0, "S"), backward(0, "SA"), *[forward(0.001, "A")] * 300]
    same(state(*still), ("established", 86_400_000), "many at one time")
    gone(*OPEN, beat(100 * 86_400))
    flow, = told(*OPEN, forward(4_000_000_000, "S"), backward(4_000_000_000.5, "SA")).flows
    same((flow["state"], flow["packets"]), ("syn_received", [1, 1]), "after a century")


@case
def again():
    """A SYN on a finished connection begins a new one; on a live one it is a retransmission."""
    ended = [*OPEN, backward(2, "R")]
    flow = told(*ended, forward(3, "S")).flows[0]
    same((flow["state"], flow["packets"]), ("syn_sent", [1, 0]), "after RST")
    flow = told(*OPEN, forward(3, "S")).flows[0]
    same((flow["state"], flow["packets"]), ("established", [3, 1]), "while alive")
    waits = [*OPEN, forward(2, "FA"), backward(2.1, "FA"), forward(2.2)]
    flow = told(*waits, forward(3, "S")).flows[0]
    same((flow["state"], flow["packets"]), ("syn_sent", [1, 0]), "from TIME-WAIT")


@case
def pickup():
    """tcp.pickup: mid-stream packets begin a connection or get a RST; RST never does."""
    same(state(forward(1, "PA")), ("picked_up", 300_000), "true is the default")
    never = {**WORLD, "tcp": {"pickup": False}}
    result = told(forward(1, "PA", seq=5, ack=77), world=never)
    same((result.drops(), result.flows), ({"not_syn": 1}, []), "false")
    reset = result.only("client")[TCP]
    same((str(reset.flags), reset.seq, reset.sport, reset.dport), ("R", 77, 80, 40000), "RST")
    result = told(forward(1, "SA"), world=never)
    same(result.drops(), {"not_syn": 1}, "SYN-ACK is no beginning")
    same(state(forward(1, "S"), world=never), ("syn_sent", 120_000), "SYN is one")
    for world in (WORLD, never):
        for flags in ("R", "RA"):
            result = told(forward(1, flags), world=world)
            same((result.drops(), result.flows, result.report["originated"]),
                 ({"rst_without_flow": 1}, [], 0), "RST")


@case
def full():
    """A table full of established connections refuses new ones by name; half-open ones give way."""
    world = config(node=plain_node(), flows={"capacity": 100})
    events = [forward(1 + i / 1000, "S", sport=1000 + i) for i in range(100)]
    events += [backward(2 + i / 1000, "SA", sport=1000 + i) for i in range(100)]
    half = [forward(5 + i / 1000, "S", sport=2000 + i) for i in range(50)]
    result = told(*events, *half, world=world)
    same((result.drops(), len(result.flows)), ({}, 100), "half-open ones give way")
    events += [forward(3 + i / 1000, "A", sport=1000 + i) for i in range(100)]
    result = told(*events, *half, world=world)
    same((result.drops(), len(result.flows)), ({"flow_table_full": 50}, 100), "refused")
    same({f["state"] for f in result.flows}, {"established"}, "the others go on")


@case
def snat_ports():
    """SNAT ports: the client's own where it is free, another one else; back after the end."""
    clients = [f"198.51.100.{i}" for i in range(1, 51)]
    world = config(nat={"ports": "20000-20019"})
    syns = [("client", 1 + i / 100, at_client(
        ip(client, VIP) / TCP(sport=20005, dport=80, flags="S"))) for i, client in enumerate(clients)]
    result = told(*syns, world=world)
    used = [p[TCP].sport for p in result.packets("backends")]
    same((len(used), set(used)), (20, set(range(20000, 20020))), "each once, all used")
    same(used[0], 20005, "the client's own first")
    same(result.drops(), {"snat_port_exhausted": 30}, "then refused by name")
    later = [("client", 200 + i / 100, at_client(
        ip(client, VIP) / TCP(sport=20005, dport=80, flags="S")))
        for i, client in enumerate(clients[20:40])]
    result = told(*syns, *later, world=world)
    same(len(result.packets("backends")), 40, "after their end they are free again")


run()
