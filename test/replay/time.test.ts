import { spawnJudge } from "./spawn.js";

spawnJudge("time");
