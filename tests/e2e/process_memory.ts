/** Looks for words in the memory of another process; Linux. */

/** Bytes read at a time. */
const PIECE_BYTES = 4 * 1024 * 1024;

/**
 * Gives those of `words` (ASCII) that are anywhere in the writable memory of process `pid`, as UTF-8 or UTF-16;
 * undefined when this system does not let that be read.
 */
export async function processHolds(pid: number, words: readonly string[]): Promise<string[] | undefined> {
  let memory: Deno.FsFile;
  let maps: string;
  try {
    maps = await Deno.readTextFile(`/proc/${pid}/maps`);
    memory = await Deno.open(`/proc/${pid}/mem`);
  } catch {
    return undefined;
  }
  using file = memory;
  const found = new Set<string>();
  const overlap = 2 * Math.max(...words.map(({ length }) => length));
  const buffer = new Uint8Array(PIECE_BYTES);
  let read = 0;
  for (const line of maps.split("\n")) {
    const range = /^([0-9a-f]+)-([0-9a-f]+) rw/.exec(line);
    if (range === null) continue;
    const end = Number.parseInt(range[2]!, 16);
    for (let at = Number.parseInt(range[1]!, 16); at < end; at += PIECE_BYTES - overlap) {
      let length: number | null;
      try {
        await file.seek(at, Deno.SeekMode.Start);
        length = await file.read(buffer.subarray(0, Math.min(PIECE_BYTES, end - at)));
      } catch {
        continue; // Given back meanwhile, or a device.
      }
      read += length ?? 0;
      const text = new TextDecoder("latin1").decode(buffer.subarray(0, length ?? 0));
      const thin = text.replaceAll("\0", "");
      for (const word of words) if (text.includes(word) || thin.includes(word)) found.add(word);
    }
  }
  return read === 0 ? undefined : words.filter((word) => found.has(word));
}
