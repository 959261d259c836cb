/** What `bench/copy.ts` copies. */
import { output } from "./process.ts";

/** One tree or file, made by a few lines of Python: much faster than from here. */
export interface CopyInput {
  readonly title: string;
  /** Reads `root` and `part` (1 for numbers that count) from its arguments. */
  readonly script: string;
}

/** What was made. */
export interface MadeInput {
  readonly path: string;
  readonly bytes: number;
  /** Names of files; hard links count. */
  readonly files: number;
}

const HEAD = "import os, sys\nroot, part = sys.argv[1], int(sys.argv[2])\n";

/** Every input by its name. */
export const COPY_INPUTS: Readonly<Record<string, CopyInput>> = {
  large: {
    title: "one file of 2 GiB",
    script: `
with open(root, 'wb') as file:
    for _ in range(2048 // part): file.write(os.urandom(1 << 20))
`,
  },
  huge: {
    title: "one file of 8 GiB",
    script: `
with open(root, 'wb') as file:
    for _ in range(8192 // part): file.write(os.urandom(1 << 20))
`,
  },
  disk: {
    title: "one file of 1 GiB",
    script: `
with open(root, 'wb') as file:
    for _ in range(1024 // part): file.write(os.urandom(1 << 20))
`,
  },
  small: {
    title: "100,000 files of 4 KiB in 1,000 folders",
    script: `
os.makedirs(root)
block = os.urandom(1 << 20)
for n in range(100000 // part):
    if n % 100 == 0: os.mkdir(f'{root}/{n // 100}')
    with open(f'{root}/{n // 100}/{n}', 'wb') as file: file.write(block[n % 1000 * 1000:][:4096])
`,
  },
  flat: {
    title: "one folder of 100,000 files of 100 bytes",
    script: `
os.makedirs(root)
for n in range(100000 // part):
    with open(f'{root}/{n}', 'wb') as file: file.write(b'x' * 100)
`,
  },
  empty: {
    title: "1,000,000 empty files in 1,000 folders",
    script: `
os.makedirs(root)
for n in range(1000000 // part):
    if n % 1000 == 0: os.mkdir(f'{root}/{n // 1000}')
    os.close(os.open(f'{root}/{n // 1000}/{n}', os.O_CREAT | os.O_WRONLY, 0o644))
`,
  },
  deep: {
    title: "50 chains of 400 folders, each with 2 files of 1 KiB",
    script: `
os.makedirs(root)
for chain in range(max(1, 50 // part)):
    path = f'{root}/{chain}'
    for level in range(400):
        os.mkdir(path)
        for n in range(2):
            with open(f'{path}/{n}', 'wb') as file: file.write(b'x' * 1024)
        path += '/d'
`,
  },
  links: {
    title: "10,000 files of 4 KiB with 10 names each",
    script: `
os.makedirs(root)
for n in range(10000 // part):
    if n % 100 == 0: os.mkdir(f'{root}/{n // 100}')
    with open(f'{root}/{n // 100}/{n}', 'wb') as file: file.write(os.urandom(4096))
    for name in range(9): os.link(f'{root}/{n // 100}/{n}', f'{root}/{n // 100}/{n}-{name}')
`,
  },
};

/** Makes an input at `path`. */
export async function makeInput(
  input: CopyInput,
  { path, part }: { path: string; part: number },
): Promise<MadeInput> {
  await output(["python3", "-c", HEAD + input.script, path, String(part)]);
  const sums = await output([
    "sh",
    "-c",
    'find "$1" -type f -printf "%s\\n" | awk \'{ n++; b += $1 } END { print n, b }\'',
    "sh",
    path,
  ]);
  const [files, bytes] = sums.split(" ").map(Number);
  return { path, files: files!, bytes: bytes! };
}
