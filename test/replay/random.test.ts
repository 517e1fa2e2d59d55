import { spawnJudge } from "./spawn.js";

spawnJudge("random");
