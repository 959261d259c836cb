"""Writes chunk_frames.json: bulk streams of one frame (spec/chunk_data.md), valid and not. Needs `pip install blake3`, an
implementation that shares no code with ours. Run: python3 tests/vectors/make_chunk_frames.py"""

import json
import pathlib
import struct
from blake3 import blake3

DATA, HOLE, END, FAILED = 1, 2, 4, 8
MIB = 1 << 20
ZERO = bytes(32)


def record(entry, flags, offset=0, length=0, content=None, status=0, hash_=None):
    digest = hash_ if hash_ is not None else (blake3(content).digest() if content is not None else ZERO)
    return struct.pack("<IHHQQ", entry, flags, status, offset, length) + digest


def preface(stream=0, magic=0x5357, version=1, reserved=0):
    return struct.pack("<HBBI", magic, version, reserved, stream)


def header(count, plain, wire, magic=0x4857, version=1, codec=0, reserved=0):
    return struct.pack("<HBBHHII", magic, version, codec, count, reserved, plain, wire)


def lz4_literals(content):
    """One LZ4 block of literals only."""
    rest = len(content) - 15
    token = bytes([min(len(content), 15) << 4])
    extra = b""
    while rest >= 0:
        extra += bytes([min(rest, 255)])
        rest -= 255
    return token + extra + content


def lz4_zeros(count):
    """One LZ4 block: a literal zero, a match of distance 1, and the five literals a block must end with."""
    match = count - 1 - 5 - 4
    extra, rest = b"", match - 15
    while rest >= 0:
        extra += bytes([min(rest, 255)])
        rest -= 255
    return bytes([0x1F]) + b"\0" + struct.pack("<H", 1) + extra + bytes([0x50]) + bytes(5)


def zstd_rle(byte, count):
    """One zstd frame: single segment, 4-byte content size, one RLE block."""
    block = (count << 3) | (1 << 1) | 1
    return bytes.fromhex("28b52ffda0") + struct.pack("<I", count) + struct.pack("<I", block)[:3] + byte


hello = b"hello"
zeros = bytes(100)
vectors = []


def add(name, head, records, payload, valid, why, begin=preface()):
    vectors.append({"name": name, "preface": begin.hex(), "header": head.hex(), "records": b"".join(records).hex(), "payload": payload.hex(),
                    "valid": valid is True, "code": None if valid is True else valid, "why": why})


good = record(7, DATA | END, 0, 5, hello)
add("one small file", header(1, 5, 5), [good], hello, True, "DATA and END in one record")
add("empty file", header(1, 0, 0), [record(3, END)], b"", True, "END alone, offset and length 0")
add("hole and end", header(1, 0, 0), [record(1, HOLE | END, 4096, 1 << 40)], b"", True, "a hole has no payload")
add("data, hole, data, end", header(4, 10, 10),
    [record(2, DATA, 0, 5, hello), record(2, HOLE, 5, 4091), record(2, DATA, 4096, 5, hello), record(2, END, 4101)],
    hello + hello, True, "payload is the DATA bytes in record order")
add("many small files", header(3, 10, 10),
    [good, record(8, END), record(9, DATA | END, 0, 5, hello)], hello * 2, True, "records of different entries")
add("failed entry", header(1, 0, 0), [record(5, FAILED, status=22)], b"", True, "22 is PERMISSION_DENIED")
add("failed with a number of the future", header(1, 0, 0), [record(5, FAILED, status=65535)], b"", True,
    "unknown numbers read as INTERNAL")
add("end of a stream", header(1, 0, 0), [record(0, END, 123456789, 0)], b"", True, "size of a stream is offset + length")
add("highest entry and offset", header(1, 5, 5), [record(2**30 - 1, DATA, 2**53 - 6, 5, hello)], hello, True,
    "the highest that a manifest can ask for")
add("lz4 literals", header(1, 5, 6, codec=2), [good], lz4_literals(hello), "PROTOCOL",
    "encoded payload is longer than the plain one")
add("lz4 zeros", header(1, 100, len(lz4_zeros(100)), codec=2), [record(1, DATA | END, 0, 100, zeros)], lz4_zeros(100), True,
    "one LZ4 block")
add("zstd zeros", header(1, 100, len(zstd_rle(b"\0", 100)), codec=1), [record(1, DATA | END, 0, 100, zeros)],
    zstd_rle(b"\0", 100), True, "one zstd frame")

add("wrong magic", header(1, 5, 5, magic=0x5748), [good], hello, "PROTOCOL", "bytes HW")
add("version 2", header(1, 5, 5, version=2), [good], hello, "PROTOCOL", "unknown version")
add("unknown codec", header(1, 5, 5, codec=3), [good], hello, "PROTOCOL", "codec 3")
add("no records", header(0, 0, 0), [], b"", "LIMIT_EXCEEDED", "record_count 0")
add("too many records", header(1025, 0, 0), [record(i, END) for i in range(1025)], b"", "LIMIT_EXCEEDED", "record_count 1025")
add("reserved not zero", header(1, 5, 5, reserved=1), [good], hello, "PROTOCOL", "reserved is 1")
add("plain length above 16 MiB", header(1, 16 * MIB + 1, 16 * MIB + 1), [record(1, DATA, 0, 16 * MIB + 1, hash_=ZERO)], b"",
    "LIMIT_EXCEEDED", "refused from the header, before anything is allocated")
add("wire length above plain length", header(1, 100, 101, codec=1), [record(1, DATA, 0, 100, zeros)], b"", "PROTOCOL",
    "refused from the header")
add("raw with another wire length", header(1, 5, 4), [good], hello[:4], "PROTOCOL", "raw payloads have plain_length bytes")
add("codec without payload", header(1, 0, 0, codec=1), [record(1, END)], b"", "PROTOCOL", "plain_length 0 is raw")
add("plain length is not the sum", header(1, 6, 6), [good], hello + b"!", "PROTOCOL", "records say 5")
add("sum wraps", header(2, 4, 4), [record(1, DATA, 0, 2**63, hash_=ZERO), record(1, DATA, 0, 2**63 + 4, hash_=ZERO)], b"\0" * 4,
    "LIMIT_EXCEEDED", "lengths must be limited before they are added")
add("no flags", header(1, 0, 0), [record(1, 0)], b"", "PROTOCOL", "flags 0")
add("unknown flag", header(1, 0, 0), [record(1, END | 16)], b"", "PROTOCOL", "flag 16")
add("data and hole", header(1, 5, 5), [record(1, DATA | HOLE, 0, 5, hello)], hello, "PROTOCOL", "cannot be both")
add("failed and data", header(1, 5, 5), [record(1, DATA | FAILED, 0, 5, hello, status=22)], hello, "PROTOCOL", "FAILED stands alone")
add("failed and end", header(1, 0, 0), [record(1, END | FAILED, status=22)], b"", "PROTOCOL", "FAILED stands alone")
add("failed without status", header(1, 0, 0), [record(1, FAILED)], b"", "PROTOCOL", "status must say why")
add("failed with a length", header(1, 0, 0), [record(1, FAILED, 0, 5, status=22)], b"", "PROTOCOL", "offset and length are 0")
add("status without failed", header(1, 0, 0), [record(1, END, status=22)], b"", "PROTOCOL", "status must be 0")
add("data of no bytes", header(1, 0, 0), [record(1, DATA)], b"", "LIMIT_EXCEEDED", "DATA has at least one byte")
add("hole of no bytes", header(1, 0, 0), [record(1, HOLE)], b"", "PROTOCOL", "HOLE has at least one byte")
add("end with a length", header(1, 0, 0), [record(1, END, 0, 5)], b"", "PROTOCOL", "END alone has length 0")
add("hash without data", header(1, 0, 0), [record(1, END, hash_=b"\1" * 32)], b"", "PROTOCOL", "hash is zero unless DATA")
add("offset wraps", header(1, 5, 5), [record(1, DATA, 2**64 - 3, 5, hello)], hello, "LIMIT_EXCEEDED", "offset + length overflows u64")
add("ends above 2^63 - 1", header(1, 0, 0), [record(1, HOLE, 2**63 - 1, 1)], b"", "LIMIT_EXCEEDED", "ends at 2^63")
add("encoded payload as long as the plain one", header(1, 5, 5, codec=1), [good], hello, "PROTOCOL", "then it is sent raw")
add("bit flip in the payload", header(1, 5, 5), [good], b"hellp", "CORRUPT", "does not match the hash")
add("bit flip in the hash", header(1, 5, 5), [good[:-1] + bytes([good[-1] ^ 1])], hello, "CORRUPT", "does not match the hash")
add("zstd garbage", header(1, 100, 9, codec=1), [record(1, DATA, 0, 100, zeros)], b"not zstd!", "CORRUPT", "does not decode")
add("lz4 garbage", header(1, 100, 9, codec=2), [record(1, DATA, 0, 100, zeros)], b"\xff" * 9, "CORRUPT", "does not decode")
add("zstd of fewer bytes", header(1, 100, len(zstd_rle(b"\0", 99)), codec=1), [record(1, DATA, 0, 100, zeros)],
    zstd_rle(b"\0", 99), "CORRUPT", "decodes to 99 bytes")
add("zstd of more bytes", header(1, 100, len(zstd_rle(b"\0", 101)), codec=1), [record(1, DATA, 0, 100, zeros)],
    zstd_rle(b"\0", 101), "CORRUPT", "decodes to 101 bytes")
add("header cut short", header(1, 5, 5)[:9], [], b"", "CONNECTION_LOST", "the stream ends within a frame")
add("records cut short", header(2, 5, 5), [good], b"", "CONNECTION_LOST", "the stream ends within a frame")
add("payload cut short", header(1, 5, 5), [good], hello[:3], "CONNECTION_LOST", "the stream ends within a frame")

add("highest stream number", header(1, 5, 5), [good], hello, True, "65535", preface(65535))
add("stream number above all", header(1, 5, 5), [good], hello, "LIMIT_EXCEEDED", "65536", preface(65536))
add("wrong stream magic", header(1, 5, 5), [good], hello, "PROTOCOL", "a frame's mark", preface(magic=0x4857))
add("stream version 2", header(1, 5, 5), [good], hello, "PROTOCOL", "unknown version", preface(version=2))
add("reserved byte of a stream", header(1, 5, 5), [good], hello, "PROTOCOL", "reserved is 1", preface(reserved=1))
add("preface cut short", b"", [], b"", "CONNECTION_LOST", "the stream ends within its preface", preface()[:7])

path = pathlib.Path(__file__).with_name("chunk_frames.json")
path.write_text("[\n" + ",\n".join("  " + json.dumps(vector) for vector in vectors) + "\n]\n")
