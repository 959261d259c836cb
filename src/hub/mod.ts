/**
 * `wormhole hub`: the server that machines of different networks meet at. It carries sealed messages and never
 * imports pairing or session, so it cannot learn a code or a key. Guide: `docs/hub.md`.
 */
export { type HubOptions, parseListen, runHub } from "./hub.ts";
