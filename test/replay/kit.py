"""Outside judges of `nodeplane replay`: scapy makes the captures and computes every sum of what
came out anew; tshark has the second word. A script marks its functions with @case and calls run(),
which prints TAP: a *.test.ts beside it hands that on (spawn.ts)."""

import json
import os
import struct
import subprocess
import sys
import tempfile
import traceback

from scapy.layers.inet import ICMP, IP, TCP, UDP, in4_chksum
from scapy.layers.inet6 import IPv6, in6_chksum
from scapy.layers.l2 import ARP, Dot1Q, Ether
from scapy.layers.sctp import SCTP, SCTPChunkData, SCTPChunkInit, crc32c
from scapy.packet import Raw
from scapy.utils import RawPcapWriter, checksum

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
COMMAND = ["node", os.path.join(ROOT, "bin/nodeplane.js")]
COMMANDS = ["node", os.path.join(ROOT, "build/js/test/replay/commands.js")]

# --- the world of design section 8: clients behind a gateway, pods beside the node --------------

CLIENT_MAC, BACKENDS_MAC = "02:00:00:00:00:01", "02:00:00:00:00:02"
GATEWAY_MAC, ENDPOINT_MAC, ENDPOINT2_MAC = (
    "02:00:00:00:01:fe", "02:00:00:00:02:0b", "02:00:00:00:02:0c")
POD_MAC = "02:00:00:00:02:32"
OUTSIDE, VIP, ENDPOINT, ENDPOINT2 = "198.51.100.7", "10.96.0.10", "10.1.0.11", "10.1.0.12"
POD, NODE = "10.1.0.50", "10.1.0.1"
OUTSIDE6, VIP6, ENDPOINT6, NODE6 = "2001:db8:7::7", "fd96::10", "fd00:1::b", "fd00:1::1"

CONFIG = """\
ports:
  - { name: client,   driver: pcap, addresses: [192.0.2.1/24], mac: 02:00:00:00:00:01 }
  - { name: backends, driver: pcap, addresses: [10.1.0.1/24],  mac: 02:00:00:00:00:02 }
routes:
  - { to: 198.51.100.0/24, via: 192.0.2.254, port: client }
neighbours:
  - { address: 192.0.2.254, mac: 02:00:00:00:01:fe, port: client }
  - { address: 10.1.0.11,   mac: 02:00:00:00:02:0b, port: backends }
node: { name: node-a, zone: zone-1, addresses: [192.0.2.1], podCIDRs: [10.1.0.0/24] }
manifests: [services.yaml]        # Kubernetes Service and EndpointSlice objects, paths relative to FILE
"""


def config(**changes):
    """The same world for both families, with a second endpoint and a pod, as an object."""
    made = {
        "ports": [
            {"name": "client", "driver": "pcap", "mac": CLIENT_MAC,
             "addresses": ["192.0.2.1/24", "2001:db8:2::1/64"]},
            {"name": "backends", "driver": "pcap", "mac": BACKENDS_MAC,
             "addresses": ["10.1.0.1/24", "fd00:1::1/64"]},
        ],
        "routes": [
            {"to": "198.51.100.0/24", "via": "192.0.2.254", "port": "client"},
            {"to": "2001:db8:7::/64", "via": "2001:db8:2::fe", "port": "client"},
        ],
        "neighbours": [
            {"address": "192.0.2.254", "mac": GATEWAY_MAC, "port": "client"},
            {"address": "2001:db8:2::fe", "mac": GATEWAY_MAC, "port": "client"},
            {"address": ENDPOINT, "mac": ENDPOINT_MAC, "port": "backends"},
            {"address": ENDPOINT6, "mac": ENDPOINT_MAC, "port": "backends"},
            {"address": ENDPOINT2, "mac": ENDPOINT2_MAC, "port": "backends"},
            {"address": POD, "mac": POD_MAC, "port": "backends"},
        ],
        "node": {"name": "node-a", "zone": "zone-1", "addresses": ["192.0.2.1"],
                 "podCIDRs": ["10.1.0.0/24", "fd00:1::/64"]},
        "manifests": ["services.yaml"],
    }
    made.update(changes)
    return {key: value for key, value in made.items() if value is not None}


def plain_node():
    """A node that knows no pod ranges: nobody is masqueraded."""
    return {"name": "node-a", "zone": "zone-1", "addresses": ["192.0.2.1"]}


def service(name="web", addresses=(VIP,), ports=(("", "TCP", 80),), **spec):
    return {
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": "default"},
        "spec": {"clusterIP": addresses[0], "clusterIPs": list(addresses),
                 "ports": [{"name": n, "protocol": protocol, "port": port}
                           for n, protocol, port in ports], **spec},
    }


def endpoint(address, ready=None, serving=None, terminating=None, **more):
    conditions = {key: value for key, value in
                  (("ready", ready), ("serving", serving), ("terminating", terminating))
                  if value is not None}
    return {"addresses": [address], "conditions": conditions, **more}


def endpoint_slice(name="web", ports=(("", "TCP", 8080),), endpoints=(ENDPOINT,), suffix="1"):
    made = [e if isinstance(e, dict) else endpoint(e) for e in endpoints]
    is_v6 = bool(made) and ":" in made[0]["addresses"][0]
    return {
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
        "metadata": {"name": f"{name}-{suffix}", "namespace": "default",
                     "labels": {"kubernetes.io/service-name": name}},
        "addressType": "IPv6" if is_v6 else "IPv4",
        "endpoints": made,
        "ports": [{"name": n, "protocol": protocol, "port": port} for n, protocol, port in ports],
    }


def both(protocol, port=80, target=8080, name="web"):
    """One service of both families with one endpoint each."""
    ports = (("", protocol, port),)
    targets = (("", protocol, target),)
    return [service(name, (VIP, VIP6), ports), endpoint_slice(name, targets, (ENDPOINT,)),
            endpoint_slice(name, targets, (ENDPOINT6,), "2")]


def documents(*objects):
    return "\n---\n".join(json.dumps(o, indent=1) for o in objects) + "\n"


WEB = [service(), endpoint_slice()]
FAMILIES = [(4, OUTSIDE, VIP, ENDPOINT), (6, OUTSIDE6, VIP6, ENDPOINT6)]

# --- packets --------------------------------------------------------------------------------------


def ip(src, dst, **fields):
    if ":" in src:
        fields = {"hlim" if k == "ttl" else k: v for k, v in fields.items() if k != "flags"}
        return IPv6(src=src, dst=dst, **fields)
    return IP(src=src, dst=dst, **{"flags": "DF", **fields})


def at_client(packet, mac=GATEWAY_MAC):
    return Ether(src=mac, dst=CLIENT_MAC) / packet


def at_backends(packet, mac=ENDPOINT_MAC):
    return Ether(src=mac, dst=BACKENDS_MAC) / packet


# --- a run ----------------------------------------------------------------------------------------


class Result:
    def __init__(self, report, out, command):
        self.report, self.out, self.command = report, out, command
        self.flows = report["flows"]

    def packets(self, port):
        return [Ether(frame) for _, frame in self.out[port]]

    def only(self, port):
        packets = self.packets(port)
        same(len(packets), 1, f"one packet leaves by {port}: {self.report}")
        return packets[0]

    def drops(self):
        return {name: count for name, count in self.report["drops"].items() if count}


# What tap gives a test's process (a loader, a channel to talk by) is not for the command under test.
ENVIRONMENT = {key: value for key, value in os.environ.items()
               if not key.startswith(("NODE_", "TAP", "_TAPJS"))}


def command(*args):
    return subprocess.run([*COMMAND, *args], capture_output=True, text=True, env=ENVIRONMENT,
                          timeout=600)


commands = None  # a process that runs one after another


def next_command(*args):
    """The same, without a process of its own (commands.ts)."""
    global commands
    if commands is None or commands.poll() is not None:
        commands = subprocess.Popen(COMMANDS, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                    text=True, env=ENVIRONMENT)
    commands.stdin.write(json.dumps(args) + "\n")
    commands.stdin.flush()
    answer = commands.stdout.readline()
    is_true(answer, f"it ended with {commands.wait() if not answer else 0}: {args}")
    found = json.loads(answer)
    return subprocess.CompletedProcess(args, found["status"], found["out"], found["err"])


def write_inputs(folder, inputs):
    """Lists of (seconds, packet) become pcap files; paths stay. -> [(port, path)]"""
    files = []
    for i, (port, packets) in enumerate(inputs):
        if isinstance(packets, str):
            files.append((port, packets))
            continue
        path = os.path.join(folder, f"{i}-{port}.pcap")
        write_pcap(path, packets)
        files.append((port, path))
    return files


def write_pcap(path, packets, nano=False, endianness="<", linktype=1):
    """(seconds, packet or bytes[, length it had on the wire]) -> a classic pcap file."""
    unit = 10**9 if nano else 10**6
    writer = RawPcapWriter(path, linktype=linktype, nano=nano, endianness=endianness)
    writer.write_header(None)
    for when, packet, *wire in packets:
        ticks = round(when * unit)
        writer.write_packet(bytes(packet), sec=ticks // unit, usec=ticks % unit,
                            wirelen=wire[0] if wire else None)
    writer.close()


def write_world(folder, world, manifests):
    with open(os.path.join(folder, "nodeplane.yaml"), "w") as file:
        file.write(world if isinstance(world, str) else json.dumps(world, indent=1))
    if not isinstance(manifests, dict):
        manifests = {"services.yaml": documents(*manifests)}
    for name, text in manifests.items():
        path = os.path.join(folder, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w") as file:
            file.write(text if isinstance(text, str) else documents(*text))


def replay(world, manifests, inputs, outs=("client", "backends"), right_sums=True, records=None):
    """Replays, and checks what holds for every run: status 0, the books, the sums of every output."""
    with tempfile.TemporaryDirectory() as folder:
        write_world(folder, world, manifests)
        files = write_inputs(folder, inputs)
        args = ["replay", "-c", f"{folder}/nodeplane.yaml", "--report", f"{folder}/report.json",
                "--json"]
        for port, path in files:
            args += ["--in", f"{port}={path}"]
        for port in outs:
            args += ["--out", f"{port}={folder}/{port}-out.pcap"]
        done = next_command(*args)
        same(done.returncode, 0, f"replay ends well: {done.stderr}")
        with open(f"{folder}/report.json") as file:
            report = json.load(file)
        same(json.loads(done.stdout), report, "--json and --report are the same document")
        out = {port: read_output(f"{folder}/{port}-out.pcap") for port in outs}
    books(report, inputs, out, records)
    if right_sums:
        for port in outs:
            for _, frame in out[port]:
                sums_right(frame)
                outputs.append(frame)
    return Result(report, out, done)


def read_output(path):
    with open(path, "rb") as file:
        head = file.read(24)
    same(head[:8], bytes.fromhex("d4c3b2a102000400"), "classic pcap, little-endian, microseconds")
    same(int.from_bytes(head[20:24], "little"), 1, "Ethernet")
    return list(records_of(path))


def records_of(path):
    """(microseconds, bytes); scapy's reader cuts records at 65535 bytes."""
    with open(path, "rb") as file:
        file.seek(24)
        while head := file.read(16):
            seconds, microseconds, captured, length = struct.unpack("<IIII", head)
            same(captured, length, "records are whole")
            data = file.read(captured)
            same(len(data), captured, "the file ends with a record")
            yield seconds * 10**6 + microseconds, data


def books(report, inputs, out, records):
    """in + originated = out + all drops + consumed; the report's types; the files' counts."""
    total = report["originated"] - report["consumed"] - sum(report["drops"].values())
    for name, port in report["packets"].items():
        same(set(port), {"in", "out"}, f"fields of port {name}")
        total += port["in"] - port["out"]
    same(total, 0, f"the books balance: {report['packets']} {report['drops']}")
    came = {}
    for port, packets in inputs:
        if not isinstance(packets, str):
            came[port] = came.get(port, 0) + len(packets)
    for port, count in {**came, **(records or {})}.items():
        same(report["packets"][port]["in"], count, f"every record counts as in on {port}")
    for port, frames in out.items():
        same(report["packets"][port]["out"], len(frames), f"what left by {port} stands in its file")
    for flow in report["flows"]:
        flow_typed(flow)


def flow_typed(flow):
    for key in ("network", "zone", "protocol", "state"):
        is_true(isinstance(flow[key], str) and flow[key], f"flow.{key} is a name: {flow}")
    for key in ("original", "reply"):
        same(set(flow[key]), {"source", "sourcePort", "destination", "destinationPort"}, key)
        for port in ("sourcePort", "destinationPort"):
            is_true(type(flow[key][port]) is int and 0 <= flow[key][port] < 65536, f"{key}.{port}")
        for address in ("source", "destination"):
            is_true(isinstance(flow[key][address], str), f"{key}.{address}")
    for key in ("packets", "bytes"):
        is_true([type(n) for n in flow[key]] == [int, int], f"flow.{key} is two integers: {flow}")
    is_true(type(flow["expiresInMs"]) is int and flow["expiresInMs"] >= 0, "flow.expiresInMs")
    for key in ("service", "endpoint"):
        is_true(isinstance(flow[key], str), f"flow.{key} is a name: {flow}")


# --- sums, computed anew --------------------------------------------------------------------------

outputs = []  # frames that tshark is to look at too


def sums_right(frame):
    """Every sum of a frame: IP header, transport, and of a packet that an ICMP error quotes."""
    at, kind = 12, int.from_bytes(frame[12:14], "big")
    while kind in (0x8100, 0x88A8):
        at += 4
        kind = int.from_bytes(frame[at:at + 2], "big")
    if kind in (0x0800, 0x86DD):
        sums_of_ip(frame[at + 2:], frame)


def sums_of_ip(data, frame, quoted=False):
    version = data[0] >> 4
    if version == 4:
        header = (data[0] & 15) * 4
        length, protocol = int.from_bytes(data[2:4], "big"), data[9]
        same(checksum(data[:header]), 0, f"sum of the IPv4 header: {frame.hex()}")
        if int.from_bytes(data[6:8], "big") & 0x3FFF:
            return  # a fragment's transport sum cannot be judged
    else:
        header, protocol, length = 40, data[6], 40 + int.from_bytes(data[4:6], "big")
        while protocol in (0, 43, 60, 51):
            following = data[header]
            header += (data[header + 1] + 2) * 4 if protocol == 51 else (data[header + 1] + 1) * 8
            protocol = following
        if protocol == 44:
            return
    if length > len(data):
        is_true(quoted, f"shorter than its length says: {frame.hex()}")
        return  # a quote that was cut off: nobody can tell
    sums_of_transport(data[:length], header, protocol, version, frame)


def sums_of_transport(data, header, protocol, version, frame):
    body = data[header:]
    source, destination = (data[12:16], data[16:20]) if version == 4 else (data[8:24], data[24:40])

    def pseudo():
        tail = len(body).to_bytes(4, "big") + bytes([0, 0, 0, protocol])
        return checksum(source + destination + tail + body)

    if protocol == 6 or protocol == 58:
        same(pseudo(), 0, f"sum over protocol {protocol}: {frame.hex()}")
    elif protocol == 17:
        if version == 4 and body[6:8] == b"\0\0":
            return
        is_true(body[6:8] != b"\0\0", f"UDP over IPv6 has a sum: {frame.hex()}")
        same(pseudo(), 0, f"UDP sum: {frame.hex()}")
    elif protocol == 1:
        same(checksum(body), 0, f"ICMP sum: {frame.hex()}")
    elif protocol == 132:
        right = crc32c(body[:8] + b"\0\0\0\0" + body[12:])
        same(body[8:12], right.to_bytes(4, "big"), f"SCTP CRC32C: {frame.hex()}")
    is_error = body[:1] and ((protocol == 1 and body[0] in (3, 4, 11, 12))
                             or (protocol == 58 and body[0] < 128))
    if is_error and len(body) > 8 + (20 if version == 4 else 40):
        sums_of_ip(body[8:], frame, quoted=True)


def by_tshark():
    """tshark finds no bad sum in any output."""
    if not outputs:
        return
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/all.pcap"
        write_pcap(path, [(i, frame) for i, frame in enumerate(outputs)])
        sums = [f"{p}.check_checksum:TRUE" for p in ("ip", "tcp", "udp")] + ["sctp.checksum:TRUE"]
        options = [part for sum_ in sums for part in ("-o", sum_)]
        fields = ["frame.number", "ip.checksum.status", "tcp.checksum.status",
                  "udp.checksum.status", "icmp.checksum.status", "icmpv6.checksum.status",
                  "sctp.checksum.status", "_ws.malformed"]
        done = subprocess.run(
            ["tshark", "-n", "-r", path, *options, "-T", "fields", "-E", "occurrence=a",
             *[part for field in fields for part in ("-e", field)]],
            capture_output=True, text=True, timeout=600)
        same(done.returncode, 0, f"tshark: {done.stderr}")
        lines = done.stdout.rstrip("\n").split("\n")
        same(len(lines), len(outputs), "tshark sees every frame")
        for line in lines:
            number, *states = line.split("\t")
            # Status: 0 bad, 1 good, 2 unverified, 3 not present. Of a quote that was cut off tshark
            # judges the transport sum as if nothing were missing: that one is sums_right's.
            if (states[3] or states[4]) and any(states[i] for i in (1, 2, 5)):
                states[1] = states[2] = states[5] = ""
            bad = [name for name, state in zip(fields[1:], states) if "0" in state.split(",")]
            same(bad, [], f"frame {number}: {outputs[int(number) - 1].hex()}")


# --- TAP ------------------------------------------------------------------------------------------


class Wrong(Exception):
    pass


def same(found, wanted, what):
    if found != wanted:
        raise Wrong(f"{what}\n  found  {found!r}\n  wanted {wanted!r}")


def is_true(condition, what):
    if not condition:
        raise Wrong(what)


cases = []


def case(function):
    cases.append(function)
    return function


def run():
    wanted = sys.argv[1:]
    chosen = [c for c in cases if not wanted or c.__name__ in wanted]
    failed = 0
    print("TAP version 14")
    for number, one in enumerate([*chosen, by_tshark], 1):
        title = (one.__doc__ or one.__name__).strip().split("\n")[0].rstrip(".").replace("#", "\\#")
        try:
            one()
            print(f"ok {number} - {title}")
        except Exception:  # an assertion, or whatever a wrong answer led to
            failed += 1
            print(f"not ok {number} - {title}")
            print("  ---\n  message: |")
            for line in traceback.format_exc().split("\n"):
                print(f"    {line[:2000]}")
            print("  ...")
        sys.stdout.flush()
    print(f"1..{len(chosen) + 1}")
    sys.exit(1 if failed else 0)
