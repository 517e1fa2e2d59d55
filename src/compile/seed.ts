// FNV-1a, 64 bits (Fowler, Noll, Vo; draft-eastlake-fnv section 6) of a text's UTF-8, in two halves:
// BigInt would cost a hundred times as much. The prime is 2^40 + 0x1b3.
const encoder = new TextEncoder();
function isAscii(text: string): boolean {
  let bits = 0;
  for (let i = 0; i < text.length; i++) bits |= text.charCodeAt(i);
  return bits < 0x80;
}

export function fnv1a64(text: string): bigint {
  const bytes = isAscii(text) ? null : encoder.encode(text);
  const length = bytes?.length ?? text.length;
  let high = 0xcbf29ce4;
  let low = 0x84222325;
  for (let i = 0; i < length; i++) {
    low = (low ^ (bytes ? (bytes[i] as number) : text.charCodeAt(i))) >>> 0;
    const product = low * 0x1b3;
    high = (Math.imul(high, 0x1b3) + Math.floor(product / 2 ** 32) + (low << 8)) >>> 0;
    low = product >>> 0;
  }
  return (BigInt(high) << 32n) | BigInt(low);
}
