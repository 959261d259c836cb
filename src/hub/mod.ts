/**
 * `wormhole hub`: the server that machines of different networks meet at. It carries sealed messages and never
 * imports pairing or session, so it cannot learn a code or a key. Guide: `docs/hub.md`.
 */
export { type HubOptions, runHub } from "./hub.ts";
export { parseListen } from "./listen.ts";
export { TRANSIT_LIMITS, type TransitOptions } from "./transit.ts";
export { type HubStatus, hubStatus } from "./status.ts";
