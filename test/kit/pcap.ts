// Classic pcap, little-endian, Ethernet (draft-ietf-opsawg-pcap), for tests.
export interface Captured {
  /** Microseconds. */
  at: number;
  frame: Uint8Array;
}

const magic = 0xa1b2c3d4;
const linkEthernet = 1;
const snapLength = 262144;

export function writePcap(packets: readonly Captured[]): Uint8Array {
  const head = Buffer.alloc(24);
  head.writeUInt32LE(magic, 0);
  head.writeUInt16LE(2, 4);
  head.writeUInt16LE(4, 6);
  head.writeUInt32LE(snapLength, 16);
  head.writeUInt32LE(linkEthernet, 20);
  const parts: Uint8Array[] = [head];
  for (const { at, frame } of packets) {
    const record = Buffer.alloc(16);
    record.writeUInt32LE(Math.floor(at / 1e6), 0);
    record.writeUInt32LE(at % 1e6, 4);
    record.writeUInt32LE(frame.length, 8);
    record.writeUInt32LE(frame.length, 12);
    parts.push(record, frame);
  }
  return Buffer.concat(parts);
}

export function readPcap(bytes: Uint8Array): Captured[] {
  const data = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (data.readUInt32LE(0) !== magic) throw new Error("not a little-endian classic pcap");
  if (data.readUInt32LE(20) !== linkEthernet) throw new Error("link type is not Ethernet");
  const out: Captured[] = [];
  for (let at = 24; at < data.length; ) {
    const length = data.readUInt32LE(at + 8);
    const time = data.readUInt32LE(at) * 1e6 + data.readUInt32LE(at + 4);
    out.push({ at: time, frame: Uint8Array.from(data.subarray(at + 16, at + 16 + length)) });
    at += 16 + length;
  }
  return out;
}
