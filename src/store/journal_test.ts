import { assertEquals, assertThrows, assertTrue } from "../base/testing.ts";
import { Journal, RECORD_BYTES } from "./journal.ts";

Deno.test("list() gives unfinished transfers, those into one folder when asked, the newest first", () => {
  let now = 1000;
  using journal = Journal.open(":memory:", { bootId: "a", now: () => now });
  journal.begin(transfer(1, "/x"));
  now++;
  journal.begin({ ...transfer(2, "/y"), label: "a/b.txt" });
  assertEquals(journal.list().map(({ label }) => label), ["a/b.txt", undefined]);
  now++;
  journal.addVerified(bytes(1), records(3), 300);
  assertEquals(journal.list().map(({ id, bytesDone }) => [id[0], bytesDone]), [[1, 300], [2, 0]]);
  assertEquals(journal.list(text("/y")).map(({ id, title }) => [id[0], title]), [[2, "transfer 2"]]);
  journal.end(bytes(1));
  assertEquals(journal.list().length, 1);
  assertEquals(journal.verified(bytes(1)), []);
});

Deno.test("verified() gives what this run of the system wrote, and of earlier runs only what was synced", async () => {
  const dir = await Deno.makeTempDir();
  try {
    const path = `${dir}/transfers.db`;
    {
      using journal = Journal.open(path, { bootId: "first" });
      journal.begin(transfer(1, "/x"));
      journal.addVerified(bytes(1), records(1), 1);
      const mark = journal.mark(bytes(1));
      journal.addVerified(bytes(1), records(2), 2);
      journal.settle(bytes(1), mark);
      assertEquals(journal.verified(bytes(1)).map((blob) => blob[0]), [1, 2]);
      assertEquals(journal.synced(bytes(1)).map((blob) => blob[0]), [1]);
    }
    using journal = Journal.open(path, { bootId: "second" });
    assertEquals(journal.verified(bytes(1)).map((blob) => blob[0]), [1]);
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
});

Deno.test("pages() gives manifest pages in their order", () => {
  using journal = Journal.open(":memory:", { bootId: "a" });
  journal.begin(transfer(1, "/x"));
  journal.addPage(bytes(1), 1, text("one"));
  journal.addPage(bytes(1), 0, text("zero"));
  assertEquals(journal.pages(bytes(1)).map((body) => new TextDecoder().decode(body)), ["zero", "one"]);
});

Deno.test("addVerified() refuses records that are cut", () => {
  using journal = Journal.open(":memory:", { bootId: "a" });
  journal.begin(transfer(1, "/x"));
  assertThrows(() => journal.addVerified(bytes(1), new Uint8Array(RECORD_BYTES - 1), 0));
});

Deno.test("a process that is killed loses nothing that addVerified() took", async () => {
  const dir = await Deno.makeTempDir();
  try {
    const path = `${dir}/transfers.db`;
    const program = `
      import { Journal } from ${JSON.stringify(new URL("./journal.ts", import.meta.url).href)};
      const journal = Journal.open(${JSON.stringify(path)}, { bootId: "a" });
      const id = new Uint8Array(16).fill(1);
      const empty = new Uint8Array(0);
      journal.begin({ id, peer: empty, destination: empty, staging: empty, title: "", bytesTotal: undefined });
      for (let i = 1; i <= 50; i++) journal.addVerified(id, new Uint8Array(48).fill(i), i);
      Deno.kill(Deno.pid, "SIGKILL");
    `;
    const { signal } = await new Deno.Command(Deno.execPath(), {
      args: ["eval", "--no-lock", program],
      stderr: "inherit",
    }).output();
    assertEquals(signal, "SIGKILL");
    using journal = Journal.open(path, { bootId: "a" });
    assertEquals(journal.verified(bytes(1)).length, 50);
    assertTrue(journal.list()[0]!.bytesDone === 50);
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
});

function transfer(n: number, destination: string) {
  return {
    id: bytes(n),
    peer: bytes(9),
    destination: text(destination),
    staging: text(".wormhole-1.part"),
    title: `transfer ${n}`,
    bytesTotal: 1000,
  };
}

function bytes(n: number): Uint8Array<ArrayBuffer> {
  return new Uint8Array(16).fill(n);
}

function records(n: number): Uint8Array<ArrayBuffer> {
  return new Uint8Array(RECORD_BYTES).fill(n);
}

function text(value: string): Uint8Array<ArrayBuffer> {
  return new TextEncoder().encode(value);
}

Deno.test("finish() keeps the pages of the last transfer of the same things, and of no more than some others", () => {
  let now = 1000;
  using journal = Journal.open(":memory:", { bootId: "a", now: () => now++ });
  const title = "same";
  for (const id of [1, 2]) {
    journal.begin({ ...transfer(id, "/x"), title });
    journal.addPage(bytes(id), 0, bytes(id));
    journal.addVerified(bytes(id), records(1), 1);
    journal.finish(bytes(id));
  }
  const { peer } = transfer(1, "/x");
  const finished = () => journal.finished(new Uint8Array(peer), text("/x"));
  assertEquals(finished().map(({ id }) => id[0]), [2]);
  assertEquals(journal.list(), []);
  assertEquals([journal.pages(bytes(2)).length, journal.pages(bytes(1)).length], [1, 0]);
  assertEquals(journal.verified(bytes(2)), []);
  assertEquals(journal.finished(new Uint8Array(peer), text("/y")), []);
  assertEquals(journal.finished(new Uint8Array(32).fill(99), text("/x")), []);
  for (let id = 3; id < 40; id++) {
    journal.begin({ ...transfer(id, "/x"), title: `other ${id}` });
    journal.finish(bytes(id));
  }
  assertEquals(finished().length, 16);
  assertEquals(finished()[0]!.id[0], 39);
  journal.forgetFinished();
  assertEquals(finished(), []);
});
