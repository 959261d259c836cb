/** What is moved: the same sources for every tool, made once per run of the bench. */

/** One source on a tmpfs. */
export interface Job {
  readonly name: string;
  readonly description: string;
  readonly path: string;
  readonly bytes: number;
}

const MIB = 1024 * 1024;

/** Makes the sources under `dir`; `quick` makes each 16 times smaller. */
export async function makeJobs(dir: string, { quick }: { quick: boolean }): Promise<Job[]> {
  const part = quick ? 16 : 1;
  const random = 2048 * MIB / part;
  const text = 1024 * MIB / part;
  const files = Math.floor(10_000 / part);
  await writeRandom(`${dir}/random.bin`, random);
  await writeText(`${dir}/text.log`, text);
  await writeTree(`${dir}/tree`, files);
  await Deno.writeFile(`${dir}/one-byte`, new Uint8Array([42]));
  return [
    { name: "random", description: `${size(random)} random file`, path: `${dir}/random.bin`, bytes: random },
    { name: "text", description: `${size(text)} text-like file`, path: `${dir}/text.log`, bytes: text },
    { name: "tree", description: `${files} files of 4 KiB`, path: `${dir}/tree`, bytes: files * 4096 },
    { name: "byte", description: "1-byte file", path: `${dir}/one-byte`, bytes: 1 },
  ];
}

async function writeRandom(path: string, bytes: number): Promise<void> {
  using file = await Deno.open(path, { write: true, create: true, truncate: true });
  const block = new Uint8Array(MIB);
  for (let at = 0; at < bytes; at += block.length) {
    for (let part = 0; part < block.length; part += 65536) {
      crypto.getRandomValues(block.subarray(part, part + 65536));
    }
    await writeAll(file, block);
  }
}

/** Writes lines of a made-up server log: words of a small vocabulary and numbers, which compress about 4:1. */
async function writeText(path: string, bytes: number): Promise<void> {
  using file = await Deno.open(path, { write: true, create: true, truncate: true });
  const words = "GET POST /index /api/v1/users /static/app.js 200 404 ok slow user agent from cache miss hit "
    .split(" ");
  const encoder = new TextEncoder();
  let state = 12345;
  const next = (limit: number) => (state = (Math.imul(state, 1664525) + 1013904223) >>> 0) % limit;
  const parts: Uint8Array[] = [];
  for (let part = 0; part < 16; part++) {
    let text = "";
    while (text.length < 4 * MIB) {
      text += `2026-01-${10 + next(20)}T${10 + next(14)}:${10 + next(50)}:${10 + next(50)}.${next(1000)} ` +
        `${words[next(words.length)]} ${words[next(words.length)]} id=${next(1e9)} ms=${next(5000)}\n`;
    }
    parts.push(encoder.encode(text.slice(0, 4 * MIB)));
  }
  for (let at = 0; at < bytes; at += 4 * MIB) {
    // A line of its own before each part, so that no two chunks are the same.
    const chunk = parts[next(parts.length)]!.slice();
    chunk.set(encoder.encode(`part ${at} ${next(1e9)} `));
    await writeAll(file, chunk);
  }
}

async function writeTree(dir: string, files: number): Promise<void> {
  const content = new Uint8Array(4096);
  for (let index = 0; index < files; index++) {
    const folder = `${dir}/${String(Math.floor(index / 100)).padStart(3, "0")}`;
    if (index % 100 === 0) await Deno.mkdir(folder, { recursive: true });
    crypto.getRandomValues(content);
    await Deno.writeFile(`${folder}/file-${index}`, content);
  }
}

async function writeAll(file: Deno.FsFile, bytes: Uint8Array): Promise<void> {
  for (let at = 0; at < bytes.length;) at += await file.write(bytes.subarray(at));
}

function size(bytes: number): string {
  return bytes >= 1024 * MIB ? `${bytes / (1024 * MIB)} GiB` : `${bytes / MIB} MiB`;
}
