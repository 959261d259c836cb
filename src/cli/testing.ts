/** Commands run as the program runs them but for the standard streams, for tests. */
import { systemClock } from "../base/clock.ts";
import type { ErrorCode } from "../base/errors.ts";
import { Logger } from "../base/log.ts";
import { assertEquals, assertRejects } from "../base/testing.ts";
import { loadConfig } from "../config/config.ts";
import { folders } from "../config/paths.ts";
import type { Context } from "./context.ts";
import type { OutputEvent } from "./events.ts";
import { Hangup } from "./hangup.ts";
import { parse } from "./parser.ts";
import type { CommandName } from "./table.ts";
import { styles } from "./terminal.ts";
import { WIRING } from "./wiring.ts";

/** A person with an own home and no terminal. */
export class Home implements AsyncDisposable {
  readonly dir: string;
  readonly events: OutputEvent[] = [];

  private constructor(dir: string) {
    this.dir = dir;
  }

  static async create(): Promise<Home> {
    return new Home(await Deno.realPath(await Deno.makeTempDir({ prefix: "wormhole-home-" })));
  }

  /** Gives the path of `name` in the home. */
  path(name: string): string {
    return `${this.dir}/${name}`;
  }

  /** Gives what `wormhole WORDS…` gets. */
  async context(words: readonly string[]): Promise<{ name: CommandName; context: Context<unknown> }> {
    const variables: Record<string, string> = { HOME: this.dir };
    const env = (name: string) => variables[name];
    const parsed = parse(words, env);
    if (parsed.kind !== "run") throw new TypeError(`no command: ${words.join(" ")}`);
    const settings = await loadConfig({ env, folders: folders({ env }), flags: parsed.config });
    const name = parsed.command.name as CommandName;
    const context: Context<unknown> = {
      args: parsed.args,
      config: settings.config,
      settings,
      output: {
        emit: (event) => void this.events.push(event),
        print() {},
        pause() {},
        resume() {},
        close() {},
      },
      log: new Logger({ level: "error", sink: () => {}, clock: systemClock }),
      signal: new AbortController().signal,
      hangup: new Hangup(),
      clock: systemClock,
      env,
      terminal: {
        interactive: false,
        canRedraw: false,
        stdoutIsTerminal: false,
        styles: styles(false),
        columns: () => 80,
        write() {},
      },
      stdin: () => new Blob([]).stream(),
      stdout: () => new WritableStream(),
    };
    return { name, context };
  }

  /** Runs `wormhole WORDS…`. */
  async run(...words: string[]): Promise<void> {
    const { name, context } = await this.context(words);
    const { run } = await WIRING[name].load();
    await run(context);
  }

  /** Fails unless each of `rows` is refused with its code and sentence. */
  async assertRefuses(rows: readonly [string[], ErrorCode, string][]): Promise<void> {
    for (const [words, code, sentence] of rows) {
      const { message } = await assertRejects(() => this.run(...words), code);
      assertEquals(message, sentence, words.join(" "));
    }
  }

  /** Gives the events of one kind. */
  ofKind<K extends OutputEvent["event"]>(kind: K): Extract<OutputEvent, { event: K }>[] {
    return this.events.filter((event): event is Extract<OutputEvent, { event: K }> => event.event === kind);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Deno.remove(this.dir, { recursive: true });
  }
}
