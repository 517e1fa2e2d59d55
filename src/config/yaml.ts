// YAML and JSON text -> plain values that remember where each of them stood.
import {
  isAlias,
  isMap,
  isPair,
  isScalar,
  isSeq,
  LineCounter,
  type Node,
  parseAllDocuments,
  visit,
  type Document as YamlDocument,
} from "yaml";
import { messageOf, type Problem } from "../kit/error.js";
import { quoted } from "../kit/ip.js";
import { err, ok, type Result } from "../kit/result.js";

/** Copies that aliases may make of one anchor's nodes: "billion laughs" ends here. */
const aliasMax = 100;

export type Path = readonly (string | number)[];
export interface Place {
  readonly file: string;
  readonly line: number;
  readonly column: number;
}
/** One document: its value, and where a path of it (or its nearest parent that exists) stands. */
export interface Text {
  readonly value: unknown;
  place(path: Path, of?: "value" | "key"): Place;
}

type Parsed = YamlDocument.Parsed;

function childOf(
  doc: Parsed,
  node: unknown,
  key: string | number,
): { at: Node; value: unknown } | null {
  const target = isAlias(node) ? node.resolve(doc) : node;
  if (isSeq(target)) {
    const item = target.items[Number(key)];
    return item ? { at: (isPair(item) ? item.key : item) as Node, value: item } : null;
  }
  if (!isMap(target)) return null;
  for (const pair of target.items) {
    const name = isScalar(pair.key) ? pair.key.value : pair.key;
    if (String(name) === String(key)) return { at: pair.key as Node, value: pair.value };
  }
  return null;
}

function offsetOf(doc: Parsed, path: Path, of: "value" | "key"): number {
  let node: unknown = doc.contents;
  let offset = doc.contents?.range?.[0] ?? 0;
  path.forEach((key, i) => {
    const child = childOf(doc, node, key);
    node = child?.value;
    if (!child) return;
    const value = child.value as Node | null;
    const from = of === "key" && i === path.length - 1 ? child.at : (value ?? child.at);
    offset = from.range?.[0] ?? offset;
  });
  return offset;
}

function duplicateKeys(
  doc: Parsed,
  report: (offset: number, key: string, path: string) => void,
): void {
  visit(doc, {
    Map(_, map, parents) {
      const seen = new Set<string>();
      for (const { key } of map.items) {
        if (!isScalar(key)) {
          report((key as Node | null)?.range?.[0] ?? 0, "key", "a key must be text");
          continue;
        }
        const name = String(key.value);
        if (seen.has(name))
          report(key.range?.[0] ?? 0, pathOf(parents, map, name), "is given twice");
        seen.add(name);
      }
    },
  });
}

function pathOf(parents: readonly unknown[], map: unknown, key: string): string {
  const chain = [...parents, map];
  const path: string[] = [];
  chain.forEach((node, i) => {
    const next = chain[i + 1];
    if (isSeq(node) && next !== undefined) path.push(String(node.items.indexOf(next)));
    if (isPair(node) && isScalar(node.key)) path.push(String(node.key.value));
  });
  return [...path, key].join(".");
}

/** All documents of a text; empty ones are left out. Never throws. */
export function parseYaml(text: string, file: string): Result<Text[], Problem[]> {
  const lines = new LineCounter();
  const problems: Problem[] = [];
  const say = (offset: number, path: string, message: string): void => {
    const { line, col } = lines.linePos(offset);
    problems.push({
      code: "config_syntax",
      file,
      line: line || 1,
      column: col || 1,
      path,
      message,
    });
  };
  try {
    // Keys are compared below in linear time; the library's own check is quadratic.
    const options = {
      lineCounter: lines,
      uniqueKeys: false,
      prettyErrors: false,
      logLevel: "silent",
    } as const;
    const documents = parseAllDocuments(text, options);
    const texts: Text[] = [];
    for (const doc of Array.isArray(documents) ? documents : []) {
      for (const mistake of [...doc.errors, ...doc.warnings])
        say(mistake.pos[0], "yaml", mistake.message);
      if (doc.errors.length > 0) continue;
      duplicateKeys(doc, say);
      const value: unknown = doc.toJS({ maxAliasCount: aliasMax });
      if (value === null || value === undefined) continue;
      const place: Text["place"] = (path, of = "value") => {
        const { line, col } = lines.linePos(offsetOf(doc, path, of));
        return { file, line: line || 1, column: col || 1 };
      };
      texts.push({ value, place });
    }
    return problems.length > 0 ? err(problems) : ok(texts);
  } catch (caught) {
    // Nesting deeper than the stack, or too many aliases: no position is known.
    say(0, "yaml", caught instanceof RangeError ? "is nested too deeply" : messageOf(caught));
    return err(problems);
  }
}

/** A place in a value that came from no file. */
export function placeless(value: unknown, what: string): Text {
  return { value, place: () => ({ file: what, line: 1, column: 1 }) };
}

/** What a value is, for messages. */
export function kindOf(value: unknown): string {
  if (value === null || value === undefined) return "nothing";
  if (Array.isArray(value)) return "a list";
  if (typeof value === "object") return "a map";
  if (typeof value === "string") return `text ${quoted(value)}`;
  return `${typeof value} ${String(value)}`;
}
