"""Neighbours, our own addresses, fragments, and packets that are none."""

from kit import *
from scapy.layers.inet import fragment
from scapy.layers.inet6 import (ICMPv6EchoRequest, ICMPv6ND_NA, ICMPv6ND_NS, ICMPv6NDOptDstLLAddr,
                                ICMPv6NDOptSrcLLAddr, IPv6ExtHdrFragment, IPv6ExtHdrHopByHop,
                                IPv6ExtHdrDestOpt)


def strangers():
    """No static neighbours beside the endpoints' port."""
    world = config(node=plain_node())
    world["neighbours"] = [n for n in world["neighbours"] if n["port"] == "client"]
    return world


def syn(family, sport=5000, **fields):
    client, vip = (OUTSIDE, VIP) if family == 4 else (OUTSIDE6, VIP6)
    return at_client(ip(client, vip, **fields) / TCP(sport=sport, dport=80, flags="S"))


def told(family, mac=ENDPOINT_MAC):
    """The endpoint says who it is, as the answer to our question."""
    if family == 4:
        return at_backends(ARP(op="is-at", hwsrc=mac, psrc=ENDPOINT, hwdst=BACKENDS_MAC, pdst=NODE))
    return at_backends(IPv6(src=ENDPOINT6, dst=NODE6, hlim=255)
                       / ICMPv6ND_NA(tgt=ENDPOINT6, R=0, S=1, O=1) / ICMPv6NDOptDstLLAddr(lladdr=mac))


def is_question(packet, family):
    if family == 4:
        same((packet[ARP].op, packet[ARP].psrc, packet[ARP].pdst, packet[ARP].hwsrc, packet.dst),
             (1, NODE, ENDPOINT, BACKENDS_MAC, "ff:ff:ff:ff:ff:ff"), "ARP request")
        return
    same((packet[ICMPv6ND_NS].tgt, packet[IPv6].src, packet[IPv6].hlim),
         (ENDPOINT6, NODE6, 255), "neighbour solicitation")
    same((packet[IPv6].dst, packet.dst), ("ff02::1:ff00:b", "33:33:ff:00:00:0b"), "to its group")
    same(packet[ICMPv6NDOptSrcLLAddr].lladdr, BACKENDS_MAC, "our MAC")


@case
def unresolved():
    """An unknown neighbour is asked for; what still waits at the end is dropped by name."""
    for family in (4, 6):
        result = replay(strangers(), both("TCP"), [("client", [(1, syn(family))])])
        is_question(result.only("backends"), family)
        same(result.drops(), {"neighbour_unresolved": 1}, "named at the end")
        same(result.report["originated"], 1, "the question is ours")


@case
def resolved():
    """The answer in the capture lets the waiting packet go, in order, at the answer's time."""
    for family in (4, 6):
        inputs = [("client", [(1, syn(family, 1)), (1.1, syn(family, 2)), (3, syn(family, 3))]),
                  ("backends", [(1.5, told(family))])]
        result = replay(strangers(), both("TCP"), inputs)
        question, *sent = result.packets("backends")
        is_question(question, family)
        same([(p.dst, p[TCP].sport) for p in sent], [(ENDPOINT_MAC, i) for i in (1, 2, 3)], "all")
        same([when for when, _ in result.out["backends"]],
             [1_000_000, 1_500_000, 1_500_000, 3_000_000], "times")
        same((result.drops(), result.report["consumed"]), ({}, 1), "the answer is absorbed")


@case
def asked_again_and_given_up():
    """Asked once a second, three times; then unreachable, and asked anew later."""
    for family in (4, 6):
        later = [(when, syn(family, 10 + when)) for when in (1, 2, 3, 4, 5, 9)]
        result = replay(strangers(), both("TCP"), [("client", later)])
        questions = [when / 10**6 for when, _ in result.out["backends"]]
        is_true(questions[:3] == [1, 2, 3], f"three questions, a second apart: {questions}")
        errors = result.packets("client")
        is_true(errors, f"host unreachable: {result.drops()}")
        l3 = IP if family == 4 else IPv6
        same({(e[l3].payload.type, e[l3].payload.code) for e in errors},
             {{4: (3, 1), 6: (1, 3)}[family]}, "host, address unreachable")
        same(result.drops(), {"neighbour_unresolved": 6}, "named")


@case
def waiting_is_bounded():
    """Few wait for one neighbour; the rest is named."""
    packets = [(1 + i / 1000, syn(4, 1000 + i)) for i in range(300)]
    result = replay(strangers(), both("TCP"), [("client", packets)])
    drops = result.drops()
    same(set(drops), {"neighbour_unresolved", "neighbour_queue_full"}, "names")
    is_true(1 <= drops["neighbour_unresolved"] <= 64, f"few: {drops}")


@case
def never_unasked():
    """Nothing is sent unasked; static neighbours are never probed, however old."""
    result = replay(config(), WEB, [("client", [(1, b"\0" * 60)])])
    same(result.report["originated"], 0, "silence at start")
    packets = [(1 + i * 3600, syn(4, 1000 + i)) for i in range(5)]
    result = replay(config(), WEB, [("client", packets)])
    same(result.report["originated"], 0, "no probe")


@case
def asked_for_us():
    """ARP and NS for our addresses are answered, also for virtual ones; others are not."""
    for target, wanted in (("192.0.2.1", True), (VIP, True), ("10.1.0.1", False),
                           ("192.0.2.9", False)):
        ask = Ether(src=GATEWAY_MAC, dst="ff:ff:ff:ff:ff:ff") / ARP(
            op="who-has", hwsrc=GATEWAY_MAC, psrc="192.0.2.254", pdst=target)
        result = replay(config(), WEB, [("client", [(1, ask)])])
        same(result.report["consumed"], 1, f"consumed: {target}")
        if not wanted:
            same(result.packets("client"), [], f"no answer for {target}")
            continue
        reply = result.only("client")
        arp = reply[ARP]
        same((arp.op, arp.hwsrc, arp.psrc, arp.hwdst, arp.pdst, reply.dst, reply.src),
             (2, CLIENT_MAC, target, GATEWAY_MAC, "192.0.2.254", GATEWAY_MAC, CLIENT_MAC), "reply")
    for target, wanted in (("2001:db8:2::1", True), (VIP6, True), ("2001:db8:2::9", False)):
        ask = (Ether(src=GATEWAY_MAC, dst="33:33:ff:00:00:01")
               / IPv6(src="2001:db8:2::fe", dst="ff02::1:ff00:1", hlim=255)
               / ICMPv6ND_NS(tgt=target) / ICMPv6NDOptSrcLLAddr(lladdr=GATEWAY_MAC))
        result = replay(config(), both("TCP"), [("client", [(1, ask)])])
        if not wanted:
            same(result.packets("client"), [], f"no answer for {target}")
            continue
        reply = result.only("client")
        same((reply[ICMPv6ND_NA].tgt, reply[ICMPv6ND_NA].S, reply[IPv6].dst, reply[IPv6].hlim),
             (target, 1, "2001:db8:2::fe", 255), "advertisement")
        same((reply[ICMPv6NDOptDstLLAddr].lladdr, reply.dst), (CLIENT_MAC, GATEWAY_MAC), "MACs")


@case
def learnt_from_a_question():
    """Who asks for us is a neighbour from then on."""
    ask = Ether(src=ENDPOINT_MAC, dst="ff:ff:ff:ff:ff:ff") / ARP(
        op="who-has", hwsrc=ENDPOINT_MAC, psrc=ENDPOINT, pdst=NODE)
    result = replay(strangers(), WEB, [("backends", [(1, ask)]), ("client", [(2, syn(4))])])
    reply, sent = result.packets("backends")
    same((reply[ARP].op, sent.dst, sent[TCP].dport), (2, ENDPOINT_MAC, 8080), "no question")


def says(mac, op="is-at", address=ENDPOINT, target=NODE, dst="ff:ff:ff:ff:ff:ff"):
    return Ether(src=mac, dst=dst) / ARP(op=op, hwsrc=mac, psrc=address, pdst=target)


@case
def neighbours_move():
    """A learnt MAC follows what its owner says, gratuitously too; a static one never; strangers add none."""
    moved = "02:00:00:00:02:77"
    inputs = [("backends", [(1, told(4)), (1.1, says(ENDPOINT_MAC, "who-has")),
                            (3, says(moved, "who-has", target=ENDPOINT))]),
              ("client", [(2, syn(4, 1)), (4, syn(4, 2))])]
    result = replay(strangers(), both("TCP"), inputs)
    sent = [p.dst for p in result.packets("backends") if TCP in p]
    same(sent, [ENDPOINT_MAC, moved], "learnt ones move")
    inputs = [("backends", [(1, says(moved, "who-has", target=ENDPOINT)), (1.1, says(moved)),
                            (1.2, says(moved, "who-has"))]), ("client", [(2, syn(4))])]
    result = replay(config(), both("TCP"), inputs)
    same([p.dst for p in result.packets("backends") if TCP in p], [ENDPOINT_MAC], "static stays")
    inputs = [("backends", [(1, says(moved, "who-has", target="10.1.0.99"))]), ("client", [(2, syn(4))])]
    result = replay(strangers(), both("TCP"), inputs)
    same(result.drops(), {"neighbour_unresolved": 1}, "chatter between others adds nobody")


@case
def probes():
    """Who asks before having an address (RFC 5227, RFC 4862) learns that ours is taken."""
    ask = Ether(src=GATEWAY_MAC, dst="ff:ff:ff:ff:ff:ff") / ARP(
        op="who-has", hwsrc=GATEWAY_MAC, psrc="0.0.0.0", pdst="192.0.2.1")
    reply = replay(config(), WEB, [("client", [(1, ask)])]).only("client")
    same((reply[ARP].op, reply[ARP].psrc, reply.dst), (2, "192.0.2.1", GATEWAY_MAC), "ARP probe")
    group = ("33:33:ff:00:00:01", "ff02::1:ff00:1")
    for src, dst, flags in (("::", "ff02::1", 0), ("fe80::5", "fe80::5", 1)):
        ask = Ether(src=GATEWAY_MAC, dst=group[0]) / IPv6(src=src, dst=group[1], hlim=255) / \
            ICMPv6ND_NS(tgt="2001:db8:2::1")
        if src != "::":
            ask = ask / ICMPv6NDOptSrcLLAddr(lladdr=GATEWAY_MAC)
        reply = replay(config(), both("TCP"), [("client", [(1, ask)])]).only("client")
        same((reply[IPv6].dst, reply[ICMPv6ND_NA].S, reply[ICMPv6ND_NA].tgt),
             (dst, flags, "2001:db8:2::1"), f"asked by {src}")


@case
def node_addresses():
    """Addresses of the node that stand on no port are ours too."""
    world = config()
    world["node"]["addresses"] = ["203.0.113.200"]
    ask = at_client(ip(OUTSIDE, "203.0.113.200") / ICMP(type=8, id=1) / b"data")
    reply = replay(world, WEB, [("client", [(1, ask)])]).only("client")
    same((reply[IP].src, reply[ICMP].type), ("203.0.113.200", 0), "echo")


@case
def echo_to_us():
    """Echo to our own addresses is answered, from whichever port; other packets to them are not."""
    for own, family in (("192.0.2.1", 4), (NODE, 4), ("2001:db8:2::1", 6), (NODE6, 6)):
        client = OUTSIDE if family == 4 else OUTSIDE6
        data = b"some data of odd length"
        ask = (ICMP(type=8, id=3, seq=9) / data if family == 4
               else ICMPv6EchoRequest(id=3, seq=9, data=data))
        result = replay(config(), WEB, [("client", [(1, at_client(ip(client, own) / ask))])])
        l3 = result.only("client")[IP if family == 4 else IPv6]
        same((l3.src, l3.dst, l3.payload.type), (own, client, {4: 0, 6: 129}[family]), "reply")
        same(bytes(l3.payload)[4:], bytes(ask.__class__(bytes(ask)))[4:], "its data")
        same((result.report["consumed"], result.report["originated"]), (1, 1), "books")
        for segment in (TCP(dport=22, flags="S"), UDP(dport=53)):
            packet = at_client(ip(client, own) / segment)
            result = replay(config(), WEB, [("client", [(1, packet)])])
            same(result.drops(), {"local_unclaimed": 1}, "nobody is at home")


@case
def fragments():
    """Fragments to a virtual address or from an endpoint are dropped by name; others are routed."""
    whole = IP(src=OUTSIDE, dst=VIP) / UDP(sport=5000, dport=80) / Raw(b"f" * 2000)
    pieces = [at_client(p) for p in fragment(whole, 1000)]
    result = replay(config(), both("UDP"), [("client", [(i, p) for i, p in enumerate(pieces)])])
    same(result.drops(), {"fragment": len(pieces)}, "to a virtual address")
    back = [at_backends(p) for p in fragment(
        IP(src=ENDPOINT, dst=OUTSIDE) / UDP(sport=8080, dport=5000) / Raw(b"f" * 2000), 1000)]
    result = replay(config(), both("UDP"), [("backends", [(i, p) for i, p in enumerate(back)])])
    same(result.drops(), {"fragment": len(back)}, "from an endpoint")
    other = [at_client(p) for p in fragment(
        IP(src=OUTSIDE, dst=POD) / UDP(sport=1, dport=2) / Raw(b"f" * 2000), 1000)]
    result = replay(config(), both("UDP"), [("client", [(i, p) for i, p in enumerate(other)])])
    same(len(result.packets("backends")), len(other), "others are routed")
    for offset, more in ((0, 1), (100, 1), (100, 0), (0, 0)):
        six = at_client(IPv6(src=OUTSIDE6, dst=VIP6)
                        / IPv6ExtHdrFragment(nh=17, offset=offset, m=more, id=1)
                        / UDP(sport=5000, dport=80) / Raw(b"f" * 100))
        result = replay(config(), both("UDP"), [("client", [(1, six)])])
        same(result.drops(), {"fragment": 1}, f"IPv6 offset {offset} more {more}")


@case
def plain_routing():
    """What meets no service is routed without a record, its bytes but TTL and MACs as they were."""
    for family, src, dst in ((4, OUTSIDE, POD), (6, OUTSIDE6, ENDPOINT6)):
        for segment in (TCP(sport=1, dport=2, flags="S"), UDP(sport=1, dport=2) / b"d",
                        Raw(b"no known protocol")):
            packet = at_client(ip(src, dst, **({"proto": 47} if family == 4 and Raw in segment and
                                              segment.name == "Raw" else {})) / segment)
            if family == 6 and segment.name == "Raw":
                packet[IPv6].nh = 47
            result = replay(config(), both("TCP"), [("client", [(1, packet)])])
            out = result.only("backends")
            l3 = IP if family == 4 else IPv6
            same((out[l3].src, out[l3].dst), (src, dst), "addresses")
            same(bytes(out[l3].payload), bytes(packet[l3].payload), "payload")
            same(result.flows, [], "no record")


@case
def short_frames():
    """Frames cut at every length from 0 to their end: a named drop or a packet, never silence."""
    whole = [syn(4), syn(6),
             at_client(ip(OUTSIDE, VIP) / ICMP() / Raw(b"ping")),
             at_client(ip("203.0.113.9", VIP) / ICMP(type=3, code=4)
                       / IP(src=VIP, dst=OUTSIDE) / UDP(sport=80, dport=5000)),
             Ether(src=GATEWAY_MAC, dst=CLIENT_MAC) / Dot1Q(vlan=5) / Dot1Q(vlan=6)
             / ip(OUTSIDE, VIP) / UDP(sport=1, dport=80),
             Ether(src=GATEWAY_MAC, dst="ff:ff:ff:ff:ff:ff") / ARP(pdst="192.0.2.1"),
             at_client(IPv6(src=OUTSIDE6, dst=VIP6) / IPv6ExtHdrHopByHop() / IPv6ExtHdrDestOpt()
                       / UDP(sport=1, dport=80)),
             Ether(src=GATEWAY_MAC, dst="33:33:ff:00:00:01")
             / IPv6(src="2001:db8:2::fe", dst="ff02::1:ff00:1", hlim=255)
             / ICMPv6ND_NS(tgt="2001:db8:2::1") / ICMPv6NDOptSrcLLAddr(lladdr=GATEWAY_MAC)]
    for packet in whole:
        data = bytes(packet)
        cut = [(1 + n / 1000, data[:n], len(data)) for n in range(len(data))]
        result = replay(config(), both("TCP"), [("client", cut)])
        same(sum(result.drops().values()), len(cut), f"named: {packet.summary()} {result.drops()}")
        same(result.drops().get("short_frame"), 14 + (8 if Dot1Q in packet else 0), "no Ethernet")
    zeros = [(1 + n / 1000, b"\0" * n) for n in range(61)]
    result = replay(config(), WEB, [("client", zeros)])
    same(result.drops(), {"short_frame": 14, "not_for_us": 47}, "zeros")
    ones = [(1 + n / 1000, b"\xff" * n) for n in range(61)]
    result = replay(config(), WEB, [("client", ones)])
    same(result.drops(), {"short_frame": 14, "bad_ethertype": 47}, "ones")


def broken(packet, layer, **fields):
    copy = packet.copy()
    for key, value in fields.items():
        setattr(copy[layer], key, value)
    return copy


@case
def malformed():
    """Every kind of malformed packet has its name."""
    four, six = Ether(bytes(syn(4))), Ether(bytes(syn(6)))
    udp = Ether(bytes(at_client(ip(OUTSIDE, VIP) / UDP(sport=1, dport=80) / b"data")))

    def summed(packet):  # lengths stay as they are, the header's own sum is made right
        copy = packet.copy()
        del copy[IP].chksum
        return copy
    table = {
        "not_for_us": [broken(four, Ether, dst="02:00:00:00:00:99")],
        "bad_ethertype": [broken(four, Ether, type=0x88CC), broken(four, Ether, type=100)],
        "bad_ip_version": [summed(broken(four, IP, version=6)), broken(six, IPv6, version=4),
                           broken(four, Ether, type=0x86DD)],
        "bad_ip_header": [summed(broken(four, IP, ihl=4)), summed(broken(four, IP, ihl=0)),
                          broken(four, IP, chksum=four[IP].chksum ^ 1),
                          summed(broken(four, IP, src="224.0.0.1")),
                          summed(broken(four, IP, src="255.255.255.255")),
                          broken(six, IPv6, src="ff02::1")],
        "short_ip": [summed(broken(four, IP, ihl=15))],
        "bad_ip_length": [summed(broken(four, IP, len=len(four[IP]) + 1)),
                          summed(broken(four, IP, len=19)), summed(broken(four, IP, len=0)),
                          summed(broken(four, IP, len=65535)),
                          broken(six, IPv6, plen=len(six[IPv6]) - 39)],
        "short_l4": [summed(broken(four, IP, len=39)), summed(broken(udp, IP, len=27)),
                     broken(six, IPv6, plen=19), broken(six, IPv6, plen=0)],
        "bad_l4_header": [broken(four, TCP, dataofs=4), broken(four, TCP, dataofs=15),
                          broken(udp, UDP, len=7), broken(udp, UDP, len=13),
                          broken(udp, UDP, len=0)],
        "bad_tcp_flags": [broken(four, TCP, flags=f) for f in ("SF", "SR", "", "SRF")],
        "rst_without_flow": [broken(four, TCP, flags="R"), broken(four, TCP, flags="RA")],
    }
    chain = six[IPv6].payload
    deep = IPv6(src=OUTSIDE6, dst=VIP6)
    for _ in range(9):
        deep = deep / IPv6ExtHdrDestOpt()
    table["bad_extension_chain"] = [
        at_client(deep / chain),
        at_client(IPv6(src=OUTSIDE6, dst=VIP6) / IPv6ExtHdrDestOpt() / IPv6ExtHdrHopByHop() / chain),
        at_client(IPv6(src=OUTSIDE6, dst=VIP6, nh=60, plen=8) / Raw(bytes([6, 200] + [0] * 30)))]
    ns = (Ether(src=GATEWAY_MAC, dst="33:33:ff:00:00:01")
          / IPv6(src="2001:db8:2::fe", dst="ff02::1:ff00:1", hlim=255)
          / ICMPv6ND_NS(tgt="2001:db8:2::1") / ICMPv6NDOptSrcLLAddr(lladdr=GATEWAY_MAC))
    zero_option = ns.copy()
    zero_option[ICMPv6NDOptSrcLLAddr].len = 0
    table["bad_ndp"] = [broken(ns, IPv6, hlim=254), broken(ns, ICMPv6ND_NS, cksum=1), zero_option,
                        broken(ns, ICMPv6ND_NS, code=1), broken(ns, ICMPv6ND_NS, tgt="ff02::1")]
    arp = Ether(src=GATEWAY_MAC, dst="ff:ff:ff:ff:ff:ff") / ARP(
        hwsrc=GATEWAY_MAC, psrc="192.0.2.254", pdst="192.0.2.1")
    table["bad_arp"] = [broken(arp, ARP, hwtype=6), broken(arp, ARP, ptype=0x86DD),
                        broken(arp, ARP, hwsrc="ff:ff:ff:ff:ff:ff"),
                        broken(arp, ARP, hwsrc="01:00:5e:00:00:01")]
    table["not_forwardable"] = [
        at_client(ip(OUTSIDE, dst) / UDP()) for dst in
        ("224.0.0.1", "255.255.255.255", "127.0.0.1", "0.0.0.0", "169.254.1.1", "10.1.0.255")]
    table["not_forwardable"] += [at_client(ip(OUTSIDE6, dst) / UDP()) for dst in
                                 ("ff02::1", "::1", "::", "fe80::1")]
    ports, targets = (("t", "TCP", 80), ("u", "UDP", 80)), (("t", "TCP", 8080), ("u", "UDP", 8080))
    objects = [service("web", (VIP, VIP6), ports), endpoint_slice("web", targets, (ENDPOINT,)),
               endpoint_slice("web", targets, (ENDPOINT6,), "2")]
    for name, packets in table.items():
        result = replay(config(), objects, [("client", list(enumerate(packets)))])
        same(result.drops(), {name: len(packets)}, name)
        same((result.report["originated"], result.flows), (0, []), f"{name}: silence")


@case
def padding():
    """Bytes behind the IP packet are Ethernet's padding and do not travel on."""
    for family in (4, 6):
        packet = bytes(syn(family)) + b"\xee" * 20
        result = replay(config(), both("TCP"), [("client", [(1, packet)])])
        same(len(result.out["backends"][0][1]), len(packet) - 20, "cut off")


run()
