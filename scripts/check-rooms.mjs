#!/usr/bin/env node
// Who may look into whom: reads every #include of native/ and every import of src/, and prints one
// line per trespass against rooms.json. `check-rooms.mjs [ROOT]`; says nothing when all is well.
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, normalize } from "node:path";
import { fileURLToPath } from "node:url";

const root = process.argv[2] ?? join(dirname(fileURLToPath(import.meta.url)), "..");
const rules = JSON.parse(readFileSync(join(root, "rooms.json"), "utf8"));
const outside = rules.outside.map((rule) => ({ ...rule, what: new RegExp(`^(?:${rule.what})$`) }));

// What a line looks at: the target of an include or an import, or the file of a native module.
const include = /^\s*#\s*include\s*[<"]([^>"]+)[>"]/;
const comment = /^\s*(\/\/|\/?\*)/;
const imported =
  /(?:\bfrom\s*|\bimport\s*\(?\s*|\brequire\s*\(\s*)["'`]([^"'`]+)["'`]|["'`]([^"'`\s]+\.node)["'`]/g;

function targets(line, language) {
  if (language === "native") return include.exec(line)?.slice(1) ?? [];
  return comment.test(line) ? [] : [...line.matchAll(imported)].map((m) => m[1] ?? m[2]);
}

// native/stage/nat/nat.h stands in room stage/nat, for rooms.json has stage/*; src/cli/a/b.ts in cli.
function roomOf(rooms, path) {
  const [outer, inner, file] = path.split("/");
  if (outer === "..") return `../${inner}`;
  return file && rooms[`${outer}/*`] ? `${outer}/${inner}` : outer;
}

const rowOf = (rooms, room) =>
  rooms[room] ?? (room.includes("/") && rooms[`${room.split("/")[0]}/*`]);

const covers = (pattern, room) =>
  (pattern === "*" && !room.startsWith("..")) ||
  pattern === room ||
  (pattern.endsWith("/*") && room.startsWith(pattern.slice(0, -1)));

// What is wrong with one file's look at one target, in words; undefined when nothing is.
function judge(language, path, target) {
  const rule = outside.find(({ what }) => what.test(target));
  if (rule) {
    const allowed = rule.only.some((prefix) => `${language}/${path}`.startsWith(prefix));
    return allowed ? undefined : `${target} belongs to ${rule.only.join(" ")} only`;
  }
  const { rooms, everywhere } = rules[language];
  const from = roomOf(rooms, path);
  const row = rowOf(rooms, from);
  if (!row) return `room ${from} is not in rooms.json`;
  if (language === "src" && !target.startsWith(".")) return undefined;
  const inside = language === "src" ? normalize(join(dirname(path), target)) : target;
  const to = roomOf(rooms, inside.replace(/\.js$/, ".ts"));
  if (to === from || !(to.startsWith("..") || rowOf(rooms, to))) return undefined; // a system header
  if ([...everywhere, ...row].some((pattern) => covers(pattern, to))) return undefined;
  return `room ${from} may not look into ${to}`;
}

let trespasses = 0;
for (const [language, ending] of [
  ["native", /\.(cc|h)$/],
  ["src", /\.ts$/],
]) {
  for (const path of readdirSync(join(root, language), { recursive: true })) {
    if (!ending.test(path)) continue;
    const lines = readFileSync(join(root, language, path), "utf8").split("\n");
    for (const [i, line] of lines.entries()) {
      for (const target of targets(line, language)) {
        const words = judge(language, path, target);
        if (!words) continue;
        console.log(`${language}/${path}:${i + 1}: ${words}`);
        trespasses++;
      }
    }
  }
}
process.exit(trespasses ? 1 : 0);
