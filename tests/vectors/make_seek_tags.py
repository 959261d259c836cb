#!/usr/bin/env python3
"""Writes seek_tags.json after src/wire/spec/handshake.md §3, with Python's own HMAC: `python3 tests/vectors/make_seek_tags.py`."""

import hashlib
import hmac
import json
import pathlib


def hkdf(key: bytes, info: bytes, length: int) -> bytes:
    """RFC 5869 with an empty salt, for at most one block."""
    prk = hmac.new(bytes(32), key, hashlib.sha256).digest()
    return hmac.new(prk, info + b"\x01", hashlib.sha256).digest()[:length]


def row(secret: bytes) -> dict[str, str]:
    tags = {role: hkdf(secret, f"wormhole:again:{role}".encode(), 16).hex() for role in ("sender", "receiver")}
    return {"secret": secret.hex(), **tags}


rows = [row(bytes(range(16))), row(bytes(16)), row(b"\xff" * 16)]
path = pathlib.Path(__file__).with_name("seek_tags.json")
path.write_text(json.dumps(rows, indent=2) + "\n")
