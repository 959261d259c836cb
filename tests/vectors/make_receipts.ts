/** Writes receipts.json; see make_messages.ts. Run: deno run -A tests/vectors/make_receipts.ts */
import { hashBuffer } from "../../src/native/hash.ts";
import { encodeMessage, type MessageOf, writeColumns } from "../../src/wire/mod.ts";

const bytes = (text: string) => new TextEncoder().encode(text);
const u64 = (value: number) => new Uint8Array(new BigUint64Array([BigInt(value)]).buffer);
const u32 = (value: number) => new Uint8Array(new Uint32Array([value]).buffer);

function concat(...parts: Uint8Array[]): Uint8Array<ArrayBuffer> {
  return new Uint8Array(parts.flatMap((part) => [...part]));
}

const part = (content: Uint8Array) => concat(u32(content.length), content);

const page = (number: number, names: string[], more: Partial<MessageOf<"manifest_page">> = {}) => {
  const entries = names.map((name) => ({
    kind: "file" as const,
    parent: undefined,
    name: bytes(name),
    mode: 0o644,
    size: 5,
    mtime: 1n,
    target: new Uint8Array(),
  }));
  const columns = writeColumns(entries, { first: number * 2, last: more.last ?? true });
  return { type: "manifest_page", page: number, ...columns, ...more } as const;
};

const done = { files: 3, directories: 0, symlinks: 0, bytes: 15, failed: [] as number[], failed_count: 0 };

const CASES = [
  { description: "a text", text: "grüße", pages: [], done: { ...done, files: 0, bytes: 0 } },
  { description: "one page", text: undefined, pages: [page(0, ["a", "b"])], done },
  {
    description: "two pages with versions and things left out, two entries failed of three",
    text: undefined,
    pages: [
      page(0, ["a", "b"], { last: false, versions: concat(u64(7), u64(8)) }),
      page(1, ["c"], { versions: u64(9), omitted: 1 }),
    ],
    done: { ...done, files: 1, bytes: 2 ** 40, failed: [1, 2], failed_count: 3 },
  },
];

// Put together here from the words of the spec, not by the code that is tested.
const lines = CASES.map(({ description, text, pages, done }) => {
  const { files, directories, symlinks, bytes: size, failed, failed_count } = done;
  const end = concat(
    ...[files, directories, symlinks, size, failed_count].map(u64),
    ...failed.map(u32),
  );
  const messages = pages.map((page) => encodeMessage(page));
  const noted = text === undefined ? messages : [bytes(text)];
  const input = concat(...[...noted, end].map(part));
  return JSON.stringify({
    description,
    ...text !== undefined && { text },
    pages: messages.map((message) => message.toHex()),
    done,
    input: input.toHex(),
    hash: hashBuffer(input).toHex(),
  });
});
Deno.writeTextFileSync(new URL("receipts.json", import.meta.url), `[\n  ${lines.join(",\n  ")}\n]\n`);
