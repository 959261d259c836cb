/** What each of two processes does to one store at the same time; for packs_test.ts. */
import { encodeName } from "../base/names.ts";
import { hashChunks } from "../native/hash.ts";
import { hashBuffer } from "../native/hash.ts";
import { NativeQueue } from "../native/queue.ts";
import { Store } from "./care.ts";
import type { KnownFile } from "./file_index.ts";

const CHUNK = 256 * 1024;
const ROUNDS = 40;

/** Keeps, looks up, drops and cleans; throws when a place that is there has other bytes than its id says. */
export async function hammer(dir: string, seed: number): Promise<void> {
  await using queue = NativeQueue.open();
  await using store = await Store.open({
    cacheDir: `${dir}/cache`,
    dataDir: `${dir}/data`,
    maxChunks: 200,
    quota: 12 * 2 ** 20,
  });
  for (let round = 0; round < ROUNDS; round++) {
    // Half of the content is the same for both processes.
    const known = await made(
      queue,
      `${dir}/${seed}-${round % 8}`,
      round % 2 === 0 ? round : 1000 * seed + round,
    );
    store.index.remember([known]);
    await store.packs.keep([known]);
    for (const [i, place] of store.index.lookup(known.chunks.ids).entries()) {
      if (place === undefined) continue;
      const bytes = await Deno.readFile(new TextDecoder().decode(place.path)).catch(() => undefined);
      const part = bytes?.subarray(place.offset, place.offset + place.length);
      const isPack = place.path.length > dir.length + 60;
      // The other process may drop a pack, and never changes one.
      if (part === undefined) continue;
      const id = known.chunks.ids.slice(32 * i, 32 * i + 32);
      if (isPack && hashBuffer(part).toHex() !== id.toHex()) throw new Error(`round ${round}: wrong bytes`);
    }
    if (round % 10 === 9) await store.clean();
    if (round === ROUNDS / 2 && seed === 1) await store.clear();
  }
}

async function made(queue: NativeQueue, path: string, number: number): Promise<KnownFile> {
  const bytes = new Uint8Array(4 * CHUNK);
  for (let i = 0; i < 4; i++) bytes.fill((number * 7 + i) % 256, CHUNK * i, CHUNK * (i + 1));
  new DataView(bytes.buffer).setUint32(0, number);
  await Deno.writeFile(path, bytes);
  const { hashes, size, stamp } = await hashChunks(queue, path, { chunkBytes: CHUNK });
  return { path: encodeName(path), stamp, settled: true, chunks: { chunking: CHUNK, size, ids: hashes } };
}
