"""Captures in every form, their order, what cannot be read, and the command's own contract."""

import struct

from kit import *
from scapy.utils import PcapNgWriter


def syn(sport):
    return at_client(ip(OUTSIDE, VIP) / TCP(sport=sport, dport=80, flags="S"))


def sent(result, port="backends"):
    return [(when, Ether(frame)[TCP].seq) for when, frame in result.out[port]]


def marked(number, when, **fields):
    return when, at_client(ip(OUTSIDE, VIP) / TCP(sport=5000, dport=80, flags="S", seq=number))


PACKETS = [marked(1, 1.000001), marked(2, 1.5), marked(3, 1.5), marked(4, 2.123456)]
TIMES = [(1_000_001, 1), (1_500_000, 2), (1_500_000, 3), (2_123_456, 4)]


def editcap(source, target, kind):
    done = subprocess.run(["editcap", "-F", kind, source, target], capture_output=True, text=True)
    same(done.returncode, 0, f"editcap: {done.stderr}")


@case
def formats():
    """Classic pcap in microseconds and nanoseconds, both byte orders; pcapng of scapy and editcap."""
    with tempfile.TemporaryDirectory() as folder:
        files = []
        for nano in (False, True):
            for order in "<>":
                files.append(f"{folder}/{nano}{ord(order)}.pcap")
                write_pcap(files[-1], PACKETS, nano, order)
        for kind in ("pcap", "nsecpcap", "pcapng"):
            files.append(f"{folder}/editcap.{kind}")
            editcap(files[0], files[-1], kind)
        files.append(f"{folder}/nano.pcapng")
        editcap(f"{folder}/editcap.nsecpcap", files[-1], "pcapng")
        files.append(f"{folder}/scapy.pcapng")
        writer = PcapNgWriter(files[-1])
        for when, packet in PACKETS:
            packet.time = when
            writer.write(packet)
        writer.close()
        for path in files:
            result = replay(config(), WEB, [("client", path)], records={"client": 4})
            found = sent(result)
            is_true(all(abs(a[0] - b[0]) <= 1 and a[1] == b[1] for a, b in zip(found, TIMES)),
                    f"{path}: {found}")
            same(len(found), 4, path)


def block(kind, body, order="<"):
    body += b"\0" * (-len(body) % 4)
    length = len(body) + 12
    return struct.pack(order + "II", kind, length) + body + struct.pack(order + "I", length)


def section(order="<"):
    return block(0x0A0D0D0A, struct.pack(order + "IHHq", 0x1A2B3C4D, 1, 0, -1), order)


def interface(order="<", link=1, resolution=None, offset=None):
    options = b""
    if resolution is not None:
        options += struct.pack(order + "HHB3x", 9, 1, resolution)
    if offset is not None:
        options += struct.pack(order + "HHq", 14, 8, offset)
    return block(1, struct.pack(order + "HHI", link, 0, 0) + options + b"\0" * 4, order)


def enhanced(number, ticks, frame, order="<"):
    return block(6, struct.pack(order + "IIIII", number, ticks >> 32, ticks & 0xFFFFFFFF,
                                len(frame), len(frame)) + frame, order)


@case
def pcapng_by_hand():
    """pcapng: both byte orders, resolutions, offsets, several interfaces and sections, other blocks."""
    frames = [bytes(packet) for _, packet in PACKETS]
    with tempfile.TemporaryDirectory() as folder:
        data = b""
        for i, order in enumerate("<>"):
            at = 100 * (i + 1)
            data += section(order) + interface(order, resolution=9) + interface(order)
            data += interface(order, resolution=0x8A, offset=at)  # 2^-10 s, from an offset
            data += block(5, b"\0" * 12, order) + block(0xBAD, b"custom", order)
            data += enhanced(0, at * 10**9 + 1000, frames[0], order)
            data += enhanced(1, at * 10**6 + 2, frames[1], order)
            data += enhanced(2, 512, frames[2], order)
            data += block(3, struct.pack(order + "I", len(frames[3])) + frames[3], order)
        with open(f"{folder}/a.pcapng", "wb") as file:
            file.write(data)
        result = replay(config(), WEB, [("client", f"{folder}/a.pcapng")], records={"client": 8})
        same(sent(result), [(s * 10**6 + us, seq) for s in (100, 200)
                            for us, seq in ((1, 1), (2, 2), (500_000, 3), (500_000, 4))], "times")


@case
def merged():
    """Inputs are merged by time; equal times go in the order of --in; time never goes back."""
    client = [marked(1, 1), marked(2, 2), marked(3, 3)]
    other = [(when, at_backends(ip(POD, VIP) / TCP(sport=6000, dport=80, flags="S", seq=seq), POD_MAC))
             for seq, when in ((11, 1), (12, 2), (13, 2.5))]
    result = replay(config(), WEB, [("client", client), ("backends", other)])
    same([n for _, n in sent(result)], [1, 11, 2, 12, 13, 3], "client first")
    result = replay(config(), WEB, [("backends", other), ("client", client)])
    same([n for _, n in sent(result)], [11, 1, 12, 2, 13, 3], "backends first")
    back = [marked(1, 5), marked(2, 3), marked(3, 4), marked(4, 6)]
    result = replay(config(), WEB, [("client", back)])
    same(sent(result), [(5_000_000, 1), (5_000_000, 2), (5_000_000, 3), (6_000_000, 4)], "forward")
    result = replay(config(), WEB, [("client", back), ("backends", other)])
    times = [when for when, _ in sent(result)]
    same(times, sorted(times), "never back")


@case
def without_out():
    """Output to a port without --out is counted and discarded; a port without --in is silent."""
    result = replay(config(), WEB, [("client", PACKETS)], outs=())
    same(result.report["packets"], {"client": {"in": 4, "out": 0}, "backends": {"in": 0, "out": 4}},
         "counted")


@case
def any_driver():
    """Every port becomes pcap, whatever its driver, queues, modes and host."""
    world = config()
    world["ports"][0].update(driver="af_xdp", interface="nowhere0", queues=4, mode="native",
                             copy="zero-copy")
    world["ports"][1].update(driver="auto", interface="nowhere1", queues=8)
    world["ports"].append({"name": "raw", "driver": "af_packet", "interface": "nowhere2"})
    world["workers"] = {"count": 3, "mode": "polling"}
    result = replay(world, WEB, [("client", PACKETS)], outs=("client", "backends", "raw"))
    same([n for _, n in sent(result)], [1, 2, 3, 4], "as ever")


@case
def nothing():
    """No --in at all, and captures without a packet, are a run."""
    empty = {"client": {"in": 0, "out": 0}, "backends": {"in": 0, "out": 0}}
    same(replay(config(), WEB, []).report["packets"], empty, "no input")
    with tempfile.TemporaryDirectory() as folder:
        write_pcap(f"{folder}/a.pcap", [])
        with open(f"{folder}/b.pcapng", "wb") as file:
            file.write(section() + interface())
        for path in (f"{folder}/a.pcap", f"{folder}/b.pcapng"):
            result = replay(config(), WEB, [("client", path)])
            same((result.report["packets"], result.flows), (empty, []), path)


@case
def truncated_records():
    """Records shorter than on the wire, and cut off by the file's end, all count."""
    packets = [(1, bytes(syn(1)), 1500), (2, bytes(syn(2))[:30], 54), (3, syn(3))]
    result = replay(config(), WEB, [("client", packets)])
    same((result.drops(), len(result.out["backends"])), ({"short_ip": 1}, 2), "caplen < len")
    with tempfile.TemporaryDirectory() as folder:
        write_pcap(f"{folder}/a.pcap", PACKETS)
        with open(f"{folder}/a.pcap", "rb") as file:
            data = file.read()
        record = (len(data) - 24) // 4
        for cut in (1, record - 17, record - 1):
            with open(f"{folder}/b.pcap", "wb") as file:
                file.write(data[:-cut])
            result = replay(config(), WEB, [("client", f"{folder}/b.pcap")], records={"client": 4})
            same(result.drops(), {"rx_truncated": 1}, f"{cut} bytes short")


@case
def large():
    """Records up to 64 KiB are packets; what no frame holds is dropped by name."""
    world = config(node=plain_node())
    world["ports"] = [{**port, "mtu": 65535} for port in world["ports"]]
    sizes = (1500, 2048, 4096, 9000, 65535)
    packets = [(i, at_client(ip(OUTSIDE, VIP) / UDP(sport=5000, dport=80) / Raw(b"L" * (n - 28))))
               for i, n in enumerate(sizes)]
    result = replay(world, both("UDP"), [("client", packets)])
    same([len(f) - 14 for _, f in result.out["backends"]], list(sizes), "all pass")
    with tempfile.TemporaryDirectory() as folder:
        write_pcap(f"{folder}/a.pcap", [(1, b"\x55" * 300_000), (2, syn(1))])
        result = replay(config(), WEB, [("client", f"{folder}/a.pcap")], records={"client": 2})
        same((result.drops(), len(result.out["backends"])), ({"rx_truncated": 1}, 1), "too long")


def fails(status, *words, args, says_on="stderr"):
    done = command(*args)
    same(done.returncode, status, f"{args}: {done.stdout} {done.stderr}")
    for word in words:
        is_true(word in done.stderr, f"says {word!r}: {done.stderr}")
    is_true("    at " not in done.stderr, f"no stack: {done.stderr}")
    return done


@case
def unreadable():
    """Missing files, other link types, what is no capture: a clear error and status 1."""
    with tempfile.TemporaryDirectory() as folder:
        write_world(folder, config(), WEB)
        base = ["replay", "-c", f"{folder}/nodeplane.yaml"]

        def made(name, data):
            with open(f"{folder}/{name}", "wb") as file:
                file.write(data)
            return f"{folder}/{name}"
        fails(1, "no.pcap", "No such file", args=[*base, "--in", f"client={folder}/no.pcap"])
        fails(1, "client", args=[*base, "--in", f"client={folder}"])
        fails(1, "link type", args=[*base, "--in", "client=" + made(
            "raw.pcap", struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 101))])
        fails(1, "link type", args=[*base, "--in", "client=" + made(
            "raw.pcapng", section() + interface(link=113))])
        for name, data in (("zero", b""), ("short", b"\xd4\xc3\xb2\xa1"), ("text", b"hello, world\n")):
            fails(1, name, args=[*base, "--in", "client=" + made(name, data)])
        write_pcap(f"{folder}/good.pcap", PACKETS)
        good = f"client={folder}/good.pcap"
        fails(1, "nowhere", args=[*base, "--in", good, "--out", f"client={folder}/nowhere/o.pcap"])
        fails(1, "nowhere", args=[*base, "--in", good, "--report", f"{folder}/nowhere/r.json"])
        fails(1, "ghost", args=[*base, "--in", f"ghost={folder}/good.pcap"])
        fails(1, "ghost", args=[*base, "--out", f"ghost={folder}/good.pcap"])
        # A capture that breaks in its middle: what came before is done, the rest is an error.
        broken = section() + interface() + enhanced(0, 10**6, bytes(syn(1))) + struct.pack("<II", 6, 13)
        fails(1, "broken", args=[*base, "--in", "client=" + made("broken.pcapng", broken + b"\0" * 64)])


@case
def outputs_do_not_eat_inputs():
    """An output file that is an input, or another port's output, is refused; the input stays whole."""
    with tempfile.TemporaryDirectory() as folder:
        write_world(folder, config(), WEB)
        write_pcap(f"{folder}/a.pcap", PACKETS)
        with open(f"{folder}/a.pcap", "rb") as file:
            before = file.read()
        base = ["replay", "-c", f"{folder}/nodeplane.yaml", "--in", f"client={folder}/a.pcap"]
        os.symlink(f"{folder}/a.pcap", f"{folder}/link.pcap")
        for name in ("a.pcap", "link.pcap"):
            for port in ("client", "backends"):
                fails(1, name, args=[*base, "--out", f"{port}={folder}/{name}"])
                with open(f"{folder}/a.pcap", "rb") as file:
                    same(file.read(), before, "the input stays whole")
        fails(1, "o.pcap", args=[*base, "--out", f"client={folder}/o.pcap",
                                 "--out", f"backends={folder}/o.pcap"])


@case
def usage():
    """Wrong usage is status 2, help is status 0, --json leaves standard output to the document."""
    for args in ([], ["replay"], ["replay", "-c"], ["nonsense"], ["check"], ["replay", "--nonsense"],
                 ["replay", "-c", "f", "--in", "client"], ["replay", "-c", "f", "--in", "=x"],
                 ["replay", "-c", "f", "--in", "a=b", "--in", "a=c"], ["check", "-c", "f", "extra"]):
        done = command(*args)
        same((done.returncode, done.stdout), (2, ""), f"{args}: {done.stderr}")
    for args in (["--help"], ["replay", "--help"], ["check", "--help"], ["plan", "--help"]):
        done = command(*args)
        same((done.returncode, done.stderr), (0, ""), f"{args}")
        is_true("Usage" in done.stdout, "says how")
    fails(1, "none.yaml", args=["replay", "-c", "/none.yaml"])


run()
