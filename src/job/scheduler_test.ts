/** Plans carried out for real: files, and a crontab(1) that keeps a file instead of the machine's own. */
import { installPlan, type Launch, type Places, removalPlan } from "./plan.ts";
import { parseSchedule } from "./schedule.ts";
import { carryOut, type CommandEnd, presentScheduler, type System, system } from "./scheduler.ts";
import { encodeName } from "../base/names.ts";
import { assertEquals, assertRejects, assertTrue } from "../base/testing.ts";

const LAUNCH: Launch = { program: ["/usr/bin/wormhole"], variables: [] };
const schedule = parseSchedule("every 15m");

/** Commands by their first word; what they were asked. */
class Machine implements System {
  readonly asked: string[] = [];
  crontab: string | undefined;

  constructor(
    readonly os: System["os"],
    readonly has: readonly string[],
    readonly answer: (words: readonly string[]) => number = () => 0,
  ) {}

  run = (words: readonly string[], stdin?: string): Promise<CommandEnd | undefined> => {
    if (!this.has.includes(words[0]!)) return Promise.resolve(undefined);
    this.asked.push(words.join(" "));
    const end = (code: number, stdout = "", stderr = "") => Promise.resolve({ code, stdout, stderr });
    const code = this.answer(words);
    if (code !== 0 || words[0] !== "crontab") return end(code, "", code === 0 ? "" : "you may not");
    if (words[1] === "-") {
      this.crontab = stdin;
      return end(0);
    }
    return this.crontab === undefined ? end(1, "", "no crontab for me") : end(0, this.crontab);
  };
}

async function withPlaces(run: (places: Places) => Promise<void>): Promise<void> {
  const dir = await Deno.makeTempDir();
  try {
    await run({ units: `${dir}/units`, agents: `${dir}/agents`, tasks: `${dir}/tasks`, uid: 501 });
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
}

Deno.test("presentScheduler() chooses what is there", async () => {
  const rows: [string, Machine, string][] = [
    ["a manager", new Machine("linux", ["systemctl", "crontab"]), "systemd"],
    [
      "no manager",
      new Machine("linux", ["systemctl", "crontab"], ([first]) => first === "systemctl" ? 1 : 0),
      "cron",
    ],
    ["no systemd", new Machine("linux", ["crontab"]), "cron"],
    ["cron is forbidden", new Machine("linux", ["crontab"], () => 1), "none"],
    ["nothing", new Machine("linux", []), "none"],
    ["macOS", new Machine("darwin", ["launchctl"]), "launchd"],
    ["Windows", new Machine("windows", ["schtasks"]), "windows"],
  ];
  for (const [what, machine, wanted] of rows) assertEquals(await presentScheduler(machine), wanted, what);
});

Deno.test("carryOut() puts a line into the crontab, changes it, and takes it out again", () =>
  withPlaces(async (places) => {
    const machine = new Machine("linux", ["crontab"]);
    const job = { name: "notes", with: "cron" };
    await carryOut(installPlan(job, { schedule, launch: LAUNCH, places }), machine);
    assertTrue(machine.crontab!.includes("*/15 * * * * /usr/bin/wormhole job run --quiet notes\n"));
    machine.crontab += "# mine\n";
    await carryOut(installPlan(job, { schedule: parseSchedule("daily"), launch: LAUNCH, places }), machine);
    assertEquals(machine.crontab!.match(/job run/g)!.length, 1);
    await carryOut(removalPlan(job, places), machine);
    assertEquals(machine.crontab, "# mine\n");
    const before = machine.asked.length;
    await carryOut(removalPlan(job, places), machine);
    assertEquals(machine.asked.slice(before), ["crontab -l"], "nothing is written where nothing changes");
  }));

Deno.test("carryOut() never replaces a crontab that it cannot read", () =>
  withPlaces(async (places) => {
    const machine = new Machine("linux", ["crontab"], (words) => words[1] === "-l" ? 1 : 0);
    const plan = installPlan({ name: "notes", with: "cron" }, { schedule, launch: LAUNCH, places });
    await assertRejects(() => carryOut(plan, machine), "UNSUPPORTED", "you may not");
    assertEquals(machine.crontab, undefined);
  }));

Deno.test("carryOut() writes units and has systemd take them, and removes them again", () =>
  withPlaces(async (places) => {
    const machine = new Machine("linux", ["systemctl"]);
    const job = { name: "notes", with: "systemd" };
    await carryOut(installPlan(job, { schedule, launch: LAUNCH, places }), machine);
    const names = (await Array.fromAsync(Deno.readDir(places.units))).map(({ name }) => name).sort();
    assertEquals(names, ["wormhole-job-notes.service", "wormhole-job-notes.timer"]);
    const timer = await Deno.readTextFile(`${places.units}/wormhole-job-notes.timer`);
    assertTrue(
      timer.includes("OnCalendar=*-*-* *:00,15,30,45:00\n") && timer.includes("Persistent=true\n"),
      timer,
    );
    assertEquals(machine.asked, [
      "systemctl --user daemon-reload",
      "systemctl --user enable --now wormhole-job-notes.timer",
    ]);
    await carryOut(removalPlan(job, places), machine);
    assertEquals(await Array.fromAsync(Deno.readDir(places.units)), []);
    await carryOut(removalPlan(job, places), machine); // what is gone is gone
    const refusing = new Machine("linux", ["systemctl"], ([, , verb]) => verb === "enable" ? 1 : 0);
    const plan = installPlan(job, { schedule, launch: LAUNCH, places });
    await assertRejects(() => carryOut(plan, refusing), "UNSUPPORTED", "you may not");
  }));

Deno.test("carryOut() writes for launchd and Windows", () =>
  withPlaces(async (places) => {
    const mac = new Machine("darwin", ["launchctl"], ([, verb]) => verb === "bootout" ? 3 : 0);
    await carryOut(
      installPlan({ name: "notes", with: "launchd" }, { schedule, launch: LAUNCH, places }),
      mac,
    );
    const path = `${places.agents}/dev.wormhole.job.notes.plist`;
    assertTrue((await Deno.readTextFile(path)).startsWith("<?xml"));
    assertEquals(mac.asked, [
      "launchctl bootout gui/501/dev.wormhole.job.notes",
      `launchctl bootstrap gui/501 ${path}`,
    ]);
    const windows = new Machine("windows", ["schtasks"]);
    await carryOut(
      installPlan({ name: "notes", with: "windows" }, { schedule, launch: LAUNCH, places }),
      windows,
    );
    const bytes = await Deno.readFile(`${places.tasks}/notes.xml`);
    assertEquals([...bytes.subarray(0, 4)], [0xff, 0xfe, 0x3c, 0]);
    assertEquals(windows.asked, [`schtasks /Create /F /TN Wormhole\\notes /XML ${places.tasks}/notes.xml`]);
    await carryOut(removalPlan({ name: "notes", with: "windows" }, places), windows);
    assertEquals(await Array.fromAsync(Deno.readDir(places.tasks)), []);
  }));

Deno.test("system.run() gives and takes every byte, as a crontab in another encoding needs it", async () => {
  const read = await system.run(["printf", "\\357\\273\\277# caf\\351 \\303\\251\\n"]);
  const bytes = Uint8Array.from([0xef, 0xbb, 0xbf, ...encodeName("# caf\udce9 é\n")]);
  assertEquals(encodeName(read!.stdout), bytes);
  const back = await system.run(["od", "-An", "-tx1"], read!.stdout);
  assertEquals(back!.stdout.trim().split(/\s+/).join(""), bytes.toHex());
});
