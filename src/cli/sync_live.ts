/** What others hear of a sync while it goes on: programs on a socket, and a command after each run that changed something. */
import { commandWords } from "../base/command_words.ts";
import { isWormholeError, WormholeError } from "../base/errors.ts";
import { join } from "../base/paths.ts";
import { EventSocket } from "../live/mod.ts";
import { runCommand } from "../sync/command.ts";
import type { Context } from "./context.ts";
import type { OutputEvent } from "./events.ts";
import type { SyncedEvent, SyncStatusEvent } from "./events_sync.ts";
import { asFailure } from "./exit.ts";
import { farPath } from "./far_path.ts";
import { jsonLine } from "./output.ts";
import type { SyncArgs } from "./table.ts";

/** What a command is given of one run, in bytes; a first run may change millions of files. */
const MAX_TOLD_BYTES = 8 * 1024 * 1024;

/** Gives the folder of the sockets of `sync --watch`. */
export function socketFolder({ settings }: Pick<Context<unknown>, "settings">): string {
  return join(settings.folders.runtimeDir, "sync");
}

/** See the top of this file. Dispose it to end the socket. */
export class SyncLive implements AsyncDisposable {
  readonly #context: Context<SyncArgs>;
  readonly #command: readonly string[] | undefined;
  #socket: EventSocket | undefined;
  #status: SyncStatusEvent;
  #told: string[] = [];
  #toldBytes = 0;
  #omitted = 0;

  private constructor(context: Context<SyncArgs>) {
    const { args, clock } = context;
    this.#context = context;
    this.#command = args.onChange === undefined ? undefined : commandWords(args.onChange);
    this.#status = {
      event: "sync_status",
      alpha: shownFolder(args.alpha),
      beta: shownFolder(args.beta),
      mode: args.mode,
      state: "waiting",
      pid: Deno.pid,
      socket: null,
      started_at: new Date(clock.now()).toISOString(),
      runs: 0,
      last: null,
    };
  }

  /**
   * Opens the socket that was asked for, or with --watch that of this process.
   *
   * @throws {WormholeError} INVALID_ARGUMENT for a command that is none; as `EventSocket.open` for a socket that was asked for.
   */
  static async open(context: Context<SyncArgs>): Promise<SyncLive> {
    const live = new SyncLive(context);
    const { args, log } = context;
    if (args.eventsSocket !== undefined) await live.#listen(absolute(args.eventsSocket));
    else if (args.watch) {
      try {
        const folder = socketFolder(context);
        await Deno.mkdir(folder, { recursive: true, mode: 0o700 });
        await live.#listen(join(folder, `${Deno.pid}.sock`));
      } catch (error) {
        // Nobody asked for it.
        log.info(`No socket for events: ${error instanceof Error ? error.message : String(error)}`);
      }
    }
    return live;
  }

  /** Notes that a run begins. */
  begin(): void {
    this.#told = [];
    this.#toldBytes = this.#omitted = 0;
    this.#change({ state: "working" });
  }

  /** Takes an event of the run. */
  take(event: OutputEvent): void {
    const line = this.#socket === undefined && this.#command === undefined ? "" : jsonLine(event);
    this.#socket?.tell(line);
    if (this.#command === undefined) return;
    if (this.#toldBytes + line.length > MAX_TOLD_BYTES) this.#omitted++;
    else {
      this.#told.push(line);
      this.#toldBytes += line.length;
    }
  }

  /**
   * Notes how a run ended, and runs the command where something was changed.
   *
   * @throws {WormholeError} PARTIAL when the command failed, which with --watch is only told; the signal's reason.
   */
  async end(synced: SyncedEvent): Promise<void> {
    const { alpha, beta, conflicts, merged, failed, postponed, locked, entries } = synced;
    const changes = alpha.changes + beta.changes;
    const counts = { changes, conflicts, merged, failed, postponed, locked, entries };
    this.#ended({ ...counts, error: null });
    if (this.#command !== undefined && changes > 0 && !synced.dry_run) await this.#run(this.#command, synced);
  }

  /** Notes that a run failed. */
  fail(error: unknown): void {
    if (this.#status.state === "waiting") return; // it had ended, and that was told
    const none = { changes: 0, conflicts: 0, merged: 0, failed: 0, postponed: 0, locked: 0, entries: 0 };
    this.#ended({ ...none, error: asFailure(error).message });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#socket?.[Symbol.asyncDispose]();
  }

  async #listen(path: string): Promise<void> {
    const { clock } = this.#context;
    this.#status = { ...this.#status, socket: path };
    this.#socket = await EventSocket.open({ path, clock, greeting: () => [jsonLine(this.#status)] });
  }

  #ended(last: Omit<NonNullable<SyncStatusEvent["last"]>, "ended_at">): void {
    const ended_at = new Date(this.#context.clock.now()).toISOString();
    this.#change({ state: "waiting", runs: this.#status.runs + 1, last: { ended_at, ...last } });
  }

  #change(part: Partial<SyncStatusEvent>): void {
    this.#status = { ...this.#status, ...part };
    this.#socket?.tell(jsonLine(this.#status));
  }

  async #run(command: readonly string[], { alpha, beta, conflicts }: SyncedEvent): Promise<void> {
    const { args, clock, signal, log, output } = this.#context;
    const ended = await runCommand(command, {
      stdin: new TextEncoder().encode(this.#told.join("")),
      env: {
        WORMHOLE_ALPHA: args.alpha,
        WORMHOLE_BETA: args.beta,
        WORMHOLE_ALPHA_CHANGES: `${alpha.changes}`,
        WORMHOLE_BETA_CHANGES: `${beta.changes}`,
        WORMHOLE_CONFLICTS: `${conflicts}`,
        WORMHOLE_OMITTED: `${this.#omitted}`,
      },
      maxOutputBytes: Infinity,
      timeoutMs: args.onChangeTimeout,
      clock,
      signal,
    }).catch((error) => {
      if (signal.aborted || !isWormholeError(error)) throw error;
      return { code: 1, stdout: new Uint8Array(0), stderr: "", ended: error.message };
    });
    const said = new TextDecoder().decode(ended.stdout).trim();
    if (said !== "") log.info(`--on-change: ${said.slice(-1000)}`);
    if (ended.code === 0 && ended.ended === undefined) return;
    const state = ended.ended ?? `it ended with ${ended.code}`;
    const last = ended.stderr.split("\n").at(-1);
    const message = `Cannot tell the command of --on-change: ${state}${last ? `: ${last}` : ""}`;
    if (!args.watch) throw new WormholeError("PARTIAL", message);
    // The watch goes on, so that its end cannot say it.
    const warning = { event: "warning", message } as const;
    this.#socket?.tell(jsonLine(warning));
    output.emit(warning);
  }
}

/** Who asks may be in another folder. */
function shownFolder(given: string): string {
  return farPath(given) === undefined ? absolute(given) : given;
}

function absolute(path: string): string {
  return path.startsWith("/") ? path : join(Deno.cwd(), path);
}
