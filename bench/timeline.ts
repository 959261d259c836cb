/** When what happened in a wormhole command, read from its `--json` lines. */
import type { Cost } from "./measured.ts";
import type { Sample } from "./results.ts";

/** One event with the time at which it was printed. */
export interface Moment {
  /** CLOCK_MONOTONIC, s. */
  readonly at: number;
  readonly event: string;
  readonly fields: Readonly<Record<string, unknown>>;
}

/** Gives the events of a command that was measured with `lines`. */
export function momentsOf({ lines }: Cost): Moment[] {
  return lines.filter(([, line]) => line.startsWith("{")).map(([at, line]) => {
    const fields = JSON.parse(line);
    return { at, event: fields.event, fields };
  });
}

/** Gives the time of the first event of that name. */
export function firstOf(moments: readonly Moment[], event: string): number | undefined {
  return moments.find((moment) => moment.event === event)?.at;
}

/** Gives what a receiver's events tell: seconds from connected to first progress and to done. */
export function receiverTimes(cost: Cost): Sample {
  const moments = momentsOf(cost);
  const [peer, done] = [firstOf(moments, "peer"), firstOf(moments, "done")];
  const first = moments.find(({ event, fields }) => event === "progress" && (fields.bytes as number) > 0)?.at;
  return {
    ...peer !== undefined && { connected: peer - cost.start },
    ...peer !== undefined && done !== undefined && { moving: done - peer },
    ...peer !== undefined && first !== undefined && { first_progress: first - peer },
  };
}

/** Gives files/s of the first and the last tenth of `files`, as far as the progress events (ten per second) tell. */
export function tenths(cost: Cost, files: number): Sample {
  const moments = momentsOf(cost);
  const start = firstOf(moments, "offer");
  const counts = moments.filter(({ event }) => event === "progress")
    .map(({ at, fields }) => ({ at, files: fields.files as number }));
  if (start === undefined || counts.length < 5) return {};
  const points = [{ at: start, files: 0 }, ...counts];
  const [t10, t90, t100] = [timeOf(points, files / 10), timeOf(points, files * 0.9), timeOf(points, files)];
  if (t10 === undefined || t90 === undefined || t100 === undefined) return {};
  return { first_tenth: files / 10 / (t10 - start), last_tenth: files / 10 / (t100 - t90) };
}

/** Gives when `files` were done, straight between two events. */
function timeOf(points: readonly { at: number; files: number }[], files: number): number | undefined {
  const after = points.findIndex((point) => point.files >= files);
  if (after < 0) return undefined;
  const [a, b] = [points[Math.max(0, after - 1)]!, points[after]!];
  return b.files === a.files ? b.at : a.at + (b.at - a.at) * (files - a.files) / (b.files - a.files);
}
