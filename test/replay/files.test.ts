import { spawnJudge } from "./spawn.js";

spawnJudge("files");
