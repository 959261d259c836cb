import { assertEquals } from "../base/testing.ts";
import { decodeMessage, type MessageOf } from "../wire/mod.ts";
import { ReceiptLog, receiptOf } from "./receipt.ts";

interface Vector {
  readonly description: string;
  readonly text?: string;
  readonly pages: readonly string[];
  readonly done: Omit<MessageOf<"done">, "type" | "failed"> & { readonly failed: readonly number[] };
  readonly hash: string;
}

const VECTORS: Vector[] = JSON.parse(
  Deno.readTextFileSync(new URL("../../tests/vectors/receipts.json", import.meta.url)),
);

function receipt({ text, pages, done }: Vector): Uint8Array {
  using log = new ReceiptLog();
  if (text !== undefined) log.text(text);
  for (const page of pages) log.page(decodeMessage(Uint8Array.fromHex(page)) as MessageOf<"manifest_page">);
  const failed = done.failed.map((entry) => ({ entry, code: "IO" as const }));
  return log.finish({ type: "done", ...done, failed });
}

for (const vector of VECTORS) {
  Deno.test(`ReceiptLog gives the receipt of the vector: ${vector.description}`, () => {
    assertEquals(receipt(vector).toHex(), vector.hash);
  });
}

Deno.test("ReceiptLog gives another receipt for whatever differs", () => {
  const last = VECTORS.at(-1)!;
  const { done, pages } = last;
  const others: Vector[] = [
    last,
    { ...last, pages: pages.slice(0, 1) },
    { ...last, done: { ...done, files: 2 } },
    { ...last, done: { ...done, failed: [1] } },
    { ...last, done: { ...done, failed_count: 2 } },
  ];
  assertEquals(new Set(others.map((vector) => receipt(vector).toHex())).size, others.length);
});

Deno.test("receiptOf() tells agreement, difference and silence apart", () => {
  const [a, b] = [new Uint8Array(32), new Uint8Array(32).fill(1)];
  assertEquals(receiptOf(a, a.slice()).state, "agreed");
  assertEquals(receiptOf(a, b), { hash: "00".repeat(32), state: "differs" });
  assertEquals(receiptOf(a, undefined).state, "unconfirmed");
});
