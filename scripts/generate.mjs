#!/usr/bin/env node
// One definition, two languages: schema/*.json -> native/gen, src/gen and the generated pages of docs/.
// `generate.mjs --check` writes nothing and fails when a generated file is out of date.
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = join(dirname(fileURLToPath(import.meta.url)), "..");
const load = (name) => JSON.parse(readFileSync(join(root, "schema", name), "utf8"));
const pascal = (s) => s.replace(/(^|_)([a-z0-9])/g, (_, __, c) => c.toUpperCase());
const camel = (s) => s.replace(/_([a-z0-9])/g, (_, c) => c.toUpperCase());
const head = (from) => `// Generated from schema/${from} by scripts/generate.mjs. Do not edit.\n`;

const scalars = {
  u8: { size: 1, cc: "uint8_t", ts: "number", get: "getUint8", set: "setUint8", le: "" },
  u16: { size: 2, cc: "uint16_t", ts: "number", get: "getUint16", set: "setUint16", le: ", true" },
  u32: { size: 4, cc: "uint32_t", ts: "number", get: "getUint32", set: "setUint32", le: ", true" },
  u64: {
    size: 8,
    cc: "uint64_t",
    ts: "bigint",
    get: "getBigUint64",
    set: "setBigUint64",
    le: ", true",
  },
  be16: {
    size: 2,
    cc: "uint16_t",
    ts: "number",
    get: "getUint16",
    set: "setUint16",
    le: ", false",
  },
};

function layout(name, def) {
  let offset = 0;
  let align = 1;
  const fields = def.fields.map(([field, type, about]) => {
    const bytes = /^bytes:(\d+)$/.exec(type);
    const size = bytes ? Number(bytes[1]) : scalars[type]?.size;
    if (!size) throw new Error(`${name}.${field}: unknown type ${type}`);
    const a = bytes ? 1 : size;
    if (offset % a)
      throw new Error(`${name}.${field}: offset ${offset} is not aligned to ${a}: add a pad`);
    align = Math.max(align, a);
    const out = { field, type, about, size, offset, bytes: !!bytes };
    offset += size;
    return out;
  });
  if (offset % align)
    throw new Error(`${name}: size ${offset} is not a multiple of ${align}: add a pad`);
  return { name, about: def.about, fields, size: offset };
}

function layoutFiles(t) {
  const structs = Object.entries(t.structs).map(([n, d]) => layout(n, d));
  let cc = `${head("tables.json")}#pragma once\n#include <cstddef>\n#include <cstdint>\n\nnamespace nodeplane {\n\n`;
  cc += `inline constexpr uint32_t kTablesMagic = 0x4e505442;\ninline constexpr uint32_t kTablesVersion = ${t.version};\n`;
  for (const [k, v] of Object.entries(t.constants))
    cc += `inline constexpr uint32_t k${pascal(k)} = ${v};\n`;
  for (const [k, names] of Object.entries(t.enums)) {
    cc += `\nenum class ${pascal(k)} : uint8_t { ${names.map((n) => `k${pascal(n)}`).join(", ")} };\n`;
    cc += `inline constexpr uint32_t k${pascal(k)}Count = ${names.length};\n`;
    cc += `inline constexpr const char* k${pascal(k)}Names[] = {${names.map((n) => `"${n}"`).join(", ")}};\n`;
  }
  for (const s of structs) {
    cc += `\n${s.about ? `// ${s.about}\n` : ""}struct ${s.name} {\n`;
    for (const f of s.fields) {
      const decl = f.bytes ? `uint8_t ${f.field}[${f.size}]` : `${scalars[f.type].cc} ${f.field}`;
      cc += `  ${decl};${f.about ? `  // ${f.about}` : ""}\n`;
    }
    cc += `};\nstatic_assert(sizeof(${s.name}) == ${s.size});\n`;
    for (const f of s.fields)
      cc += `static_assert(offsetof(${s.name}, ${f.field}) == ${f.offset});\n`;
  }
  cc += "\n}  // namespace nodeplane\n";

  let ts = `${head("tables.json")}\nexport const tablesMagic = 0x4e505442;\nexport const tablesVersion = ${t.version};\n`;
  for (const [k, v] of Object.entries(t.constants)) ts += `export const ${camel(k)} = ${v};\n`;
  for (const [k, names] of Object.entries(t.enums)) {
    ts += `\nexport const ${camel(k)}Names = [${names.map((n) => `"${n}"`).join(", ")}] as const;\n`;
    ts += `export const ${pascal(k)} = { ${names.map((n, i) => `${camel(n)}: ${i}`).join(", ")} } as const;\n`;
  }
  for (const s of structs) {
    const own = s.fields.filter((f) => !/^pad\d*$/.test(f.field));
    ts += `\n${s.about ? `/** ${s.about} */\n` : ""}export interface ${s.name} {\n`;
    for (const f of own) {
      if (f.about) ts += `  /** ${f.about} */\n`;
      ts += `  ${camel(f.field)}: ${f.bytes ? "Uint8Array" : scalars[f.type].ts};\n`;
    }
    const low = s.name[0].toLowerCase() + s.name.slice(1);
    ts += `}\nexport const ${low}Size = ${s.size};\n`;
    ts += `export function write${s.name}(view: DataView, at: number, row: ${s.name}): void {\n`;
    for (const f of own) {
      const v = `row.${camel(f.field)}`;
      if (f.bytes)
        // A loop: a view for each field would cost more than its bytes. What a value lacks stays zero.
        ts += `  for (let i = 0; i < ${f.size} && i < ${v}.length; i++) view.setUint8(at + ${f.offset} + i, ${v}[i] as number);\n`;
      else ts += `  view.${scalars[f.type].set}(at + ${f.offset}, ${v}${scalars[f.type].le});\n`;
    }
    ts += `}\nexport function read${s.name}(view: DataView, at: number): ${s.name} {\n  return {\n`;
    for (const f of own) {
      if (f.bytes)
        ts += `    ${camel(f.field)}: new Uint8Array(view.buffer, view.byteOffset + at + ${f.offset}, ${f.size}).slice(),\n`;
      else
        ts += `    ${camel(f.field)}: view.${scalars[f.type].get}(at + ${f.offset}${scalars[f.type].le}),\n`;
    }
    ts += "  };\n}\n";
  }
  return { "native/gen/layout.h": cc, "src/gen/layout.ts": ts };
}

function namedFiles(kind, rows, from) {
  // rows: [name, room | undefined, about]
  const K = pascal(kind);
  let cc = `${head(from)}#pragma once\n#include <cstdint>\n\nnamespace nodeplane {\n\nenum class ${K} : uint8_t {\n`;
  if (kind === "drop") cc += "  kNone,\n";
  for (const [n] of rows) cc += `  k${pascal(n)},\n`;
  const count = rows.length + (kind === "drop" ? 1 : 0);
  cc += `};\ninline constexpr uint32_t k${K}Count = ${count};\ninline constexpr const char* k${K}Names[] = {\n`;
  if (kind === "drop") cc += `    "none",\n`;
  for (const [n] of rows) cc += `    "${n}",\n`;
  cc += "};\n\n}  // namespace nodeplane\n";
  const all = (kind === "drop" ? [["none", "", "Not dropped."]] : []).concat(rows);
  let ts = `${head(from)}\nexport const ${kind}Names = [\n${all.map(([n]) => `  "${n}",\n`).join("")}] as const;\n`;
  ts += `export type ${K}Name = (typeof ${kind}Names)[number];\n`;
  ts += `export const ${kind}About: Record<${K}Name, string> = {\n`;
  for (const [n, , about] of all) ts += `  ${n}: ${JSON.stringify(about)},\n`;
  ts += "};\n";
  return { cc, ts };
}

function files() {
  const out = layoutFiles(load("tables.json"));
  const drops = load("drops.json");
  const d = namedFiles("drop", drops.drops, "drops.json");
  out["native/gen/drops.h"] = d.cc;
  out["src/gen/drops.ts"] = d.ts;
  let md = `<!-- Generated from schema/drops.json by scripts/generate.mjs. Do not edit. -->\n# Drops\n\n${drops.about}\nEach has a counter of the same name: \`nodeplane drops\` shows them.\n\n`;
  for (const [n, room, about] of drops.drops) md += `## ${n}\nIn: ${room}. ${about}\n\n`;
  out["docs/drops.md"] = md;
  const counters = load("counters.json").counters.map(([n, about]) => [n, undefined, about]);
  const c = namedFiles("counter", counters, "counters.json");
  out["native/gen/counters.h"] = c.cc;
  out["src/gen/counters.ts"] = c.ts;
  const errors = load("errors.json");
  let es = `${head("errors.json")}\nexport const errorTemplates = {\n`;
  for (const [n, message] of errors.errors) es += `  ${n}: ${JSON.stringify(message)},\n`;
  es += "} as const;\nexport type ErrorCode = keyof typeof errorTemplates;\n";
  out["src/gen/errors.ts"] = es;
  let em = `<!-- Generated from schema/errors.json by scripts/generate.mjs. Do not edit. -->\n# Errors\n\n${errors.about}\n\n`;
  for (const [n, message, about] of errors.errors) em += `## ${n}\n\`${message}\`\n\n${about}\n\n`;
  out["docs/errors.md"] = em;
  return out;
}

const check = process.argv.includes("--check");
let stale = 0;
for (const [name, text] of Object.entries(files())) {
  const path = join(root, name);
  const now = existsSync(path) ? readFileSync(path, "utf8") : "";
  if (now === text) continue;
  stale++;
  if (check) console.error(`${name}: out of date, run node scripts/generate.mjs`);
  else {
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, text);
    console.error(`wrote ${name}`);
  }
}
process.exit(check && stale ? 1 : 0);
