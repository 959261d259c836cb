import { WormholeError } from "../base/errors.ts";

/** Where a mailbox server listens when a URL names no path; magic-wormhole's. */
const DEFAULT_PATH = "/v1";

/**
 * Reads the address of a mailbox server: `wss://host/v1`, `https://host`, `host` (encrypted) or `host:port` (plain).
 *
 * @throws {WormholeError} INVALID_ARGUMENT when it is none.
 */
export function parseHubUrl(text: string): URL {
  const trimmed = text.trim();
  const full = /^[a-z][a-z0-9+.-]*:\/\//i.test(trimmed)
    ? trimmed.replace(/^http/i, "ws")
    : `${/^(?:\[[^\]]*\]|[^:/]+)(?:\/|$)/.test(trimmed) ? "wss" : "ws"}://${trimmed}`;
  let url: URL;
  try {
    url = new URL(full);
  } catch {
    throw invalid(trimmed, "it is no address");
  }
  if (url.protocol !== "ws:" && url.protocol !== "wss:") {
    throw invalid(trimmed, "it must begin with wss:// or ws://");
  }
  if (url.hostname === "") throw invalid(trimmed, "the host is missing");
  if (url.username !== "" || url.password !== "") {
    throw invalid(trimmed, "it must hold no user name or password");
  }
  if (url.pathname === "/") url.pathname = DEFAULT_PATH;
  url.hash = "";
  return url;
}

/**
 * Reads `--peer`: `host:port`, also `[v6]:port`, of a sender's own mailbox.
 *
 * @throws {WormholeError} INVALID_ARGUMENT when the port is missing or it is no address.
 */
export function parsePeerAddress(text: string): URL {
  const trimmed = text.trim();
  const port = /^(?:\[[0-9a-fA-F:.%]+\]|[^\s:/@[\]]+):(\d{1,5})$/.exec(trimmed)?.[1];
  if (port === undefined || Number(port) < 1 || Number(port) > 65535) {
    throw invalid(trimmed, "it must be host:port, such as 192.168.1.7:40123");
  }
  return parseHubUrl(`ws://${trimmed}`);
}

function invalid(text: string, state: string): WormholeError {
  return new WormholeError("INVALID_ARGUMENT", `Cannot use the address "${text}": ${state}`);
}
