/**
 * Events for other programs, live: lines of JSON on a Unix socket that only this person may open. Whoever connects gets where things stand, then
 * everything that happens; who does not read is dropped, never waited for. Nothing is ever taken from readers. docs/live.md.
 */
export { EventSocket, type EventSocketOptions } from "./socket.ts";
export { firstLines } from "./client.ts";
