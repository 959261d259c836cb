"""Writes packs.json and the fixture of version 1 (docs/design/packs.md), sound packs and damaged ones. Needs
`pip install blake3`, an implementation that shares no code with ours. Run: python3 tests/vectors/make_packs.py"""

import json
import pathlib
import struct
from blake3 import blake3


def row(content, length=None, hash_=None):
    return (hash_ or blake3(content).digest()) + struct.pack("<I", len(content) if length is None else length)


def pack(chunks, table=None, count=None, version=1, magic=b"WHpack\r\n", name=None):
    table = b"".join(map(row, chunks)) if table is None else table
    name = name or blake3(table).digest()
    footer = name + struct.pack("<II", len(chunks) if count is None else count, version) + magic
    return b"".join(chunks) + table + footer, name.hex() + ".pack"


vectors = []


def add(description, chunks, made, error=None, name=None):
    vectors.append({"description": description, "chunks": [chunk.hex() for chunk in chunks],
                    "name": name or made[1], "pack": made[0].hex(), "error": error})


hello, zeros, byte = b"hello", bytes(300), b"\xff"
three = [hello, zeros, byte]
good = pack(three)
cut = lambda end: (good[0][:end], good[1])


def flip(at):
    changed = bytearray(good[0])
    changed[at] ^= 1
    return bytes(changed), good[1]


add("one byte", [byte], pack([byte]))
add("three chunks", three, good)
add("the same chunk twice", [hello, hello], pack([hello, hello]))
add("chunks that look like a footer", [good[0][-48:], hello], pack([good[0][-48:], hello]))
add("no byte at all", [], (b"", "0" * 64 + ".pack"), "CORRUPT")
add("cut within the footer", [], cut(-1), "CORRUPT")
add("a byte more", [], (good[0] + b"\n", good[1]), "CORRUPT")
add("cut at the beginning", [], (good[0][1:], good[1]), "CORRUPT")
add("only the table and footer", [], (good[0][len(b"".join(three)):], good[1]), "CORRUPT")
add("only the footer", [], (good[0][-48:], good[1]), "CORRUPT")
add("a bit of a chunk flipped", [], flip(0), "CORRUPT")
add("a bit of an id flipped", [], flip(306), "CORRUPT")
add("a bit of a length flipped", [], flip(306 + 32), "CORRUPT")
add("a bit of the table's hash flipped", [], flip(-48), "CORRUPT")
add("a bit of the magic flipped", [], flip(-1), "CORRUPT")
add("another pack's name", [], good, "CORRUPT", pack([byte])[1])
add("version 2", [], pack(three, version=2), "VERSION_UNSUPPORTED")
add("no chunk", [], pack([]), "LIMIT_EXCEEDED")
add("65537 chunks, says the footer", [], pack(three, count=65537), "LIMIT_EXCEEDED")
add("more chunks than the table has", [], pack(three, count=4), "CORRUPT")
add("a chunk of no bytes", [], pack([hello, b""]), "CORRUPT")
add("a chunk longer than 16 MiB", [], pack([hello], table=row(hello, length=(16 << 20) + 1)), "CORRUPT")
add("lengths that do not add up", [], pack([hello], table=row(hello, length=4)), "CORRUPT")
add("an id that is another chunk's", [], pack([hello], table=row(hello, hash_=blake3(b"x").digest())), "CORRUPT")

here = pathlib.Path(__file__).parent
here.joinpath("packs.json").write_text("[\n" + ",\n".join("  " + json.dumps(vector) for vector in vectors) + "\n]\n")
fixture = here.parent / "fixtures" / "store" / "packs"
fixture.mkdir(parents=True, exist_ok=True)
fixture.joinpath(good[1]).write_bytes(good[0])
