import { LookAhead } from "../../sync/look_ahead.ts";
import type { Context } from "../context.ts";
import type { FarLink } from "../far_link.ts";
import { type FarFolder, farFolder } from "../far_path.ts";
import type { SyncArgs } from "../table.ts";

/**
 * Runs `wormhole sync`. What takes longest begins first, a look at the folders here and the way to the other machine; what comes
 * after that is loaded meanwhile.
 *
 * @throws {WormholeError} as `runSync`.
 */
export async function run(context: Context<SyncArgs>): Promise<void> {
  const far = farFolder(context.args);
  const news = { arrived: () => {} };
  await using stack = new AsyncDisposableStack();
  const looks = await look(context, { far, stack });
  const link = far && stack.use(await linkTo(far, context, news));
  link?.begin();
  // From then on the other machine looks at its folder, and there is time. What others may watch is there from the beginning.
  if (!context.args.watch && context.args.eventsSocket === undefined) await link?.met;
  const { runSync }: typeof import("../sync_run.ts") = await import("../sync_run.ts" as string);
  await runSync(context, { far, link, looks, news });
}

/** Begins to look at the folders of this machine. */
async function look(
  { args, clock }: Context<SyncArgs>,
  { far, stack }: { far: FarFolder | undefined; stack: AsyncDisposableStack },
): Promise<LookAhead[]> {
  const { exclude, oneFileSystem } = args;
  const roots = [args.alpha, args.beta].filter((_, side) => side !== far?.side);
  const begun = await Promise.all(
    roots.map((root) => LookAhead.begin({ root, exclude, oneFileSystem, clock })),
  );
  return begun.filter((each) => each !== undefined).map((each) => stack.use(each));
}

/** Loaded for folders of other machines only. */
async function linkTo(
  far: FarFolder,
  context: Context<SyncArgs>,
  news: { arrived(): void },
): Promise<FarLink> {
  const { FarLink }: typeof import("../far_link.ts") = await import("../far_link.ts" as string);
  return new FarLink(far, context, context.args.watch ? { onNews: () => news.arrived() } : {});
}
