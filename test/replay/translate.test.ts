import { spawnJudge } from "./spawn.js";

spawnJudge("translate");
