/** Folders of other machines on the command line. */
import { WormholeError } from "../base/errors.ts";
import { ALPHA, BETA, type Side } from "../sync/plan.ts";

/** `NAME:PATH`; a path of this machine that has a colon before its first slash is written with ./ before it. */
export interface FarFolder {
  readonly side: Side;
  readonly name: string;
  readonly path: string;
}

/** Gives the folder that is of another machine, if one is. @throws {WormholeError} USAGE when both are. */
export function farFolder(
  { alpha, beta }: { readonly alpha: string; readonly beta: string },
): FarFolder | undefined {
  const [a, b] = [farPath(alpha), farPath(beta)];
  if (a !== undefined && b !== undefined) {
    throw new WormholeError(
      "USAGE",
      "Cannot synchronize two other machines: one folder has to be of this one",
    );
  }
  if (a !== undefined) return { side: ALPHA, ...a };
  return b && { side: BETA, ...b };
}

/** Gives the machine and what follows its colon where `given` is of another machine. */
export function farPath(given: string): { readonly name: string; readonly path: string } | undefined {
  const [, name, path] = /^([\p{L}\p{N}][^/:]*):(.*)$/su.exec(given) ?? [];
  return name === undefined ? undefined : { name, path: path! };
}
