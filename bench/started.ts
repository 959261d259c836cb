/** A transfer between two processes that have started already; see `started_end.ts`. */
import type { Input } from "./inputs.ts";
import type { Sample } from "./results.ts";
import { compare } from "./tools/tool.ts";
import { Homes } from "./tools/wormhole.ts";

/** Moves `input` and gives how many ms each part took. */
export async function startedTransfer(
  { transport, input, into, scratch }: { transport: string; input: Input; into: string; scratch: string },
): Promise<Sample> {
  const homes = new Homes(scratch);
  await homes.clear();
  const sender = new End(["send", transport, input.path], await homes.env("sender"));
  const receiver = new End(["recv", transport, into], await homes.env("receiver"));
  try {
    await Promise.all([sender.when("ready"), receiver.when("ready")]);
    await sender.say("");
    const code = await sender.when("code");
    await receiver.say(code.code!);
    await Promise.all([sender.when("done"), receiver.when("done")]);
    await compare(input.path, into);
    const [asked, entered] = [await sender.when("go"), await receiver.when("go")];
    const accepted = (await receiver.when("connecting")).at;
    return {
      code: code.at - asked.at,
      pairing: accepted - entered.at,
      connecting: (await receiver.when("connected")).at - accepted,
      first_byte: (await receiver.first(/:bytes$/)).at - accepted,
      done: (await receiver.when("done")).at - accepted,
      total: (await receiver.when("done")).at - entered.at,
    };
  } finally {
    await Promise.all([sender.end(), receiver.end()]);
  }
}

interface Told {
  readonly type: string;
  readonly at: number;
  readonly code?: string;
}

/** One of the two processes. */
class End {
  readonly #child: Deno.ChildProcess;
  readonly #told: Told[] = [];
  readonly #reading: Promise<void>;
  #news = Promise.withResolvers<void>();
  #ended = false;

  constructor(args: readonly string[], env: Record<string, string>) {
    this.#child = new Deno.Command(Deno.execPath(), {
      args: ["run", "-A", "--quiet", new URL("./started_end.ts", import.meta.url).href, ...args],
      env,
      stdin: "piped",
      stdout: "piped",
      stderr: "inherit",
    }).spawn();
    this.#reading = this.#read();
  }

  async say(line: string): Promise<void> {
    const writer = this.#child.stdin.getWriter();
    await writer.write(new TextEncoder().encode(`${line}\n`));
    await writer.close();
  }

  /** Gives the first event of that type, once it is there. */
  when(type: string): Promise<Told> {
    return this.first(new RegExp(`^${type}$`));
  }

  async first(type: RegExp): Promise<Told> {
    for (;;) {
      const found = this.#told.find((told) => type.test(told.type));
      if (found) return found;
      if (this.#ended) throw new Error(`one end stopped before it said ${type.source}`);
      await this.#news.promise;
    }
  }

  async end(): Promise<void> {
    try {
      this.#child.kill("SIGKILL");
    } catch {
      // It has ended.
    }
    await this.#reading;
    await this.#child.status;
  }

  async #read(): Promise<void> {
    let rest = "";
    for await (const text of this.#child.stdout.pipeThrough(new TextDecoderStream())) {
      const lines = (rest + text).split("\n");
      rest = lines.pop()!;
      for (const line of lines) this.#told.push(JSON.parse(line));
      this.#wake();
    }
    this.#ended = true;
    this.#wake();
  }

  #wake(): void {
    this.#news.resolve();
    this.#news = Promise.withResolvers();
  }
}
