/** What is moved: the same bytes for every tool, made once per run of a bench in its scratch folder. */
import { output } from "./process.ts";
import { ROOT } from "./machine.ts";

/** One file or folder to move. */
export interface Input {
  readonly path: string;
  readonly bytes: number;
  readonly files: number;
}

const MIB = 1024 * 1024;

/** Makes inputs under a folder, each once. */
export class Inputs {
  readonly #folder: string;
  readonly #made = new Map<string, Promise<Input>>();

  constructor(scratch: string) {
    this.#folder = `${scratch}/inputs`;
  }

  /** A file of random bytes. */
  random(bytes: number): Promise<Input> {
    return this.#once(`random-${bytes}`, (path) => writeFile(path, bytes, randomBlock()));
  }

  /** A file of `bytes` with `data` random bytes in a hundred places and holes between them. */
  sparse(bytes: number, data: number): Promise<Input> {
    return this.#once(`sparse-${bytes}`, async (path) => {
      using file = await Deno.open(path, { write: true, create: true, truncate: true });
      await file.truncate(bytes);
      const next = randomBlock();
      const each = Math.floor(data / 100);
      for (let place = 0; place < 100; place++) {
        await file.seek(Math.floor(place * bytes / 100 / 4096) * 4096, Deno.SeekMode.Start);
        for (let at = 0; at < each;) at += await file.write(next().subarray(0, each - at));
      }
      return { path, bytes, files: 1 };
    });
  }

  /** A file of lines of a made-up server log, which compress about 4:1. */
  text(bytes: number): Promise<Input> {
    return this.#once(`text-${bytes}.log`, (path) => writeFile(path, bytes, textBlock()));
  }

  /** A tree of files of 4 KiB, 100 in each folder. */
  tree(files: number): Promise<Input> {
    return this.#once(`tree-${files}`, async (path) => {
      await writeTree(path, files);
      return { path, bytes: files * 4096, files };
    });
  }

  /** One folder of files of random bytes. */
  folder(files: number, bytes: number): Promise<Input> {
    return this.#once(`folder-${files}-${bytes}`, async (path) => {
      await Deno.mkdir(path);
      const next = randomBlock();
      for (let index = 0; index < files; index++) {
        Deno.writeFileSync(`${path}/file-${index}`, next().subarray(0, bytes));
      }
      return { path, bytes: files * bytes, files };
    });
  }

  /** This checkout's tracked files: source text in many sizes. */
  source(): Promise<Input> {
    return this.#once("source", async (path) => {
      await Deno.mkdir(path);
      await output(["sh", "-c", 'git -C "$1" archive HEAD | tar x -C "$2"', "sh", ROOT, path]);
      const listed = (await output(["find", path, "-type", "f", "-printf", "%s\n"])).split("\n").map(Number);
      return { path, bytes: listed.reduce((sum, size) => sum + size, 0), files: listed.length };
    });
  }

  async #once(name: string, make: (path: string) => Promise<Input>): Promise<Input> {
    const made = this.#made.get(name);
    if (made) return await made;
    await Deno.mkdir(this.#folder, { recursive: true });
    const making = make(`${this.#folder}/${name}`);
    this.#made.set(name, making);
    return await making;
  }
}

/** Gives a size as people write it. */
export function sizeText(bytes: number): string {
  return bytes >= 1024 * MIB ? `${bytes / (1024 * MIB)} GiB` : `${bytes / MIB} MiB`;
}

/** Writes a file block by block. */
async function writeFile(path: string, bytes: number, next: () => Uint8Array): Promise<Input> {
  using file = await Deno.open(path, { write: true, create: true, truncate: true });
  for (let at = 0; at < bytes;) {
    const block = next();
    const part = block.subarray(0, Math.min(block.length, bytes - at));
    for (let done = 0; done < part.length;) done += await file.write(part.subarray(done));
    at += part.length;
  }
  return { path, bytes, files: 1 };
}

function randomBlock(): () => Uint8Array {
  const block = new Uint8Array(MIB);
  return () => {
    for (let part = 0; part < block.length; part += 65536) {
      crypto.getRandomValues(block.subarray(part, part + 65536));
    }
    return block;
  };
}

/** Gives blocks of 4 MiB, each with a line of its own at the start, so that no two chunks are the same. */
function textBlock(): () => Uint8Array {
  const words = "GET POST /index /api/v1/users /static/app.js 200 404 ok slow user agent from cache miss hit "
    .split(" ");
  const encoder = new TextEncoder();
  let state = 12345;
  const below = (limit: number) => (state = (Math.imul(state, 1664525) + 1013904223) >>> 0) % limit;
  const parts = Array.from({ length: 16 }, () => {
    let text = "";
    while (text.length < 4 * MIB) {
      text +=
        `2026-01-${10 + below(20)}T${10 + below(14)}:${10 + below(50)}:${10 + below(50)}.${below(1000)} ` +
        `${words[below(words.length)]} ${words[below(words.length)]} id=${below(1e9)} ms=${below(5000)}\n`;
    }
    return encoder.encode(text.slice(0, 4 * MIB));
  });
  let count = 0;
  return () => {
    const block = parts[below(parts.length)]!.slice();
    block.set(encoder.encode(`part ${count++} ${below(1e9)} `));
    return block;
  };
}

async function writeTree(dir: string, files: number): Promise<void> {
  const content = new Uint8Array(4096);
  for (let index = 0; index < files; index++) {
    const folder = `${dir}/${String(Math.floor(index / 100)).padStart(4, "0")}`;
    if (index % 100 === 0) await Deno.mkdir(folder, { recursive: true });
    crypto.getRandomValues(content);
    Deno.writeFileSync(`${folder}/file-${index}`, content);
  }
}
