// FNV-1a, 64 bits (Fowler, Noll, Vo; draft-eastlake-fnv section 6) of a text's UTF-8, in two halves:
// BigInt would cost a hundred times as much. The prime is 2^40 + 0x1b3.
import type { Service } from "../model/service.js";

const halves = new Uint32Array(2);
const sum = new BigUint64Array(halves.buffer);
let high = 0;
let low = 0;

/** Adds characters as bytes up to the first that is `end` or more, and says how many. */
function add(text: string, end: number): number {
  let [h, l] = [high, low]; // in locals: what lies outside is written to memory each time
  let i = 0;
  for (; i < text.length; i++) {
    const byte = text.charCodeAt(i);
    if (byte >= end) break;
    const mixed = l ^ byte;
    // In halves again: products of 32 bits would be floating-point numbers.
    const bottom = (mixed & 0xffff) * 0x1b3;
    const top = (mixed >>> 16) * 0x1b3 + (bottom >>> 16);
    h = (Math.imul(h, 0x1b3) + (top >>> 16) + (mixed << 8)) | 0;
    l = (top << 16) | (bottom & 0xffff);
  }
  high = h;
  low = l;
  return i;
}

function addText(text: string): void {
  const count = add(text, 0x80);
  if (count < text.length) add(Buffer.from(text.slice(count)).toString("latin1"), 0x100);
}

function begin(): void {
  high = 0xcbf29ce4 | 0;
  low = 0x84222325 | 0;
}

/** Many services of one namespace come together: what it comes to is known from the one before. */
const namespace = { text: "", high: 0, low: 0 };

function beginWith(text: string): void {
  if (text === namespace.text && text !== "") {
    high = namespace.high;
    low = namespace.low;
    return;
  }
  begin();
  addText(text);
  addText("/");
  namespace.text = text;
  namespace.high = high;
  namespace.low = low;
}

function end(): bigint {
  halves[0] = low;
  halves[1] = high;
  return sum[0] as bigint;
}

export function fnv1a64(text: string): bigint {
  begin();
  addText(text);
  return end();
}

/** Of a service's Maglev ring, equal on all nodes: of `namespace/name:portName/protocol/address`. */
export function seedOf(s: Service): bigint {
  beginWith(s.namespace);
  addText(s.name);
  addText(":");
  addText(s.portName);
  addText("/");
  addText(s.protocol);
  addText("/");
  addText(s.address);
  return end();
}
