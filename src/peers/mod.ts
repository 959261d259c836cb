/**
 * The peers book: machines that this one knows since a code, with the name that the person gave them, what they may do
 * without asking and where they were last. One file, `peers.toml`, beside the machine key. It never meets anybody:
 * session does. Spec: `src/wire/spec/known_peers.md`.
 */
export { type Paired, PeerBook } from "./book.ts";
export type { Peer } from "./file.ts";
export {
  isIn,
  NO_RIGHTS,
  type Rights,
  type SharedFolder,
  sharedFolders,
  type Way,
  withFolders,
} from "./rights.ts";
export { freeName, parsePeerName, peerNameFrom, sameName } from "./names.ts";
