import { afXdp } from "./af_xdp.js";
import { control } from "./control.js";
import { copy } from "./copy.js";
import { memif } from "./memif.js";
import { path } from "./path.js";
import type { Question } from "./questions.js";

/** In the order in which `nodeplane bench` without arguments asks them. */
export const questions: readonly Question[] = [path, memif, copy, afXdp, control];
