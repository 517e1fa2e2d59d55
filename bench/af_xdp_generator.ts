// The generator of bench af_xdp, a program of its own inside the client's namespace. Each line on
// standard input is a GenerateOptions with byte arrays as plain arrays; the answer is one JSON line.
import { createInterface } from "node:readline";
import { type GenerateOptions, nativeModule } from "../src/runtime/native.js";

type Plain = Omit<GenerateOptions, "dstMac" | "service"> & { dstMac: number[]; service: number[] };

for await (const line of createInterface({ input: process.stdin })) {
  const plain = JSON.parse(line) as Plain;
  const result = await nativeModule().generate({
    ...plain,
    dstMac: Uint8Array.from(plain.dstMac),
    service: Uint8Array.from(plain.service),
  });
  process.stdout.write(`${JSON.stringify(result)}\n`);
}
