import { spawnJudge } from "./spawn.js";

spawnJudge("link");
