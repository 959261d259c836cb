import { assertEquals, assertRejects } from "../base/testing.ts";
import { loadIdentity } from "./identity.ts";

/** Stands for the native derivation, which has vectors of its own; here only its place matters. */
const publicKey = (seed: Uint8Array) => seed.map((byte) => byte ^ 0xff);

async function inFolder(run: (dir: string) => Promise<void>): Promise<void> {
  const dir = await Deno.makeTempDir();
  try {
    await run(dir);
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
}

Deno.test("loadIdentity() makes a private key file at first use and gives it ever after", () =>
  inFolder(async (dir) => {
    const config = `${dir}/a/b`;
    const made = await loadIdentity(config, { publicKey });
    assertEquals(made.seed.length, 32);
    assertEquals(made.publicKey, publicKey(made.seed));
    assertEquals(await loadIdentity(config, { publicKey }), made);
    assertEquals(Array.from(Deno.readDirSync(config), ({ name }) => name), ["identity.key"]);
    if (Deno.build.os !== "windows") {
      assertEquals(Deno.statSync(`${config}/identity.key`).mode! & 0o777, 0o600);
      assertEquals(Deno.statSync(config).mode! & 0o777, 0o700);
    }
  }));

Deno.test("loadIdentity() gives one key to all who race to make it", () =>
  inFolder(async (dir) => {
    const all = await Promise.all(Array.from({ length: 16 }, () => loadIdentity(dir, { publicKey })));
    for (const identity of all) assertEquals(identity, all[0]!);
    assertEquals(Array.from(Deno.readDirSync(dir), ({ name }) => name), ["identity.key"]);
  }));

Deno.test({
  name: "loadIdentity() refuses a key that others may read",
  ignore: Deno.build.os === "windows",
  fn: () =>
    inFolder(async (dir) => {
      await loadIdentity(dir, { publicKey });
      Deno.chmodSync(`${dir}/identity.key`, 0o640);
      await assertRejects(() => loadIdentity(dir, { publicKey }), "CONFIG_INVALID", "chmod 600");
    }),
});

const DAMAGED = [
  { description: "empty", bytes: new Uint8Array(0), words: "0 bytes" },
  { description: "short", bytes: new Uint8Array(31).fill(1), words: "31 bytes" },
  { description: "long", bytes: new Uint8Array(33).fill(1), words: "33 bytes" },
  { description: "zeros", bytes: new Uint8Array(32), words: "only zeros" },
];

for (const { description, bytes, words } of DAMAGED) {
  Deno.test(`loadIdentity() says what to do with a damaged key: ${description}`, () =>
    inFolder(async (dir) => {
      Deno.writeFileSync(`${dir}/identity.key`, bytes, { mode: 0o600 });
      const error = await assertRejects(() => loadIdentity(dir, { publicKey }), "CONFIG_INVALID", words);
      assertEquals(error.message.includes("remove the file"), true);
      assertEquals(Deno.readFileSync(`${dir}/identity.key`), bytes);
    }));
}

Deno.test("loadIdentity() names the file when the folder cannot be made", () =>
  inFolder(async (dir) => {
    Deno.writeTextFileSync(`${dir}/file`, "");
    await assertRejects(() => loadIdentity(`${dir}/file/config`, { publicKey }), "IO", "identity.key");
  }));

Deno.test("loadIdentity() uses no folder in the key's place", () =>
  inFolder(async (dir) => {
    await Deno.mkdir(`${dir}/identity.key`, { mode: 0o700 });
    await assertRejects(() => loadIdentity(dir, { publicKey }), "CONFIG_INVALID", "it is no file");
  }));
