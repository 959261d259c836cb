/**
 * Removes from `folder` the coverage that processes left unfinished, since they were killed while they wrote it:
 * `deno coverage` reports nothing at all when it meets one. Gives how many they were.
 */
export async function removeUnfinished(folder: string): Promise<number> {
  let removed = 0;
  for await (const { name } of Deno.readDir(folder)) {
    const path = `${folder}/${name}`;
    if (!name.endsWith(".json") || isWhole(await Deno.readTextFile(path))) continue;
    await Deno.remove(path);
    removed++;
  }
  return removed;
}

function isWhole(json: string): boolean {
  try {
    JSON.parse(json);
    return true;
  } catch {
    return false;
  }
}
