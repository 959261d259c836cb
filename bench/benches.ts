/** Every bench by its name, in the order in which they run and stand in RESULTS.md. */
import type { Bench } from "./bench.ts";

/** Loads a bench; nothing runs by that. */
export const BENCHES: Readonly<Record<string, () => Promise<Bench>>> = {
  throughput: async () => (await import("./throughput.ts")).BENCH,
  zero_copy_io: async () => (await import("./zero_copy_io.ts")).BENCH,
  parallel_streams: async () => (await import("./parallel_streams.ts")).BENCH,
  content_chunks: async () => (await import("./content_chunks.ts")).BENCH,
  chunk_index: async () => (await import("./chunk_index.ts")).BENCH,
  compression: async () => (await import("./compression.ts")).BENCH,
  regression: async () => (await import("./regression.ts")).BENCH,
  small_files: async () => (await import("./small_files.ts")).BENCH,
  wan: async () => (await import("./wan.ts")).BENCH,
  again: async () => (await import("./again.ts")).BENCH,
  sync: async () => (await import("./sync.ts")).BENCH,
  sync_peer: async () => (await import("./sync_peer.ts")).BENCH,
  copy: async () => (await import("./copy.ts")).BENCH,
  hub: async () => (await import("./hub.ts")).BENCH,
  relay: async () => (await import("./relay.ts")).BENCH,
  transit_relay: async () => (await import("./transit_relay.ts")).BENCH,
  peers: async () => (await import("./peers.ts")).BENCH,
};
