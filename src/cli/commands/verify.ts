import { WormholeError } from "../../base/errors.ts";
import { type Checked, checksums, MAX_LIST_BYTES, verify } from "../../verify/mod.ts";
import type { Context } from "../context.ts";
import { counted } from "../format.ts";
import type { VerifyArgs } from "../table.ts";

/**
 * Runs `wormhole verify`.
 *
 * @throws {WormholeError} USAGE when a list and --checksum, or neither, are given; what reading the list throws; PARTIAL
 * when files differ or cannot be read.
 */
export async function run(context: Context<VerifyArgs>): Promise<void> {
  const { args, output, clock, signal } = context;
  if (args.checksum === (args.manifest !== undefined)) {
    throw new WormholeError("USAGE", "Cannot verify: give either a MANIFEST or --checksum");
  }
  const path = args.path.replace(/(.)\/+$/, "$1");
  const started = clock.now();
  const good = { files: 0, bytes: 0 };
  let failed = 0;
  const results: AsyncIterable<Checked> = args.manifest === undefined
    ? checksums(path, { signal })
    : verify(path, { signal, list: await readList(args.manifest, context), source: args.manifest });
  for await (const result of results) {
    if ("code" in result) {
      failed++;
      output.emit({ event: "file_failed", ...result });
      continue;
    }
    good.files++;
    good.bytes += result.bytes;
    if (args.checksum) output.emit({ event: "checksum", ...result.sum, bytes: result.bytes });
  }
  if (!args.checksum) {
    output.emit({ event: "verified", ...good, failed, duration_ms: Math.round(clock.now() - started) });
  }
  if (failed > 0) {
    const verb = args.checksum ? "read" : "verify";
    throw new WormholeError("PARTIAL", `Cannot ${verb} everything: ${counted(failed, "file")} failed`);
  }
}

async function readList(path: string, { stdin }: Context<VerifyArgs>): Promise<string> {
  const tooLong = () =>
    new WormholeError("LIMIT_EXCEEDED", `Cannot read "${path}": a list has at most ${MAX_LIST_BYTES} bytes`);
  if (path === "-") {
    const parts: Uint8Array<ArrayBuffer>[] = [];
    let bytes = 0;
    for await (const part of stdin()) {
      if ((bytes += part.length) > MAX_LIST_BYTES) throw tooLong();
      parts.push(part);
    }
    return await new Blob(parts).text();
  }
  try {
    if ((await Deno.stat(path)).size > MAX_LIST_BYTES) throw tooLong();
    return await Deno.readTextFile(path);
  } catch (cause) {
    if (cause instanceof WormholeError) throw cause;
    const [code, state] = cause instanceof Deno.errors.NotFound
      ? ["NOT_FOUND", "there is no such file"] as const
      : cause instanceof Deno.errors.PermissionDenied
      ? ["PERMISSION_DENIED", "permission denied"] as const
      : ["IO", cause instanceof Error ? cause.message : String(cause)] as const;
    throw new WormholeError(code, `Cannot read "${path}": ${state}`, { cause });
  }
}
