/** Decisions about bytes: compress or not, and how. Pure; never touches the bytes themselves. */
export { type Codec, type CodecChoice, type CompressionMode } from "./compression.ts";
export {
  CompressionController,
  type CompressionDecision,
  type CompressionOptions,
} from "./compression_controller.ts";
export type { CompressionFacts, ProbeResult } from "./compression_facts.ts";
export { COMPRESSION_RULES, type CompressionRules } from "./compression_rules.ts";
