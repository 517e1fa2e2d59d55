import { spawnJudge } from "./spawn.js";

spawnJudge("objects");
