/** Emulated long-distance links: two commands in network namespaces of their own, by `wan-run`. */
import { ROOT } from "./machine.ts";
import { type Cost, readCost, wrap } from "./measured.ts";
import { output } from "./process.ts";

/** One kind of link. */
export interface Profile {
  readonly title: string;
  /** Options of wan-run. */
  readonly options: readonly string[];
  /** Bits/s. */
  readonly rate: number;
  /** Round trip in s. */
  readonly rtt: number;
  /** Bytes of the file that is moved. */
  readonly bytes: number;
}

const MIB = 2 ** 20;

/** The links of issue 4, by their names for `--job`. */
export const PROFILES: Readonly<Record<string, Profile>> = {
  lan: profile("1 Gbit/s, 1 ms", { rate: "1gbit", rtt: "1ms", mib: 1024 }),
  "50ms": profile("1 Gbit/s, 50 ms", { rate: "1gbit", rtt: "50ms", mib: 1024 }),
  "100ms-loss": profile("1 Gbit/s, 100 ms, 1% loss", { rate: "1gbit", rtt: "100ms", loss: "1", mib: 512 }),
  "20ms-slow": profile("100 Mbit/s, 20 ms", { rate: "100mbit", rtt: "20ms", mib: 128 }),
  "1s-loss": profile("1 Gbit/s, 1 s, 5% loss", { rate: "1gbit", rtt: "1s", loss: "5", mib: 256 }),
};

/** Addresses of the two ends. */
export const LEFT = "10.77.0.1";

/** What {@linkcode overLink} runs. */
export interface LinkRun {
  /** Starts first. */
  readonly left: readonly string[];
  /** Starts once left listens at `listen`. */
  readonly right: readonly string[];
  readonly listen: number;
  /** Left is a server, which is stopped when right has ended. */
  readonly leftServes?: boolean;
  /** Folder for results. */
  readonly scratch: string;
  /** Seconds after which the run is given up. */
  readonly patience: number;
}

/** Gives wan-run, or why it cannot run here. */
export async function findWanRun(): Promise<{ program: string } | { missing: string }> {
  const program = Deno.env.get("WAN_RUN") ?? `${ROOT}/../shared/tools/wan-run`;
  if (!(await Deno.stat(program).catch(() => undefined))?.isFile) {
    return { missing: `long links: there is no ${program}; WAN_RUN names another` };
  }
  if (Deno.uid() === 0) return { program };
  const allowed = await output(["unshare", "--user", "--map-root-user", "--net", "true"]).then(
    () => true,
    () => false,
  );
  return allowed
    ? { program }
    : { missing: "long links: wan-run needs root or unprivileged user namespaces" };
}

/** Runs two commands over a link and gives what each cost. @throws {Error} when one fails or takes too long. */
export async function overLink(
  program: string,
  { options }: Pick<Profile, "options">,
  { left, right, listen, leftServes = false, scratch, patience }: LinkRun,
): Promise<{ left: Cost; right: Cost }> {
  const [wrappedLeft, wrappedRight] = [
    wrap(left, { scratch, lines: true }),
    wrap(right, { scratch, lines: true }),
  ];
  const until = leftServes ? ["--until", "right"] : [];
  const limited = ["timeout", "--kill-after=5", String(patience), program];
  await output([
    ...limited,
    ...options,
    "--listen",
    String(listen),
    ...until,
    "--",
    ...wrappedLeft.wrapped,
    "--",
    ...wrappedRight.wrapped,
  ]).catch((error) => {
    if (String(error).includes("exit 124")) throw new Error(`wan-run\nit took more than ${patience} s`);
    throw error;
  });
  const rightCost = await readCost(wrappedRight.result);
  // A server that was killed has written nothing; its cost stays unknown.
  const leftCost = await readCost(wrappedLeft.result).catch(() => ({
    ...rightCost,
    cpu: NaN,
    peakRss: NaN,
    lines: [],
  }));
  return { left: leftCost, right: rightCost };
}

function profile(
  title: string,
  { rate, rtt, loss, mib }: { rate: string; rtt: string; loss?: string; mib: number },
): Profile {
  return {
    title,
    options: ["--rate", rate, "--rtt", rtt, ...loss ? ["--loss", loss] : []],
    rate: parseFloat(rate) * (rate.endsWith("gbit") ? 1e9 : 1e6),
    rtt: parseFloat(rtt) / (rtt.endsWith("ms") ? 1000 : 1),
    bytes: mib * MIB,
  };
}
