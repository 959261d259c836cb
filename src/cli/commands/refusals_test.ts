/** What commands refuse before anything is done, in a home of its own. */
import { assertEquals, assertRejects } from "../../base/testing.ts";
import { MAX_LIST_BYTES } from "../../verify/mod.ts";
import { Home } from "../testing.ts";
import { jobBook } from "./job.ts";

Deno.test("send refuses arguments that do not say what to send, before there is a code", async () => {
  await using home = await Home.create();
  await home.assertRefuses([
    [["send"], "USAGE", "Cannot send: give the path of a file or folder, - for standard input, or --text"],
    [["send", "--text", "x", "file"], "USAGE", "Cannot send files and --text at once"],
    [
      ["send", "--name", "x", "file"],
      "USAGE",
      "Cannot use --name: it names standard input, and - is not among the paths",
    ],
    [
      ["send", "--transit-relay", "relay.example:4001", "file"],
      "USAGE",
      "Cannot use --transit-relay: it is for --compat",
    ],
  ]);
  assertEquals(home.events, []);
});

Deno.test("recv refuses folders, codes and machines that are none, before anybody is looked for", async () => {
  await using home = await Home.create();
  const { dir } = home;
  await Deno.writeTextFile(home.path("file"), "");
  await home.assertRefuses([
    [
      ["recv", "--transit-relay", "relay.example:4001", "7-guitarist-zulu"],
      "USAGE",
      "Cannot use --transit-relay: it is for --compat",
    ],
    [["recv"], "USAGE", "Cannot receive: give the code that send shows, or set WORMHOLE_CODE"],
    [["recv", "--compat"], "USAGE", "Cannot receive: give the code that send shows, or set WORMHOLE_CODE"],
    [["recv", "--from", "desk", "7-guitarist-zulu"], "USAGE", "Cannot use a code and --from at once"],
    [
      ["recv", "--from", "desk"],
      "NOT_FOUND",
      'Cannot find the machine "desk": it is not known here, or was forgotten; no machine is known yet (wormhole pair)',
    ],
  ]);
  const into = (name: string) => () => home.run("recv", "-o", `${dir}/${name}`, "7-guitarist-zulu");
  await assertRejects(into("none"), "NOT_FOUND", `${dir}/none`);
  await assertRejects(into("file"), "NOT_DIRECTORY", `${dir}/file`);
  assertEquals(home.events, []);
});

Deno.test("pair refuses what is no code, and to compare nothing", async () => {
  await using home = await Home.create();
  await home.assertRefuses([
    [["pair", "desk", "lap"], "USAGE", 'Cannot pair: "desk" is no code, so that there is one name too many'],
    [
      ["pair", "desk"],
      "USAGE",
      "Cannot ask whether the verifiers are the same: there is no terminal; give --yes to go without",
    ],
  ]);
  assertEquals(home.events, []);
});

Deno.test("hub refuses a certificate that is not there or is none, and half of what belongs together", async () => {
  await using home = await Home.create();
  const cert = home.path("cert.pem");
  const hub = ["hub", "--listen", "127.0.0.1:0", "--no-relay"];
  await home.assertRefuses([
    [[...hub, "--tls-cert", cert], "USAGE", "Cannot use --tls-cert and --tls-key one without the other"],
    [
      [...hub, "--transit-announce", "hub.example:4001"],
      "USAGE",
      "Cannot use --transit-announce: there is no --transit-listen",
    ],
    [[...hub, "--tls-cert", cert, "--tls-key", cert], "NOT_FOUND", `Cannot read "${cert}": no such file`],
  ]);
  await Deno.writeTextFile(cert, "nothing of that kind");
  const refused = () => home.run(...hub, "--tls-cert", cert, "--tls-key", cert);
  await assertRejects(
    refused,
    "CONFIG_INVALID",
    `Cannot use the TLS certificate "${cert}" with the key "${cert}": `,
  );
  assertEquals(home.events, []);
});

Deno.test("verify refuses what is no list, and says why", async () => {
  await using home = await Home.create();
  const long = home.path("long");
  {
    using file = await Deno.open(long, { write: true, create: true });
    await file.truncate(MAX_LIST_BYTES + 1);
  }
  await home.assertRefuses([
    [["verify", home.dir], "USAGE", "Cannot verify: give either a MANIFEST or --checksum"],
    [
      ["verify", home.dir, "list", "--checksum"],
      "USAGE",
      "Cannot verify: give either a MANIFEST or --checksum",
    ],
    [["verify", home.dir, "/none/list"], "NOT_FOUND", 'Cannot read "/none/list": there is no such file'],
    [
      ["verify", home.dir, long],
      "LIMIT_EXCEEDED",
      `Cannot read "${long}": a list has at most ${MAX_LIST_BYTES} bytes`,
    ],
  ]);
  await assertRejects(() => home.run("verify", home.dir, home.dir), "IO", `Cannot read "${home.dir}": `);
  assertEquals(home.events, []);
});

Deno.test("sync and its subcommands refuse folders, conflicts and times that are none", async () => {
  await using home = await Home.create();
  const { dir } = home;
  await Deno.mkdir(home.path("folder"));
  const folder = home.path("folder");
  await home.assertRefuses([
    [
      ["sync", "desk:a", "lap:b"],
      "USAGE",
      "Cannot synchronize two other machines: one folder has to be of this one",
    ],
    [
      ["sync", "restore", `${folder}/x@2026-99-01`],
      "INVALID_ARGUMENT",
      `Cannot restore "${folder}/x@2026-99-01": "2026-99-01" is no time such as 2026-11-21T14:00`,
    ],
    [
      ["sync", "conflicts", `${dir}/none`],
      "NOT_FOUND",
      `Cannot look for conflicts in "${dir}/none": there is no such folder`,
    ],
    [["sync", "conflicts", folder, "./x"], "NOT_FOUND", `Cannot find a conflict of "x" in "${folder}"`],
    [
      ["sync", "conflicts", folder, "--keep", "copy"],
      "NOT_FOUND",
      `Cannot settle conflicts in "${folder}": it was never synchronized`,
    ],
  ]);
  assertEquals(home.events, []);
  assertEquals([...Deno.readDirSync(folder)], []);
});

Deno.test("lock refuses what is no token, here and at another machine, without asking it", async () => {
  await using home = await Home.create();
  const free = home.path("free");
  await Deno.writeTextFile(free, "");
  await home.assertRefuses([
    [
      ["lock", "release", "desk:x"],
      "USAGE",
      'Cannot release the lock: "x" is no token, which has 32 hex digits',
    ],
    [["lock", "renew", "desk:x"], "USAGE", 'Cannot renew the lock: "x" is no token, which has 32 hex digits'],
    [
      ["lock", "release", "--force", "desk:x"],
      "USAGE",
      'Cannot take locks of "desk" from their holders: only there (wormhole lock release --force PATH)',
    ],
    [["lock", "release", "--force", free], "NOT_FOUND", `Cannot release "${free}": it is not locked`],
  ]);
  assertEquals(home.events, []);
});

Deno.test("store clear drops nothing where nobody can be asked", async () => {
  await using home = await Home.create();
  await home.assertRefuses([
    [["store", "clear"], "USAGE", "Cannot ask whether to drop the store: there is no terminal; give --yes"],
  ]);
});

Deno.test("job run of a job whose folder is gone fails, and its log says so", async () => {
  await using home = await Home.create();
  const gone = home.path("gone");
  const { context } = await home.context(["job", "list"]);
  const job = {
    name: "photos",
    command: ["copy", "a", "b"],
    folder: gone,
    with: "none",
    addedMs: 0,
  } as const;
  await jobBook(context).keep(job, { replaces: false, schedule: () => Promise.resolve() });
  const sentence = `Cannot run the job "photos": its folder "${gone}" is not there`;
  await home.assertRefuses([
    [["job", "run", "photos"], "NOT_FOUND", sentence],
    [
      ["job", "add", "other", "peers", "b"],
      "USAGE",
      'Cannot use that as the job "other": a job is a sync or copy; a folder of that name is written ./peers',
    ],
    [
      ["job", "add", "other", "--with", "cron", "copy", "a", "b"],
      "USAGE",
      'Cannot have cron run the job "other": say when, with --schedule',
    ],
  ]);
  await home.run("job", "log", "photos");
  const [run, ...more] = home.events;
  if (run?.event !== "job_run") throw new TypeError(`no run but ${JSON.stringify(run)}`);
  assertEquals([run.exit, run.code, run.message, more], [6, "NOT_FOUND", sentence, []]);
});
