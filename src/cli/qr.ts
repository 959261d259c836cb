/** Light border that scanners need around a code (ISO/IEC 18004 asks for 4, phones read 2). */
const QUIET_ZONE = 2;

/**
 * Gives `text` as a QR code of half-block characters, two rows of modules per line, without a last line break.
 *
 * With `colours` it is black on white whatever the terminal's colours; without, light modules take the text
 * colour, which is right on the usual dark background. The encoder is loaded only here.
 */
export async function qrCode(text: string, { colours }: { colours: boolean }): Promise<string> {
  const { encode } = await import("uqr");
  const { data, size } = encode(text, { ecc: "M", border: QUIET_ZONE });
  const lines: string[] = [];
  for (let row = 0; row < size; row += 2) {
    let line = "";
    for (let column = 0; column < size; column++) {
      const upper = !data[row]![column];
      const lower = !(data[row + 1]?.[column] ?? false);
      line += upper && lower ? "█" : upper ? "▀" : lower ? "▄" : " ";
    }
    lines.push(colours ? `\x1b[97;40m${line}\x1b[0m` : line);
  }
  return lines.join("\n");
}
