// Every story of this folder is a test.
import { readdirSync, readFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import t from "tap";
import { root } from "../kit/root.js";
import { happened, readStories, told } from "../kit/story.js";

t.jobs = availableParallelism();
const folder = join(root, "test/story");
for (const file of readdirSync(folder)
  .filter((name) => name.endsWith(".md"))
  .sort()) {
  for (const story of readStories(readFileSync(join(folder, file), "utf8"))) {
    t.test(`${file}: ${story.title}`, { buffered: true }, async (t) => {
      t.ok(story.lines.length, "has lines");
      t.same(await happened(story), told(story));
    });
  }
}
