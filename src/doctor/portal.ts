/** Looks for a captive portal: something on the way that answers in the hub's place until somebody has logged in. */

/** Longest part of a redirect's host that is told to people, in characters. */
const MAX_HOST = 100;

/** An answer over HTTP, as much of it as {@linkcode judgeAnswer} needs. */
export interface HttpAnswer {
  readonly status: number;
  /** Of the header `Location`, as it was written. */
  readonly location?: string;
  readonly contentType?: string;
}

/**
 * Asks the host of the hub at `hub` for a page that it cannot have, and gives in words what answers in its place; undefined when
 * nothing does.
 */
export async function probePortal(
  hub: URL,
  { signal }: { signal: AbortSignal },
): Promise<string | undefined> {
  // Portals take hold of plain HTTP: with TLS they could say nothing.
  const at = hub.protocol === "ws:" ? hub.host : hub.hostname;
  const page = new URL(`http://${at}/wormhole-doctor-${crypto.getRandomValues(new Uint8Array(6)).toHex()}`);
  try {
    const response = await fetch(page, { redirect: "manual", signal });
    await response.body?.cancel();
    const { status, headers } = response;
    const [location, contentType] = [headers.get("location"), headers.get("content-type")];
    return judgeAnswer(
      { status, ...location && { location }, ...contentType && { contentType } },
      page.hostname,
    );
  } catch {
    // Nothing answers: the network is simply closed.
    return undefined;
  }
}

/** Says what an answer for a page that `host` does not have comes to; undefined when the host itself may have given it. */
export function judgeAnswer(
  { status, location, contentType = "" }: HttpAnswer,
  host: string,
): string | undefined {
  // RFC 6585 §6.
  if (status === 511) return "HTTP 511: this network wants a login";
  if (status >= 300 && status < 400 && location !== undefined) {
    const to = URL.canParse(location, `http://${host}/`)
      ? new URL(location, `http://${host}/`).hostname
      : undefined;
    if (to === undefined || to === host || to.endsWith(`.${host}`) || host.endsWith(`.${to}`)) {
      return undefined;
    }
    return `HTTP ${status} to ${to.slice(0, MAX_HOST)}`;
  }
  if (status === 200 && /^text\/html\b/i.test(contentType)) return "HTTP 200 with a web page";
  return undefined;
}
