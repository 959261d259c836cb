"""Pours bytes through TCP connections as cheaply as a program can: sendfile(2) in, recv(2) with MSG_TRUNC out.

pour.py direct BYTES PAIRS          straight over loopback
pour.py proxy HOST:PORT SINK BYTES PAIRS    to HOST:PORT, which passes it on to the port SINK of this machine
pour.py relay HOST:PORT BYTES PAIRS         two connections to a transit relay for each pair
pour.py wait HOST:PORT COUNT                COUNT sides that wait at a relay, until standard input ends

Prints one line of JSON: {"seconds": …}; BYTES are of all pairs together. bench/transit_relay.ts runs it.
"""

import json
import os
import socket
import sys
import threading
import time

BLOCK = 64 << 20


def place(text):
    host, port = text.rsplit(":", 1)
    return host, int(port)


def source(number):
    # A relay bounds what one address may do.
    return f"127.1.{number // 200 % 200}.{number % 200 + 1}"


def side(at, number, name):
    client = socket.create_connection(at, source_address=(source(number // 40), 0))
    client.sendall(f"please relay {number:064x} for side {name * 16}\n".encode())
    return client


def exactly(client, expected):
    heard = b""
    while len(heard) < len(expected):
        heard += client.recv(len(expected) - len(heard)) or sys.exit("hung up on")
    assert heard == expected, heard


def send(client, total, block):
    gone = 0
    while gone < total:
        gone += os.sendfile(client.fileno(), block, gone % BLOCK, min(BLOCK - gone % BLOCK, total - gone))
    client.shutdown(socket.SHUT_WR)


def sink(client, total):
    # With MSG_TRUNC nothing is copied: the buffer only says how much may be taken at once.
    buffer = bytearray(4 << 20)
    got = 0
    while count := client.recv_into(buffer, len(buffer), socket.MSG_TRUNC):
        got += count
    assert got == total, (got, total)


def connect(kind, words, pairs):
    if kind == "relay":
        for number in range(pairs):
            one, other = (side(place(words[0]), number, name) for name in "ab")
            exactly(one, b"ok\n")
            exactly(other, b"ok\n")
            yield one, other
        return
    listener = socket.create_server(("127.0.0.1", int(words[1]) if kind == "proxy" else 0))
    at = place(words[0]) if kind == "proxy" else listener.getsockname()
    for _ in range(pairs):
        one = socket.create_connection(at)
        yield one, listener.accept()[0]


def pour(kind, words):
    total, pairs = int(words[-2]), int(words[-1])
    block = os.memfd_create("block")
    os.write(block, os.urandom(BLOCK))
    ends = list(connect(kind, words, pairs))
    work = [(send, one, total // pairs, block) for one, _ in ends]
    work += [(sink, other, total // pairs) for _, other in ends]
    failed = []

    def guarded(run, *args):
        try:
            run(*args)
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=guarded, args=each) for each in work]
    began = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failed:
        raise failed[0]
    print(json.dumps({"seconds": time.monotonic() - began}))


def wait(words):
    # Tokens that no pair has: whoever waits longest would be joined to one of its sides.
    numbers = range(1_000_000, 1_000_000 + int(words[1]))
    clients = [side(place(words[0]), number, "a") for number in numbers]
    print(json.dumps({"waiting": len(clients)}), flush=True)
    sys.stdin.read()


if sys.argv[1] == "wait":
    wait(sys.argv[2:])
else:
    pour(sys.argv[1], sys.argv[2:])
