"""ICMP errors: those that pass, mended inside, and those that are made here."""

from kit import *
from scapy.layers.inet6 import (ICMPv6DestUnreach, ICMPv6EchoRequest, ICMPv6PacketTooBig,
                                ICMPv6TimeExceeded)

ROUTER, ROUTER6 = "203.0.113.9", "2001:db8:bad::9"


def error_of(family, kind, quote):
    """An ICMP error message around quoted bytes."""
    if family == 4:
        head = {"too_big": ICMP(type=3, code=4, nexthopmtu=1300), "port": ICMP(type=3, code=3),
                "time": ICMP(type=11, code=0)}[kind]
    else:
        head = {"too_big": ICMPv6PacketTooBig(mtu=1300), "port": ICMPv6DestUnreach(code=4),
                "time": ICMPv6TimeExceeded(code=0)}[kind]
    return head / Raw(quote)


def segment_of(protocol, sport, dport, size=64):
    if protocol == "TCP":
        return TCP(sport=sport, dport=dport, flags="PA", seq=1, ack=2) / Raw(b"q" * size)
    if protocol == "SCTP":
        return SCTP(sport=sport, dport=dport, tag=5) / SCTPChunkData(data=b"q" * size)
    return UDP(sport=sport, dport=dport) / Raw(b"q" * size)


def first_of(protocol, sport, dport):
    return TCP(sport=sport, dport=dport, flags="S") if protocol == "TCP" else \
        segment_of(protocol, sport, dport)


def quotes(packet):
    """The whole packet, its header and 8 bytes, and what ends inside the transport header."""
    data = bytes(packet)
    head = 20 if data[0] >> 4 == 4 else 40
    return [data, data[:head + 8], data[:head + 13], data[:head + 16], data[:head + 18]]


PROTOCOLS = ("TCP", "UDP", "SCTP")
PORTS, TARGETS = [tuple((p.lower(), p, n) for p in PROTOCOLS) for n in (80, 8080)]
ALL = [service("web", (VIP, VIP6), PORTS), endpoint_slice("web", TARGETS, (ENDPOINT,)),
       endpoint_slice("web", TARGETS, (ENDPOINT6,), "2")]


def talks(masked):
    """World, and of each protocol and family: opening packet, what the endpoint sees of it."""
    world = config(node=config()["node"] if masked else plain_node())
    made = [(protocol, *family, at_client(ip(*family[1:3]) / first_of(protocol, 40000, 80)))
            for protocol in PROTOCOLS for family in FAMILIES]
    openings = [(1 + i / 1000, talk[-1]) for i, talk in enumerate(made)]
    seen = replay(world, ALL, [("client", openings)]).packets("backends")
    same(len(seen), len(made), "all are open")
    return world, openings, [(*talk, out.payload) for talk, out in zip(made, seen)]


def cases_of():
    return [(kind, i) for kind in ("too_big", "port", "time") for i in range(5)]


def errors_pass(l3, sent, found, outer, inner, protocol):
    """Outer addresses as told, type, code and MTU as they were, the quote as its receiver knows it."""
    same((found[l3].src, found[l3].dst), outer, f"{protocol} outer addresses")
    body, before = bytes(found[l3].payload), bytes(sent[l3].payload)
    same((body[:2], body[4:8]), (before[:2], before[4:8]), "type, code and MTU")
    same(body[8:].hex(), inner.hex(), f"{protocol} quote")


@case
def to_the_endpoint():
    """Errors about answers travel to the endpoint: outer destination and quote mended."""
    for masked in (False, True):
        world, openings, all_talks = talks(masked)
        errors, wanted = [], []
        for protocol, family, client, vip, pod, _, seen in all_talks:
            answer = ip(vip, client, ttl=55) / segment_of(protocol, 80, 40000)
            mended = ip(pod, seen.src, ttl=55) / segment_of(protocol, 8080, seen.payload.sport)
            source = ROUTER if family == 4 else ROUTER6
            for kind, i in cases_of():
                error = at_client(ip(source, vip) / error_of(family, kind, quotes(answer)[i]))
                errors.append((2 + len(errors) / 1000, error))
                # Masqueraded means hidden: the outer source is the node's then.
                outer = (seen.src if masked else source, pod)
                wanted.append((IP if family == 4 else IPv6, outer, quotes(mended)[i], protocol))
        result = replay(world, ALL, [("client", [*openings, *errors])])
        out = result.packets("backends")[len(openings):]
        same(len(out), len(errors), f"all pass: {result.drops()}")
        for packet, (_, sent), (l3, outer, inner, protocol) in zip(out, errors, wanted):
            errors_pass(l3, sent, packet, outer, inner, protocol)


@case
def to_the_client():
    """Errors about requests travel to the client: the service in the quote, the source kept."""
    for masked in (False, True):
        world, openings, all_talks = talks(masked)
        errors, wanted = [], []
        for protocol, family, client, vip, pod, _, seen in all_talks:
            request = ip(seen.src, pod, ttl=63) / segment_of(protocol, seen.payload.sport, 8080)
            mended = ip(client, vip, ttl=63) / segment_of(protocol, 40000, 80)
            router = "10.1.0.77" if family == 4 else "fd00:1::77"
            for kind, i in cases_of():
                error = at_backends(ip(router, seen.src) / error_of(family, kind, quotes(request)[i]))
                errors.append((2 + len(errors) / 1000, error))
                wanted.append((IP if family == 4 else IPv6, (router, client), quotes(mended)[i], protocol))
        result = replay(world, ALL, [("client", openings), ("backends", errors)])
        out = result.packets("client")
        same(len(out), len(errors), f"all pass: {result.drops()}")
        for packet, (_, sent), (l3, outer, inner, protocol) in zip(out, errors, wanted):
            errors_pass(l3, sent, packet, outer, inner, protocol)
        same([flow["packets"] for flow in result.flows], [[1, 0]] * len(openings),
             "an error is no packet of the connection")


@case
def about_echo():
    """An error about an echo request finds its client, identifier mended."""
    for family, client, vip, pod in FAMILIES:
        l3 = IP if family == 4 else IPv6

        def ask(id_):
            return (ICMP(type=8, id=id_, seq=1) / b"ping-ping" if family == 4
                    else ICMPv6EchoRequest(id=id_, seq=1, data=b"ping-ping"))
        opening = at_client(ip(client, vip) / ask(77))
        seen = replay(config(), both("TCP"), [("client", [(1, opening)])]).only("backends")[l3]
        quote = bytes(ip(seen.src, pod, ttl=60) / ask(seen.payload.id))
        errors = [(2, at_backends(ip(pod, seen.src) / error_of(family, "port", quote))),
                  (3, at_backends(ip(pod, seen.src) / error_of(family, "port", quote[:-9])))]
        result = replay(config(), both("TCP"), [("client", [(1, opening)]), ("backends", errors)])
        wanted = bytes(ip(client, vip, ttl=60) / ask(77))
        out = [bytes(p[l3].payload)[8:] for p in result.packets("client")]
        same([o.hex() for o in out], [wanted.hex(), wanted[:-9].hex()], "quotes")


@case
def unknown_and_unreadable():
    """Errors that name no flow, and errors whose quote cannot be read."""
    for family, client, vip, pod in FAMILIES:
        source = ROUTER if family == 4 else ROUTER6
        stray = bytes(ip(vip, client) / segment_of("TCP", 80, 40001))
        result = replay(config(), both("TCP"), [("client", [
            (1, at_client(ip(source, vip) / error_of(family, "port", stray)))])])
        same(result.drops(), {"icmp_error_without_flow": 1}, "of no connection")
        head = 20 if family == 4 else 40
        for cut in (0, 1, head - 1, head, head + 7):
            result = replay(config(), both("TCP"), [("client", [
                (1, at_client(ip(source, vip) / error_of(family, "port", stray[:cut])))])])
            same(result.drops(), {"bad_icmp_inner": 1}, f"quote of {cut} bytes")


@case
def ttl():
    """TTL 1 and 0: time exceeded, quoting the packet as it came; 2 passes as 1."""
    for family, client, vip, pod in FAMILIES:
        l3, own = (IP, "192.0.2.1") if family == 4 else (IPv6, "2001:db8:2::1")
        for life in (0, 1):
            for segment in (TCP(sport=5000, dport=80, flags="S"), UDP(sport=5000, dport=80) / b"d"):
                packet = at_client(ip(client, vip, ttl=life) / segment)
                protocol = "TCP" if TCP in packet else "UDP"
                result = replay(config(), both(protocol), [("client", [(1, packet)])])
                same(result.drops(), {"ttl_exceeded": 1}, "named")
                error = result.only("client")[l3]
                same((error.src, error.dst), (own, client), "from the port it came in by")
                same((error.payload.type, error.payload.code), {4: (11, 0), 6: (3, 0)}[family], "")
                same(bytes(error.payload)[8:].hex(), bytes(packet[l3]).hex(), "as it came")
        there = replay(config(), both("TCP"), [("client", [
            (1, at_client(ip(client, vip, ttl=2) / TCP(sport=5000, dport=80, flags="S")))])])
        there = there.only("backends")[l3]
        same(there.ttl if family == 4 else there.hlim, 1, "one less")


@case
def too_long():
    """Longer than the way out: fragmentation needed with its MTU, with and without DF; IPv6 too big."""
    for family, client, vip, pod in FAMILIES:
        l3 = IP if family == 4 else IPv6
        world = config()
        world["ports"][1]["mtu"] = 1280
        room = 1280 - (20 if family == 4 else 40) - 8
        for flags, name in (("DF", "too_big"), (0, "needs_fragmenting" if family == 4 else "too_big")):
            fits = at_client(ip(client, vip, flags=flags) / UDP(sport=5000, dport=80)
                             / Raw(b"f" * room))
            longer = at_client(ip(client, vip, flags=flags) / UDP(sport=5000, dport=80)
                               / Raw(b"f" * (room + 1)))
            result = replay(world, both("UDP"), [("client", [(1, fits), (2, longer)])])
            same(len(result.only("backends")[l3]), 1280, "what just fits passes")
            same(result.drops(), {name: 1}, "named")
            error = result.only("client")[l3].payload
            same((error.type, error.code), {4: (3, 4), 6: (2, 0)}[family], "type")
            same(error.nexthopmtu if family == 4 else error.mtu, 1280, "MTU")
            quote = bytes(error)[8:]
            same(quote.hex(), bytes(longer[l3])[:len(quote)].hex(), "as it came")
            is_true(len(result.only("client")[l3]) <= (576 if family == 4 else 1280), "not too long")


@case
def no_route():
    """No route: destination unreachable to the sender, never about an error, a group or a fragment."""
    for family, src, dst in ((4, OUTSIDE, "203.0.113.77"), (6, OUTSIDE6, "2001:db8:dead::1")):
        l3, own = (IP, "192.0.2.1") if family == 4 else (IPv6, "2001:db8:2::1")
        packet = at_client(ip(src, dst) / UDP(sport=1, dport=2) / b"d")
        result = replay(config(), WEB, [("client", [(1, packet)])])
        same(result.drops(), {"no_route": 1}, "named")
        error = result.only("client")[l3]
        same((error.src, error.payload.type, error.payload.code),
             (own, *{4: (3, 0), 6: (1, 0)}[family]), "unreachable")
        inner = bytes(ip(dst, src) / UDP(sport=2, dport=1) / b"d")
        quiet = [at_client(ip(src, dst) / error_of(family, "port", inner))]
        if family == 4:
            quiet.append(at_client(IP(src=src, dst=dst, frag=100) / Raw(b"later fragment")))
            quiet.append(at_client(IP(src="0.0.0.0", dst=dst) / UDP(sport=1, dport=2)))
        quiet.append(Ether(src=GATEWAY_MAC, dst="ff:ff:ff:ff:ff:ff") / ip(src, dst) / UDP())
        for one in quiet:
            result = replay(config(), WEB, [("client", [(1, one)])])
            same((result.report["originated"], sum(result.drops().values())), (0, 1),
                 f"silence: {one.summary()} {result.drops()}")


@case
def limited():
    """Errors are limited to 1000 a second by default, to errorsPerSecond when set."""
    flood = [(1 + i / 10**5, at_client(ip(OUTSIDE, "203.0.113.77") / UDP(sport=i, dport=2)))
             for i in range(1500)]
    result = replay(config(), WEB, [("client", flood)])
    made = len(result.out["client"])
    is_true(1000 <= made <= 1016, f"about 1000 at first: {made}")
    same(result.drops(), {"no_route": 1500, "originate_full": 1500 - made}, "the others are named")
    result = replay(config(icmp={"errorsPerSecond": 10}), WEB, [("client", flood)])
    same(len(result.out["client"]), 10, "10 when set so")


run()
