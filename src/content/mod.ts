/** Decisions about bytes: compress or not, and how. Pure; never touches the bytes themselves. */
export {
  chooseCodec,
  type Codec,
  type CodecChoice,
  type CompressionMode,
  type CompressionState,
} from "./compression.ts";
