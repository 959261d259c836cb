import { assertEquals } from "../../src/base/testing.ts";
import { fromFileUrl } from "../../src/base/paths.ts";

const RUNS = Number(Deno.env.get("WORMHOLE_HOSTILE_RUNS") ?? 100_000);

Deno.test(`${RUNS} hostile manifests write nothing outside, crash nothing and take bounded memory`, async () => {
  const main = fromFileUrl(new URL("./hostile_receiver.ts", import.meta.url));
  const args = ["run", "--quiet", "-A", "--no-check", main];
  const { code, stderr } = await new Deno.Command(Deno.execPath(), { args, stdout: "null", stderr: "piped" })
    .output();
  assertEquals(code, 0, new TextDecoder().decode(stderr));
});
