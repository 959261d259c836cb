import type { MessageOf } from "./message.ts";
import { wrong } from "./fields.ts";
import { MAX_STREAM_NUMBERS } from "./limits.ts";

/** What a `bulk_received` says. */
export interface Acknowledgement {
  /** ms on the receiver's clock. */
  readonly time: number;
  /** Stream numbers with all frames of theirs that have arrived. */
  readonly streams: readonly (readonly [stream: number, frames: number])[];
  /** Bytes that came over each link, by link number. */
  readonly links: readonly number[];
}

/** Gives the message's fields for an acknowledgement; at most `MAX_ACKNOWLEDGED_STREAMS` streams. */
export function writeAcknowledgement({ time, streams, links }: Acknowledgement): MessageOf<"bulk_received"> {
  const column = (at: 0 | 1) => {
    const view = new DataView(new ArrayBuffer(4 * streams.length));
    streams.forEach((pair, i) => view.setUint32(4 * i, pair[at], true));
    return new Uint8Array(view.buffer);
  };
  const bytes = new DataView(new ArrayBuffer(8 * links.length));
  links.forEach((each, i) => bytes.setBigUint64(8 * i, BigInt(each), true));
  return {
    type: "bulk_received",
    time,
    streams: column(0),
    frames: column(1),
    links: new Uint8Array(bytes.buffer),
  };
}

/**
 * Gives what the message says; spec/streams.md §3.
 *
 * @throws {WormholeError} PROTOCOL when its columns do not fit each other or a number cannot be.
 */
export function readAcknowledgement(message: MessageOf<"bulk_received">): Acknowledgement {
  const { time, streams, frames, links } = message;
  if (streams.length !== frames.length) throw wrong("bulk_received.frames", "is not as long as its streams");
  const [numbers, counts, bytes] = [view(streams), view(frames), view(links)];
  const pairs: [number, number][] = [];
  for (let at = 0; at < numbers.byteLength; at += 4) {
    const stream = numbers.getUint32(at, true);
    if (stream >= MAX_STREAM_NUMBERS) throw wrong("bulk_received.streams", "names no stream");
    pairs.push([stream, counts.getUint32(at, true)]);
  }
  const carried: number[] = [];
  for (let at = 0; at < bytes.byteLength; at += 8) {
    const each = Number(bytes.getBigUint64(at, true));
    if (!Number.isSafeInteger(each)) throw wrong("bulk_received.links", "has a number above 2^53 - 1");
    carried.push(each);
  }
  return { time, streams: pairs, links: carried };
}

function view(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
