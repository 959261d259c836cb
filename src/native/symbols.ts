/**
 * Every symbol of the native library, by export module; `scripts/check_ffi.ts` compares them with
 * the `extern "C"` functions in `ffi/src/export/`.
 */
export const SYMBOLS = {
  // export/queue.rs
  wh_abi_version: { parameters: [], result: "u32" },
  wh_queue_open: { parameters: ["u32", "buffer"], result: "i64" },
  wh_queue_submit: {
    parameters: ["u32", "u32", "buffer", "usize", "buffer", "usize", "buffer"],
    result: "i64",
  },
  wh_queue_wait: { parameters: ["u32", "buffer", "usize"], result: "i64", nonblocking: true },
  wh_queue_cancel: { parameters: ["u32", "u32"], result: "void" },
  wh_queue_wake: { parameters: ["u32"], result: "void" },
  wh_queue_close: { parameters: ["u32"], result: "void" },

  // export/hash.rs
  wh_hash_buffer: { parameters: ["buffer", "usize", "buffer", "buffer"], result: "i64" },
  wh_hash_open: { parameters: ["buffer"], result: "i64" },
  wh_hash_update: { parameters: ["u32", "buffer", "usize", "buffer"], result: "i64" },
  wh_hash_finish: { parameters: ["u32", "buffer", "buffer"], result: "i64" },
  wh_hash_close: { parameters: ["u32"], result: "void" },

  // export/file_lock.rs
  wh_lock_try: { parameters: ["buffer", "usize", "u32", "buffer"], result: "i64" },
  wh_lock_close: { parameters: ["u32"], result: "void" },

  // export/pairing.rs
  wh_pairing_start: {
    parameters: ["buffer", "usize", "buffer", "usize", "buffer", "buffer"],
    result: "i64",
  },
  wh_pairing_finish: { parameters: ["u32", "buffer", "usize", "buffer", "buffer"], result: "i64" },
  wh_pairing_close: { parameters: ["u32"], result: "void" },
  wh_pairing_hkdf: {
    parameters: ["buffer", "usize", "buffer", "usize", "buffer", "usize", "buffer"],
    result: "i64",
  },
  wh_pairing_seal: { parameters: ["buffer", "buffer", "usize", "buffer", "buffer"], result: "i64" },
  wh_pairing_open: { parameters: ["buffer", "buffer", "usize", "buffer", "buffer"], result: "i64" },
  wh_pairing_random: { parameters: ["buffer", "usize", "buffer"], result: "i64" },
  wh_pairing_public: { parameters: ["buffer", "buffer", "buffer"], result: "i64" },
} as const satisfies Deno.ForeignLibraryInterface;
