import { spawnJudge } from "./spawn.js";

spawnJudge("errors");
