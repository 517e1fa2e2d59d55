"""What becomes of packets that meet a service: addresses, ports, MACs, TTL, sums, flows."""

from kit import *


def flow_of(result, protocol):
    flows = [f for f in result.flows if f["protocol"] == protocol]
    same(len(flows), 1, f"one {protocol} flow: {result.flows}")
    return flows[0]


@case
def sample_outside_client():
    """The design's configuration: an outside client is masqueraded with 10.1.0.1."""
    syn = at_client(ip(OUTSIDE, VIP, ttl=64) / TCP(sport=40000, dport=80, flags="S", seq=1))
    first = replay(CONFIG, WEB, [("client", [(1, syn)])]).only("backends")
    same((first[IP].src, first[IP].dst, first[TCP].dport), (NODE, ENDPOINT, 8080), "translated")
    same((first.src, first.dst, first[IP].ttl), (BACKENDS_MAC, ENDPOINT_MAC, 63), "forwarded")
    back = at_backends(ip(ENDPOINT, NODE) / TCP(sport=8080, dport=first[TCP].sport, flags="SA"))
    result = replay(CONFIG, WEB, [("client", [(1, syn)]), ("backends", [(2, back)])])
    answer = result.only("client")
    same((answer[IP].src, answer[IP].dst), (VIP, OUTSIDE), "the answer comes from the service")
    same((answer[TCP].sport, answer[TCP].dport), (80, 40000), "and its port")
    same((answer.src, answer.dst, answer[IP].ttl), (CLIENT_MAC, GATEWAY_MAC, 63), "forwarded back")
    flow = flow_of(result, "TCP")
    same(flow["network"], "default", "network")
    same(flow["zone"], "default", "zone")
    same(flow["state"], "syn_received", "state")
    same(flow["original"], {"source": OUTSIDE, "sourcePort": 40000, "destination": VIP,
                            "destinationPort": 80}, "original tuple")
    same(flow["reply"], {"source": ENDPOINT, "sourcePort": 8080, "destination": NODE,
                         "destinationPort": first[TCP].sport}, "reply tuple")
    same(flow["packets"], [1, 1], "packets")
    same(flow["bytes"], [40, 40], "bytes")
    same(flow["expiresInMs"], 60_000, "a half-open connection lives 60 s")
    same((flow["service"], flow["endpoint"]), ("default/web:80", "10.1.0.11:8080"), "names")


@case
def sample_pod_client():
    """The design's configuration: a pod is not masqueraded; its answer comes past the node."""
    neighbours = {"address": POD, "mac": POD_MAC, "port": "backends"}
    world = CONFIG.replace("node:", f"  - {json.dumps(neighbours)}\nnode:")
    syn = at_backends(ip(POD, VIP) / TCP(sport=40000, dport=80, flags="S"), POD_MAC)
    back = at_backends(ip(ENDPOINT, POD) / TCP(sport=8080, dport=40000, flags="SA"))
    there, again = replay(world, WEB, [("backends", [(1, syn), (2, back)])]).packets("backends")
    same((there[IP].src, there[IP].dst, there.dst), (POD, ENDPOINT, ENDPOINT_MAC), "as itself")
    same((there[TCP].sport, there[TCP].dport), (40000, 8080), "ports")
    same((again[IP].src, again[IP].dst, again.dst), (VIP, POD, POD_MAC), "and back")
    same((again[TCP].sport, again[TCP].dport), (80, 40000), "ports back")


@case
def hairpin():
    """A pod that is its own endpoint is masqueraded, with and without pod ranges."""
    for node in (config()["node"], plain_node()):
        syn = at_backends(ip(ENDPOINT, VIP) / TCP(sport=40000, dport=80, flags="S"))
        result = replay(config(node=node), WEB, [("backends", [(1, syn)])])
        there = result.only("backends")
        same((there[IP].src, there[IP].dst, there.dst), (NODE, ENDPOINT, ENDPOINT_MAC), "hairpin")
        back = at_backends(ip(ENDPOINT, NODE) / TCP(sport=8080, dport=there[TCP].sport, flags="SA"))
        _, again = replay(config(node=node), WEB,
                          [("backends", [(1, syn), (2, back)])]).packets("backends")
        same((again[IP].src, again[IP].dst), (VIP, ENDPOINT), "and back")
        same((again[TCP].sport, again[TCP].dport), (80, 40000), "ports")


@case
def no_pod_ranges():
    """Without podCIDRs nobody is masqueraded."""
    for family, client, vip, pod in FAMILIES:
        syn = at_client(ip(client, vip) / TCP(sport=40000, dport=80, flags="S"))
        there = replay(config(node=plain_node()), both("TCP"),
                       [("client", [(1, syn)])]).only("backends")
        there = there[IP if family == 4 else IPv6]
        same((there.src, there.dst, there[TCP].sport), (client, pod, 40000), "as itself")


@case
def masquerade_v6():
    """IPv6: the outgoing port's first address; without one the node's own of that family."""
    syn = at_client(ip(OUTSIDE6, VIP6) / TCP(sport=40000, dport=80, flags="S"))
    there = replay(config(), both("TCP"), [("client", [(1, syn)])]).only("backends")
    same((there[IPv6].src, there[IPv6].dst), (NODE6, ENDPOINT6), "masqueraded")
    world = config()
    world["ports"][1]["addresses"] = ["10.1.0.1/24"]
    world["routes"].append({"to": "fd00:1::/64", "via": "fd00:2::1", "port": "backends"})
    world["neighbours"] = [n for n in world["neighbours"] if n["address"] != ENDPOINT6]
    world["neighbours"].append({"address": "fd00:2::1", "mac": ENDPOINT_MAC, "port": "backends"})
    world["node"]["addresses"] = ["192.0.2.1", "2001:db8:99::5"]
    there = replay(world, both("TCP"), [("client", [(1, syn)])]).only("backends")
    same(there[IPv6].src, "2001:db8:99::5", "the node's address")
    world["node"]["addresses"] = ["192.0.2.1"]
    result = replay(world, both("TCP"), [("client", [(1, syn)])])
    same(result.drops(), {"no_snat_address": 1}, "no address of the family")


def tcp_talk(client, vip, pod, end):
    """(from client?, flags, seq, ack, payload) of a whole connection that ends by FIN or RST."""
    talk = [(1, "S", 100, 0, b""), (0, "SA", 500, 101, b""), (1, "A", 101, 501, b""),
            (1, "PA", 101, 501, b"GET / HTTP/1.1\r\n\r\n"), (0, "PA", 501, 119, b"x" * 1399)]
    if end == "FIN":
        talk += [(1, "FA", 119, 1900, b""), (0, "FA", 1900, 120, b""), (1, "A", 120, 1901, b"")]
    elif end == "RST":
        talk += [(0, "R", 1900, 0, b"")]
    to_vip, to_client = [], []
    for i, (forward, flags, seq, ack, payload) in enumerate(talk):
        when = 1 + i / 10
        if forward:
            segment = TCP(sport=40000, dport=80, flags=flags, seq=seq, ack=ack) / Raw(payload)
            to_vip.append((when, at_client(ip(client, vip) / segment)))
        else:
            segment = TCP(sport=8080, dport=40000, flags=flags, seq=seq, ack=ack) / Raw(payload)
            to_client.append((when, at_backends(ip(pod, client) / segment)))
    return talk, to_vip, to_client


@case
def tcp_connection():
    """TCP: handshake, odd-length data, FIN or RST, both directions and families."""
    states = {"FIN": ("time_wait", 120_000), "RST": ("closed", 10_000),
              None: ("established", 86_400_000)}
    for family, client, vip, pod in FAMILIES:
        for end, (state, lives) in states.items():
            talk, to_vip, to_client = tcp_talk(client, vip, pod, end)
            result = replay(config(node=plain_node()), both("TCP"),
                            [("client", to_vip), ("backends", to_client)])
            there, back = result.packets("backends"), result.packets("client")
            same((len(there), len(back)), (len(to_vip), len(to_client)), "all pass")
            sent = [t for t in talk if t[0]]
            for packet, (_, flags, seq, ack, payload) in zip(there, sent):
                same((str(packet[TCP].flags), packet[TCP].seq, packet[TCP].ack),
                     (flags, seq, ack), "segment")
                same(bytes(packet[TCP].payload)[:len(payload)], payload, "payload")
                same((packet[TCP].sport, packet[TCP].dport), (40000, 8080), "ports there")
            for packet in back:
                same((packet[TCP].sport, packet[TCP].dport), (80, 40000), "ports back")
            flow = flow_of(result, "TCP")
            same((flow["state"], flow["expiresInMs"]), (state, lives), f"after {end}")
            same(flow["packets"], [len(to_vip), len(to_client)], "packets of each direction")
            header = 40 if family == 4 else 60
            same(flow["bytes"], [sum(header + len(t[4]) for t in talk if t[0] == side)
                                 for side in (1, 0)], "IP bytes of each direction")


@case
def udp():
    """UDP: sums right; zero stays zero over IPv4; a sum that comes out as zero is written ffff."""
    for family, client, vip, pod in FAMILIES:
        ask = at_client(ip(client, vip) / UDP(sport=5000, dport=53) / b"odd")
        answer = at_backends(ip(pod, client) / UDP(sport=5353, dport=5000) / b"even")
        result = replay(config(node=plain_node()), both("UDP", 53, 5353),
                        [("client", [(1, ask)]), ("backends", [(2, answer)])])
        there, back = result.only("backends"), result.only("client")
        same((there[UDP].sport, there[UDP].dport), (5000, 5353), "there")
        same((back[UDP].sport, back[UDP].dport), (53, 5000), "back")
        flow = flow_of(result, "UDP")
        same((flow["state"], flow["expiresInMs"]), ("replied", 120_000), "state")
    silent = at_client(ip(OUTSIDE, VIP) / UDP(sport=5000, dport=53, chksum=0) / b"odd")
    there = replay(config(), both("UDP", 53, 5353), [("client", [(1, silent)])]).only("backends")
    same(there[UDP].chksum, 0, "no sum stays no sum")
    # Every word in turn, so that one of them makes the translated sum come out as zero.
    base = at_client(ip(OUTSIDE, VIP) / UDP(sport=5000, dport=53) / b"\0\0")
    probe = replay(config(node=plain_node()), both("UDP", 53, 5353),
                   [("client", [(1, base.copy())])]).only("backends")
    word = probe[UDP].chksum  # a payload word of this value makes the sum zero, written as ffff
    packets = [(1, at_client(ip(OUTSIDE, VIP) / UDP(sport=5000, dport=53) / w.to_bytes(2, "big")))
               for w in (word - 1, word, (word + 1) & 0xFFFF)]
    found = [p[UDP].chksum for p in replay(
        config(node=plain_node()), both("UDP", 53, 5353), [("client", packets)]).packets("backends")]
    same(found[1], 0xFFFF, f"zero is written ffff (RFC 768): {found}")


@case
def sctp():
    """SCTP: ports translated both ways, the CRC right, no transport sum of another kind."""
    for family, client, vip, pod in FAMILIES:
        for size in (0, 1, 999):
            ask = at_client(ip(client, vip) / SCTP(sport=5000, dport=36412, tag=7)
                            / SCTPChunkData(data=b"s" * size, tsn=1))
            answer = at_backends(ip(pod, client) / SCTP(sport=36413, dport=5000, tag=9)
                                 / SCTPChunkData(data=b"t" * size, tsn=2))
            result = replay(config(node=plain_node()), both("SCTP", 36412, 36413),
                            [("client", [(1, ask)]), ("backends", [(2, answer)])])
            there, back = result.only("backends")[SCTP], result.only("client")[SCTP]
            same((there.sport, there.dport, there.tag), (5000, 36413, 7), "there")
            same((back.sport, back.dport, back.tag), (36412, 5000, 9), "back")


@case
def damaged_stays_damaged():
    """A wrong transport sum is passed on wrong: never repaired into a lie."""
    for protocol, segment in (
            ("TCP", TCP(sport=5000, dport=80, flags="S", chksum=0x1234)),
            ("UDP", UDP(sport=5000, dport=80, chksum=0x1234) / b"data"),
            ("SCTP", SCTP(sport=5000, dport=80, tag=1, chksum=0x12345678) / SCTPChunkInit())):
        packet = at_client(ip(OUTSIDE, VIP) / segment)
        result = replay(config(), both(protocol), [("client", [(1, packet)])], right_sums=False)
        _, frame = result.out["backends"][0]
        try:
            sums_right(frame)
        except Wrong:
            continue
        raise Wrong(f"{protocol}: a damaged packet was given a right sum")


@case
def echo():
    """Echo to a virtual address reaches an endpoint and comes back; masqueraded or not."""
    from scapy.layers.inet6 import ICMPv6EchoReply, ICMPv6EchoRequest
    for node in (plain_node(), config()["node"]):
        for family, client, vip, pod in FAMILIES:
            def message(kind, id_):
                if family == 4:
                    return ICMP(type=8 if kind == "ask" else 0, id=id_, seq=3) / b"ping"
                layer = ICMPv6EchoRequest if kind == "ask" else ICMPv6EchoReply
                return layer(id=id_, seq=3, data=b"ping")
            ask = at_client(ip(client, vip) / message("ask", 77))
            first = replay(config(node=node), both("TCP"), [("client", [(1, ask)])])
            there = first.only("backends")
            l3 = there[IP if family == 4 else IPv6]
            id_ = l3.payload.id
            masked = "podCIDRs" in node
            same(l3.dst, pod, "to an endpoint")
            same(l3.src, {4: NODE, 6: NODE6}[family] if masked else client, "from")
            answer = at_backends(ip(pod, l3.src) / message("answer", id_))
            result = replay(config(node=node), both("TCP"),
                            [("client", [(1, ask)]), ("backends", [(2, answer)])])
            back = result.only("client")[IP if family == 4 else IPv6]
            same((back.src, back.dst, back.payload.id), (vip, client, 77), "and back")
            same(back.payload.type, {4: 0, 6: 129}[family], "an echo reply")


@case
def echo_of_zeros():
    """An echo reply of zeros only has the sum ffff, not 0 (RFC 1624 section 3)."""
    for data in (b"", b"\0", b"\0" * 56, b"\0" * 1400):
        for node in (plain_node(), config()["node"]):
            ask = at_client(ip(OUTSIDE, VIP) / ICMP(type=8, id=0, seq=0) / data)
            there = replay(config(node=node), WEB, [("client", [(1, ask)])]).only("backends")
            answer = at_backends(ip(ENDPOINT, there[IP].src)
                                 / ICMP(type=0, id=there[ICMP].id, seq=0) / data)
            result = replay(config(node=node), WEB, [("client", [(1, ask)]), ("backends", [(2, answer)])])
            same(result.only("client")[ICMP].chksum, 0xFFFF, f"through, {len(data)} bytes")
        ask = at_client(ip(OUTSIDE, NODE) / ICMP(type=8, id=0, seq=0) / data)
        reply = replay(config(), WEB, [("client", [(1, ask)])]).only("client")
        same(reply[ICMP].chksum, 0xFFFF, f"ours, {len(data)} bytes")
    # ffff and 0 are one number: what is not all zeros may have 0.
    for word in (0xF7FF, 0xFFFF):
        ask = at_client(ip(OUTSIDE, NODE) / ICMP(type=8, id=0, seq=0) / word.to_bytes(2, "big"))
        replay(config(), WEB, [("client", [(1, ask)])]).only("client")


@case
def options_and_extensions():
    """IPv4 options and IPv6 extension headers pass through, untouched, with right sums."""
    from scapy.layers.inet import IPOption_NOP, IPOption_RR, IPOption_Timestamp
    from scapy.layers.inet6 import (IPv6ExtHdrDestOpt, IPv6ExtHdrHopByHop, IPv6ExtHdrRouting,
                                    PadN, RouterAlert)
    option = [IPOption_RR(length=39, pointer=4, routers=["0.0.0.0"] * 9), IPOption_NOP()]
    for options in (option, [IPOption_NOP()] * 4):
        packet = at_client(IP(src=OUTSIDE, dst=VIP, options=options)
                           / TCP(sport=5000, dport=80, flags="S"))
        there = replay(config(), both("TCP"), [("client", [(1, packet)])]).only("backends")
        header = there[IP].ihl * 4
        same(bytes(there[IP])[20:header], bytes(packet[IP])[20:header], "options")
        same((there[IP].dst, there[TCP].dport), (ENDPOINT, 8080), "translated")
    chains = [IPv6ExtHdrHopByHop(options=[RouterAlert()]), IPv6ExtHdrDestOpt(options=[PadN()]),
              IPv6ExtHdrHopByHop() / IPv6ExtHdrDestOpt() / IPv6ExtHdrDestOpt(options=[PadN()])]
    for chain in chains:
        packet = at_client(ip(OUTSIDE6, VIP6) / chain / TCP(sport=5000, dport=80, flags="S"))
        there = replay(config(), both("TCP"), [("client", [(1, packet)])]).only("backends")
        same((there[IPv6].dst, there[TCP].dport), (ENDPOINT6, 8080), "translated")
        head = 40 + len(chain)
        same(bytes(there[IPv6])[40:head], bytes(packet[IPv6])[40:head], "the chain")


@case
def vlan():
    """Tags are read, and end at the port: what leaves has none."""
    for tags in ([5], [5, 6]):
        for family, client, vip, pod in FAMILIES:
            frame = Ether(src=GATEWAY_MAC, dst=CLIENT_MAC, type=0x88A8 if len(tags) == 2 else 0x8100)
            for tag in tags:
                frame = frame / Dot1Q(vlan=tag, prio=3)
            frame = frame / ip(client, vip) / TCP(sport=5000, dport=80, flags="S")
            there = replay(config(), both("TCP"), [("client", [(1, frame)])]).only("backends")
            same(Dot1Q in there, False, "no tag")
            same((there.dst, there[TCP].dport), (ENDPOINT_MAC, 8080), "translated")
    three = Ether(src=GATEWAY_MAC, dst=CLIENT_MAC) / Dot1Q(vlan=1) / Dot1Q(vlan=2) / Dot1Q(vlan=3)
    result = replay(config(), WEB, [("client", [(1, three / ip(OUTSIDE, VIP) / TCP())])])
    same(result.drops(), {"vlan_too_deep": 1}, "three tags")


@case
def ports_beyond_the_service():
    """Unused port: RST or port unreachable; never an answer to an answer."""
    for family, client, vip, pod in FAMILIES:
        l3 = IP if family == 4 else IPv6
        syn = at_client(ip(client, vip) / TCP(sport=5000, dport=81, flags="S", seq=9))
        result = replay(config(), both("TCP"), [("client", [(1, syn)])])
        same(result.drops(), {"service_port_unknown": 1}, "named")
        rst = result.only("client")
        same((rst[l3].src, rst[l3].dst, rst[TCP].sport, rst[TCP].dport), (vip, client, 81, 5000), "")
        same((str(rst[TCP].flags), rst[TCP].seq, rst[TCP].ack), ("RA", 0, 10), "RFC 9293 3.10.7.1")
        same((rst.src, rst.dst), (CLIENT_MAC, GATEWAY_MAC), "back where it came from")
        for dgram in (UDP(sport=5000, dport=80) / b"data", SCTP(sport=5000, dport=80)):
            result = replay(config(), both("TCP"), [("client", [(1, at_client(ip(client, vip) / dgram))])])
            same(result.drops(), {"service_port_unknown": 1}, "named")
            error = result.only("client")[l3]
            same((error.src, error.dst), (vip, client), "port unreachable from the service")
            same((error.payload.type, error.payload.code), {4: (3, 3), 6: (1, 4)}[family], "type")
        reset = at_client(ip(client, vip) / TCP(sport=5000, dport=81, flags="R"))
        result = replay(config(), both("TCP"), [("client", [(1, reset)])])
        same((result.drops(), result.report["originated"]), ({"service_port_unknown": 1}, 0), "RST")


@case
def no_endpoint():
    """No endpoint at all: RST for TCP, port unreachable for UDP; none local: silence."""
    for family, client, vip, pod in FAMILIES:
        l3 = IP if family == 4 else IPv6
        objects = [service(addresses=(VIP, VIP6), ports=(("t", "TCP", 80), ("u", "UDP", 80)))]
        for segment, kind in ((TCP(sport=5000, dport=80, flags="S"), "RST"),
                              (UDP(sport=5000, dport=80), "error")):
            packet = at_client(ip(client, vip) / segment)
            result = replay(config(), objects, [("client", [(1, packet)])])
            same(result.drops(), {"no_endpoint": 1}, "named")
            answer = result.only("client")
            same(answer[l3].src, vip, "from the service")
            if kind == "RST":
                same(str(answer[TCP].flags), "RA", "a reset")
            else:
                same((answer[l3].payload.type, answer[l3].payload.code),
                     {4: (3, 3), 6: (1, 4)}[family], "port unreachable")
    away = [service(internalTrafficPolicy="Local"),
            endpoint_slice(endpoints=[endpoint(ENDPOINT, nodeName="node-b")])]
    packet = at_client(ip(OUTSIDE, VIP) / TCP(sport=5000, dport=80, flags="S"))
    result = replay(config(), away, [("client", [(1, packet)])])
    same((result.drops(), result.report["originated"]), ({"no_local_endpoint": 1}, 0), "silence")
    here = [service(internalTrafficPolicy="Local"),
            endpoint_slice(endpoints=[endpoint(ENDPOINT, nodeName="node-b"),
                                      endpoint(ENDPOINT2, nodeName="node-a")])]
    result = replay(config(), here, [("client", [(1, packet)])])
    same(result.only("backends")[IP].dst, ENDPOINT2, "the local one")


run()
