/** Firewalls that say in files that they are switched on; rules themselves are only for root to read. */
export async function activeFirewalls(root = ""): Promise<string[]> {
  if (Deno.build.os !== "linux") return [];
  const found = await Promise.all([
    contains(`${root}/etc/ufw/ufw.conf`, /^\s*ENABLED\s*=\s*yes\s*$/im).then((is) => is ? "ufw" : undefined),
    exists(`${root}/run/firewalld`).then((is) => is ? "firewalld" : undefined),
    exists(`${root}/run/systemd/units/invocation:nftables.service`).then((is) => is ? "nftables" : undefined),
  ]);
  return found.filter((name) => name !== undefined);
}

async function contains(path: string, pattern: RegExp): Promise<boolean> {
  try {
    return pattern.test(await Deno.readTextFile(path));
  } catch {
    // Not there, or not for us: nothing is known then, which is what a hint may say.
    return false;
  }
}

async function exists(path: string): Promise<boolean> {
  try {
    await Deno.lstat(path);
    return true;
  } catch {
    return false;
  }
}
