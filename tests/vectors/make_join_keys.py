#!/usr/bin/env python3
"""Writes join_keys.json after src/wire/spec/relay_join.md §2, with Python's own HMAC: `python3 tests/vectors/make_join_keys.py`."""

import hashlib
import hmac
import json
import pathlib


def hkdf(key: bytes, info: bytes, length: int) -> bytes:
    """RFC 5869 with an empty salt, for at most one block."""
    prk = hmac.new(bytes(32), key, hashlib.sha256).digest()
    return hmac.new(prk, info + b"\x01", hashlib.sha256).digest()[:length]


secrets = [bytes(range(16)), bytes(16), b"\xff" * 16]
rows = [{"secret": secret.hex(), "key": hkdf(secret, b"wormhole:join", 32).hex()} for secret in secrets]
path = pathlib.Path(__file__).with_name("join_keys.json")
path.write_text(json.dumps(rows, indent=2) + "\n")
