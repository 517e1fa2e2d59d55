import { spawnSync } from "node:child_process";
import { copyFileSync, mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import t from "tap";
import { root } from "../kit/root.js";

const script = join(root, "scripts/check-rooms.mjs");

function checkRooms(dir: string): { lines: string[]; status: number | null } {
  const run = spawnSync(process.execPath, [script, dir], { encoding: "utf8" });
  return { lines: run.stdout.split("\n").filter(Boolean).sort(), status: run.status };
}

t.test("the tree has no trespass", async (t) => {
  t.same(checkRooms(root), { lines: [], status: 0 });
});

t.test("planted trespasses are named, one line each", async (t) => {
  const dir = t.testdir();
  const plant = (path: string, text: string) => {
    mkdirSync(dirname(join(dir, path)), { recursive: true });
    writeFileSync(join(dir, path), text);
  };
  copyFileSync(join(root, "rooms.json"), join(dir, "rooms.json"));
  plant("native/stage/nat/nat.cc", '#include "stage/nat/nat.h"\n#include "stage/route/route.h"\n');
  plant("native/stage/parse/parse.cc", '#include "wire/ipv4.h"\n#include <vector>\n');
  plant("native/stage/service/service.cc", '#include "wire/ipv4.h"\n#include <sys/socket.h>\n');
  plant("native/driver/tap/tap.cc", '#include <sys/ioctl.h>\n#include "driver/pcap/pcap.h"\n');
  plant("native/driver/registry.cc", '#include "driver/tap/tap.h"\n');
  plant("native/table/x.cc", "#include <immintrin.h>\n#include <napi.h>\n");
  plant("native/base/x.h", '#include "../napi/addon.h"\n');
  plant("native/cellar/x.h", "#include <vector>\n");
  plant(
    "src/compile/nat.ts",
    'import { a } from "../model/a.js";\nimport {\n  b,\n} from "../config/b.js";\n',
  );
  plant("src/compile/deep/er.ts", 'import { a } from "../nat.js";\n// import "../../cli/x.js"\n');
  plant(
    "src/cli/x.ts",
    'const m = require("../../build/Release/nodeplane.node");\nawait import("koffi");\n',
  );
  plant("src/main.ts", 'import { b } from "./config/b.js";\nimport t from "../test/kit/x.js";\n');
  t.same(checkRooms(dir), {
    lines: [
      "native/base/x.h:1: room base may not look into ../napi",
      "native/cellar/x.h:1: room cellar is not in rooms.json",
      "native/driver/tap/tap.cc:2: room driver/tap may not look into driver/pcap",
      "native/stage/nat/nat.cc:2: room stage/nat may not look into stage/route",
      "native/stage/service/service.cc:1: room stage/service may not look into wire",
      "native/stage/service/service.cc:2: sys/socket.h belongs to native/driver/ native/copy/dsa/ native/base/ only",
      "native/table/x.cc:1: immintrin.h belongs to native/kernel/ native/copy/ native/path/express_ only",
      "native/table/x.cc:2: napi.h belongs to native/napi/ only",
      "src/cli/x.ts:1: ../../build/Release/nodeplane.node belongs to src/runtime/native.ts only",
      "src/cli/x.ts:2: koffi belongs to src/sys/ only",
      "src/compile/nat.ts:4: room compile may not look into config",
      "src/main.ts:2: room main.ts may not look into ../test",
    ].sort(),
    status: 1,
  });
});
