// Lines that ports have for a log, read from the native side a few times a second.

/** What happened on a port: a peer came or went, or could not come. */
export interface PortNews {
  readonly port: string;
  readonly text: string;
  /** A connection ended, or could not begin. */
  readonly isWarning: boolean;
}
export type NewsListener = (news: PortNews) => void;

const newsReadMs = 250;

/** Nothing is read, and no timer runs, while nobody listens. */
export class News {
  readonly #listeners = new Set<NewsListener>();
  #timer: NodeJS.Timeout | undefined;

  constructor(readonly read: () => { port: string; text: string }[]) {}

  /** The answer ends it. */
  listen(listener: NewsListener): () => void {
    this.#listeners.add(listener);
    this.#timer ??= setInterval(() => this.tell(), newsReadMs).unref();
    return () => {
      this.#listeners.delete(listener);
      if (this.#listeners.size === 0) this.#stop();
    };
  }

  tell(): void {
    if (this.#listeners.size === 0) return;
    for (const { port, text } of this.read()) {
      const news = { port, text, isWarning: !/ connected$/.test(text) };
      for (const listener of this.#listeners) listener(news);
    }
  }

  /** What was not told yet is told now; nothing after that. */
  close(): void {
    this.tell();
    this.#listeners.clear();
    this.#stop();
  }

  #stop(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
  }
}
