/** What the sender knows about its engine and its machine, for who decides about compression. */
import type { Codec, CodecChoice, CompressionFacts } from "../content/mod.ts";
import { CODEC_NUMBERS, type SendReport } from "../native/send.ts";

/** CPU time since some moment in the past. */
export interface ProcessorUse {
  /** Of this process, its native threads included. */
  readonly ownMs: number;
  /** That nobody used, of all processors together. */
  readonly idleMs: number;
}

const CODECS = Object.fromEntries(
  Object.entries(CODEC_NUMBERS).map(([codec, number]) => [number, codec as Codec]),
);

/** Reads how busy the machine is: below 0.1 ms on Linux. */
export async function processorUse(): Promise<ProcessorUse> {
  // Loaded with the first bytes on their way: before, the milliseconds would be in the way of the code on the screen.
  const [os, process] = await Promise.all([import("node:os"), import("node:process")]);
  const { user, system } = process.cpuUsage();
  const idleMs = os.cpus().reduce((sum, { times }) => sum + times.idle, 0);
  return { ownMs: (user + system) / 1000, idleMs };
}

/** Gives the engine's numbers for a codec. */
export function nativeChoice({ codec, level }: CodecChoice): { codec: number; level: number } {
  return { codec: CODEC_NUMBERS[codec], level };
}

/** Gives a report as facts. */
export function factsOf(
  report: SendReport,
  { ownMs, idleMs }: ProcessorUse,
  { atMs, streams }: { atMs: number; streams: number },
): CompressionFacts {
  return {
    atMs,
    plainBytes: report.encode_plain,
    wireBytes: report.bytes_wire,
    blockedMs: report.blocked_us / 1000,
    encodeMs: report.encode_us / 1000,
    ownMs,
    idleMs,
    streams,
    probes: report.probes.flatMap((probe) => {
      const codec = CODECS[probe.codec];
      if (codec === undefined) return [];
      return [{
        codec,
        level: probe.level,
        plainBytes: probe.plain,
        wireBytes: probe.wire,
        cpuMs: probe.cpu_us / 1000,
      }];
    }),
  };
}
