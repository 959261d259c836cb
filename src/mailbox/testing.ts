/** A mailbox server for tests, with a clock that the test moves and actions that can be read. */
import { assertTrue } from "../base/testing.ts";
import { DEFAULT_LIMITS, type MailboxLimits } from "./limits.ts";
import { MemoryMailboxStore } from "./memory_store.ts";
import { MailboxServer } from "./server.ts";
import type { ServerAction } from "./server_action.ts";
import type { MailboxStore } from "./store.ts";
import { encodeFrame } from "./websocket.ts";

/** A machine with a clock of its own and readable actions. */
export class Bench {
  nowMs = 1_000_000;
  readonly server: MailboxServer;
  #seed = 1;

  constructor(
    { store = new MemoryMailboxStore(), ...limits }: Partial<MailboxLimits> & { store?: MailboxStore } = {},
  ) {
    this.server = new MailboxServer({
      store,
      limits: { ...DEFAULT_LIMITS, ...limits },
      nowMs: () => this.nowMs,
      random: (byteLength) => Uint8Array.from({ length: byteLength }, () => this.#random()),
    });
  }

  connect(connection: number, address = `10.0.0.${connection}`): string[] {
    return show(this.server.connect(connection, address));
  }

  bound(connection: number, side = `side${connection}`, address?: string): void {
    this.connect(connection, address);
    this.say(connection, { type: "bind", appid: "app", side });
  }

  say(connection: number, message: object | string): string[] {
    return show(
      this.server.message(connection, typeof message === "string" ? message : JSON.stringify(message)),
    );
  }

  tick(passedMs = 0): string[] {
    this.nowMs += passedMs;
    return show(this.server.tick());
  }

  /** Claims and opens; gives the mailbox. */
  join(connection: number, nameplate: string, extra: object = {}): string {
    const [claimed] = this.say(connection, { type: "claim", nameplate, ...extra });
    const mailbox = /^\d+< claimed (\w+)$/.exec(claimed!)?.[1];
    assertTrue(mailbox, claimed);
    this.say(connection, { type: "open", mailbox });
    return mailbox;
  }

  #random(): number {
    this.#seed = (this.#seed * 1103515245 + 12345) >>> 0;
    return (this.#seed >>> 16) & 255;
  }
}

/** Gives actions as short lines, without what only the log is told. */
export function show(actions: ServerAction[]): string[] {
  return actions.filter((action) => action.type !== "report").map((action) => {
    if (action.type === "close") return `${action.connection}x ${action.code} ${action.reason}`;
    const { type, ...fields } = action.message;
    const values = Object.entries(fields).filter(([key]) => key !== "server_rx" && key !== "expires_in").map((
      [, value],
    ) => typeof value === "object" ? JSON.stringify(value) : String(value));
    return [`${action.connection}<`, type, ...values].join(" ");
  });
}

/** Encodes a frame as a client sends it: masked. */
export function maskedFrame(
  opcode: number,
  payload: Uint8Array,
  { final = true }: { final?: boolean } = {},
): Uint8Array<ArrayBuffer> {
  const frame = encodeFrame(opcode, payload);
  const headLength = frame.length - payload.length;
  const masked = new Uint8Array(frame.length + 4);
  masked.set(frame.subarray(0, headLength));
  masked[0] = (final ? 0x80 : 0) | opcode;
  masked[1]! |= 0x80;
  const mask = [1, 2, 3, 250];
  masked.set(mask, headLength);
  for (let at = 0; at < payload.length; at++) masked[headLength + 4 + at] = payload[at]! ^ mask[at & 3]!;
  return masked;
}

/** Makes a certificate for this machine, and for `name`, with openssl; undefined where there is none. */
export async function selfSigned(name = "localhost"): Promise<{ cert: string; key: string } | undefined> {
  const folder = await Deno.makeTempDir();
  try {
    const args =
      "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 30 -subj /CN=localhost " +
      `-addext subjectAltName=DNS:${name},IP:127.0.0.1 -addext basicConstraints=critical,CA:false`;
    const { success } = await new Deno.Command("openssl", {
      args: [...args.split(" "), "-keyout", `${folder}/key`, "-out", `${folder}/cert`],
      stderr: "null",
    }).output();
    if (!success) return undefined;
    return {
      cert: await Deno.readTextFile(`${folder}/cert`),
      key: await Deno.readTextFile(`${folder}/key`),
    };
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}
