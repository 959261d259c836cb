/**
 * Lets small files of a page stay where they came before. What finds them is loaded only where something will be
 * replaced: everywhere else nothing can have stayed.
 */
import type { Columns } from "../../wire/mod.ts";
import type { ManifestRoot } from "../manifest_reader.ts";
import type { PagePlan } from "./finder.ts";
import type { ReceivedBefore, ReceivedBeforeOptions } from "./received_before.ts";

/** See the top of this file. */
export class SmallFiles {
  readonly #options: ReceivedBeforeOptions;
  #before: ReceivedBefore | undefined;

  constructor(options: ReceivedBeforeOptions) {
    this.#options = options;
  }

  /** Adds what may stay to what was planned for the page's large files; pages in order. */
  async addTo(
    plan: PagePlan | undefined,
    { columns, versions, wanted, roots, replaced }: {
      readonly columns: Columns;
      readonly versions?: Uint8Array;
      /** A bit per entry. */
      readonly wanted: Uint8Array;
      readonly roots: readonly ManifestRoot[];
      /** Names of the roots whose files are replaced. */
      readonly replaced: ReadonlySet<string>;
    },
  ): Promise<PagePlan | undefined> {
    if (versions === undefined) return plan;
    if (this.#before === undefined && !roots.some(({ name }) => replaced.has(name))) return plan;
    const { ReceivedBefore, withKept } = await import("./received_before.ts");
    this.#before ??= ReceivedBefore.open(this.#options);
    return withKept(columns, { untouched: await this.#before.look({ columns, versions, wanted }), plan });
  }
}
