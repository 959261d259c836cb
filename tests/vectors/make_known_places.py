"""Makes known_places.json anew: python3 tests/vectors/make_known_places.py. HKDF-SHA256 (RFC 5869) by hand, of hmac only."""
import hashlib
import hmac
import json
import pathlib


def hkdf(key, info, length):
    prk = hmac.new(b"\0" * 32, key, hashlib.sha256).digest()
    out, block = b"", b""
    for i in range(1, 256):
        block = hmac.new(prk, block + info + bytes([i]), hashlib.sha256).digest()
        out += block
        if len(out) >= length:
            return out[:length]


def place(secret, sender, epoch):
    def derive(what, length, epoch=0):
        return hkdf(secret, b"wormhole:known:" + what + b":" + sender + epoch.to_bytes(8, "big"), length)

    return {
        "secret": secret.hex(),
        "sender": sender.hex(),
        "epoch": epoch,
        "mailbox": "meet-" + derive(b"mailbox", 16, epoch).hex(),
        "sides": {"sender": derive(b"sender", 8, epoch).hex(), "receiver": derive(b"receiver", 8, epoch).hex()},
        "tag": derive(b"tag", 16, epoch).hex(),
        "entry": derive(b"entry", 16).hex(),
        "port": 20000 + int.from_bytes(derive(b"port", 2), "big") % 12000,
        "code": "known-" + derive(b"password", 32).hex(),
    }


secret, a, b = bytes(range(32)), bytes(range(100, 132)), bytes(range(200, 232))
rows = [
    {"description": "one direction", **place(secret, a, 483000)},
    {"description": "an hour later", **place(secret, a, 483001)},
    {"description": "the other direction", **place(secret, b, 483000)},
    {"description": "another secret", **place(secret[::-1], a, 483000)},
    {"description": "an epoch of more than 32 bits", **place(secret, a, 2**40 + 7)},
]
nonces = [bytes(range(16)), bytes(range(16, 32))]
session = {
    "secret": secret.hex(),
    "nonces": [nonce.hex() for nonce in nonces],
    "session": hkdf(secret, b"wormhole:known:session:" + b"".join(nonces), 16).hex(),
}
sync = {"secret": secret.hex(), "sync": hkdf(secret, b"wormhole:known:sync", 32).hex()}
path = pathlib.Path(__file__).with_name("known_places.json")
path.write_text(json.dumps({"places": rows, "session": session, "sync": sync}, indent=2) + "\n")
