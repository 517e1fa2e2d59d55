// nodeplane run: opens the ports and works until SIGINT or SIGTERM. SIGHUP and changed files reload.
import type { Server } from "node:net";
import { messageOf } from "../kit/error.js";
import type { Loaded } from "../model/model.js";
import { Dataplane } from "../runtime/dataplane.js";
import {
  type AddCommand,
  action,
  complain,
  complainOf,
  exitFailed,
  exitOk,
  loadOrFail,
  type Rooms,
  theLog,
} from "./context.js";
import { handlerOf, listen } from "./control.js";
import { flowFileOf } from "./flow_file.js";
import { defaultSocket } from "./socket.js";

/** A running process: what a reload and an end have to know. */
class Runner {
  #dataplane: Dataplane | null = null;
  #server: Server | null = null;
  #watch: ReturnType<Rooms["watchFiles"]> | null = null;
  #reloading: Promise<void> = Promise.resolve();
  #isOver = false;

  constructor(
    readonly rooms: Rooms,
    readonly file: string,
  ) {}

  async start(): Promise<void> {
    const loaded = await loadOrFail(this.rooms, this.file);
    const { settings } = loaded.model;
    const path = settings.controlSocket ?? defaultSocket(settings.name);
    // The socket first: whoever is refused has not touched any port.
    this.#server = await listen(
      path,
      handlerOf(() => this.#dataplane, this.rooms),
    );
    try {
      const flowFile = flowFileOf(settings, path);
      this.#dataplane = Dataplane.open(loaded.model, flowFile ? { flowFile } : {});
      this.#tellNews(this.#dataplane);
      this.#dataplane.start();
    } catch (caught) {
      this.#dataplane?.close();
      this.#server.close();
      throw caught;
    }
    this.#tell(loaded);
    for (const { name, description } of this.#dataplane.ports)
      theLog().info({ port: name }, description);
    this.#tellCopy(this.#dataplane, loaded);
    this.#tellFlows(this.#dataplane);
    theLog().info({ socket: path, services: loaded.model.services.length }, "running");
    this.#watch = this.rooms.watchFiles(
      loaded.paths,
      () => this.reload("files changed"),
      (why) => theLog().warn(`files are not watched: ${why.message}`),
    );
  }

  #tell(loaded: Loaded): void {
    for (const notice of loaded.notices) theLog().warn(notice);
  }

  #tellNews(dataplane: Dataplane): void {
    dataplane.onNews(({ port, text, isWarning }) =>
      theLog()[isWarning ? "warn" : "info"]({ port }, text),
    );
  }

  /** Asked for by name and not had is a warning; `auto` takes what there is. */
  #tellCopy(dataplane: Dataplane, { model }: Loaded): void {
    const { engine: wished } = model.settings.copy;
    if (wished === "auto" && !model.ports.some((p) => p.driver === "memif")) return;
    const { engine, why } = dataplane.copy();
    theLog()[why === "" || wished === "auto" ? "info" : "warn"](
      { wished, ...(why === "" ? {} : { why }) },
      `copies by ${engine}`,
    );
  }

  /** What was found and not used is a warning. */
  #tellFlows(dataplane: Dataplane): void {
    const file = dataplane.flowFile();
    if (!file) return;
    theLog().info(`connections in ${file.description}`);
    if (file.found) theLog().info(file.restored, `connections restored: ${file.news}`);
    else if (file.news !== "") theLog().warn(file.news);
  }

  /** One reload at a time. A bad configuration is told and changes nothing. */
  reload(why: string): void {
    this.#reloading = this.#reloading
      .then(() => this.#reload(why))
      .catch((caught) => {
        theLog().error(`reload failed, nothing changed: ${messageOf(caught)}`);
      });
  }

  async #reload(why: string): Promise<void> {
    const loaded = await this.rooms.loadFile(this.file);
    if (this.#isOver || !this.#dataplane) return;
    if (!loaded.ok) {
      complainOf(loaded.error);
      theLog().error(`${why}: the configuration has mistakes, nothing changed`);
      return;
    }
    this.#watch?.move(loaded.value.paths);
    if (this.#dataplane.plan(loaded.value.model).length === 0) {
      theLog().info(`${why}: no changes`);
      return;
    }
    const changes = this.#dataplane.apply(loaded.value.model);
    this.#tell(loaded.value);
    const later = changes.filter((c) => c.restart).map((c) => c.name);
    if (later.length > 0) theLog().warn(`these need a restart: ${later.join(", ")}`);
    theLog().info(
      { changes: changes.length, generation: this.#dataplane.info().generation },
      `${why}: reloaded`,
    );
  }

  /** Nothing is left behind: sockets, programs, interfaces, the control socket. */
  stop(signal: string): void {
    if (this.#isOver) return;
    this.#isOver = true;
    theLog().info(`${signal}: stopping`);
    this.#watch?.close();
    this.#server?.close();
    const isBalanced = this.#dataplane?.close() ?? true;
    if (!isBalanced) complain("nodeplane: not every frame was given back");
    process.exit(isBalanced ? exitOk : exitFailed);
  }
}

async function run(rooms: Rooms, options: { config: string }): Promise<void> {
  const runner = new Runner(rooms, options.config);
  for (const signal of ["SIGINT", "SIGTERM"] as const)
    process.on(signal, () => runner.stop(signal));
  process.on("SIGHUP", () => runner.reload("SIGHUP"));
  await runner.start();
}

export const addRun: AddCommand = (program, rooms) => {
  program
    .command("run")
    .description("run until SIGINT or SIGTERM; SIGHUP and changed files reload")
    .requiredOption("-c, --config <file>", "configuration")
    .action(action((options: { config: string }) => run(rooms, options)));
};
