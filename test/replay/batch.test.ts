import { spawnJudge } from "./spawn.js";

spawnJudge("batch");
