// A question is one file of this folder: what is measured, and how.
import type { Report } from "./report.js";

export interface QuestionOptions {
  /** Everything, however long it takes; else the quick form. */
  readonly isFull: boolean;
  /** Rounds of samples; undefined: as many as the form asks for; 1: a short one, without warm-up. */
  readonly rounds?: number | undefined;
  readonly progress: (done: number, all: number) => void;
}

export interface Question {
  readonly name: string;
  readonly about: string;
  run(options: QuestionOptions): Promise<Report>;
}
