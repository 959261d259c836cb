/**
 * Links to peers: listens, dials, races addresses and says which transport suits a path. It never decides whom to
 * trust (session does) and never looks into a frame. Contract: docs/design/contracts.md §3.
 */
export {
  allowedTransports,
  preferredTransport,
  streamCount,
  type StreamCountInput,
  type TransportChoice,
} from "./chooser.ts";
export {
  type FurtherLink,
  type Link,
  type LinkStats,
  MAX_CONTROL_FRAME_BYTES,
  type PeerConnection,
  type TransportKind,
} from "./connection.ts";
export { dialFirst, type DialOptions } from "./dial.ts";
export { Endpoint, type EndpointOptions, machineAddresses, type RelayPlace } from "./endpoint.ts";
export {
  type DialTarget,
  type DialTransport,
  type DirectTransport,
  type Hint,
  hintText,
  MAX_HINTS,
  parseHints,
  type RelayHint,
} from "./hints.ts";
export { memoryPair } from "./memory.ts";
