"""Makes and lists folder trees for the end-to-end tests, with names as bytes (Deno cannot name them all).

list DIR        JSON: every entry under DIR, sorted, DIR itself first as ""
oddities DIR    a tree with everything that is hard to carry
deep DIR N      N nested folders with a file in the last
many DIR N      N small files in folders of 100
"""

import hashlib
import json
import os
import stat
import sys


def entries(root):
    """Yields each entry under `root` (bytes) with what a transfer must keep."""
    stack = [b""]
    while stack:
        relative = stack.pop()
        path = os.path.join(root, relative) if relative else root
        found = os.lstat(path)
        entry = {
            "path": os.fsdecode(relative),
            "mode": stat.S_IMODE(found.st_mode),
            "mtime": str(found.st_mtime_ns),
        }
        if stat.S_ISDIR(found.st_mode):
            entry["kind"] = "directory"
            stack.extend(os.path.join(relative, name) for name in os.listdir(path))
        elif stat.S_ISLNK(found.st_mode):
            entry["kind"] = "symlink"
            entry["target"] = os.fsdecode(os.readlink(path))
            del entry["mode"]
        elif stat.S_ISREG(found.st_mode):
            entry["kind"] = "file"
            entry["size"] = found.st_size
            entry["blocks"] = found.st_blocks
            entry["hash"] = content_hash(path)
        else:
            entry["kind"] = "other"
        yield entry


def content_hash(path):
    digest = hashlib.blake2b(digest_size=16)
    try:
        with open(path, "rb") as file:
            while part := file.read(1 << 20):
                digest.update(part)
    except PermissionError:
        return "unreadable"
    return digest.hexdigest()


def write(path, content=b"", mode=0o644, mtime=1_234_567_890_123_456_789):
    with open(path, "wb") as file:
        file.write(content)
    os.chmod(path, mode)
    os.utime(path, ns=(mtime, mtime))


def oddities(root):
    os.makedirs(root)
    at = lambda name: os.path.join(root, name)
    write(at(b"plain.txt"), b"plain\n")
    write(at(b"empty"))
    write(at(b"run.sh"), b"#!/bin/sh\n", mode=0o755)
    write(at(b"private"), b"secret", mode=0o600)
    write(at(b"read-only"), b"fixed", mode=0o444)
    write(at(b"old"), b"1970", mtime=1)
    write(at(b"before-1970"), b"1969", mtime=-1_500_000_000)
    write(at(b"future"), b"2100", mtime=4_102_444_800_999_999_999)
    write(at("grüße 日本語 🎉".encode()), b"unicode")
    write(at("e\u0301".encode()), b"decomposed")
    write(at("\u00e9".encode()), b"composed")
    write(at(b"new\nline"), b"newline")
    write(at(b"escape\x1b[31m\x1b]0;owned\x07"), b"escape")
    write(at(b"not-utf8-\xff\xfe"), b"latin")
    write(at(b" leading and trailing "), b"spaces")
    write(at(b"-rf"), b"dash")
    write(at(b"back\\slash"), b"backslash")
    write(at(b"con"), b"reserved elsewhere")
    write(at(b"n" * 255), b"255 bytes")
    write(at("é".encode() * 127), b"254 bytes")
    write(at(b"chunk-"), os.urandom(4 * 1024 * 1024 - 1))
    write(at(b"chunk+"), os.urandom(4 * 1024 * 1024 + 1))
    os.symlink(b"plain.txt", at(b"link"))
    os.symlink(b"nowhere/at/all", at(b"dangling"))
    os.symlink(b".", at(b"itself"))
    os.symlink(b"bad\xfftarget", at(b"link\xff"))
    os.mkdir(at(b"folder"))
    write(at(b"folder/inside"), b"inside")
    os.symlink(b"../plain.txt", at(b"folder/up"))
    os.mkdir(at(b"empty folder"))
    os.mkdir(at(b"closed"), 0o700)
    write(at(b"closed/inside"), b"inside")
    os.mkdir(at(b"read-only folder"))
    write(at(b"read-only folder/inside"), b"inside")
    with open(at(b"sparse"), "wb") as file:
        file.write(b"start")
        file.seek(24 * 1024 * 1024)
        file.write(b"middle")
        file.truncate(48 * 1024 * 1024)
    with open(at(b"all-hole"), "wb") as file:
        file.truncate(9 * 1024 * 1024)
    for name in (b"link", b"dangling", b"link\xff"):
        os.utime(at(name), ns=(987_654_321_000_000_001,) * 2, follow_symlinks=False)
    os.chmod(at(b"read-only folder"), 0o555)
    for index, name in enumerate((b"folder", b"empty folder", b"closed", b"read-only folder")):
        os.utime(at(name), ns=(1_000_000_000_000_000_000 + index,) * 2)
    os.utime(root, ns=(1_111_111_111_111_111_111,) * 2)


def deep(root, levels):
    os.makedirs(root)
    here = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
    for level in range(levels):
        name = f"level-{level:03}"
        os.mkdir(name, dir_fd=here)
        below = os.open(name, os.O_RDONLY | os.O_DIRECTORY, dir_fd=here)
        os.close(here)
        here = below
    file = os.open("leaf", os.O_WRONLY | os.O_CREAT, 0o644, dir_fd=here)
    os.write(file, b"leaf")
    os.close(file)
    os.close(here)


def many(root, count):
    os.makedirs(root)
    for index in range(count):
        folder = os.path.join(root, f"{index // 100:04}".encode())
        if index % 100 == 0:
            os.mkdir(folder)
        with open(os.path.join(folder, f"file-{index}".encode()), "wb") as file:
            file.write(f"{index}\n".encode() * (index % 50))


def main(command, root, *rest):
    root = os.fsencode(root)
    if command == "list":
        found = sorted(entries(root), key=lambda entry: os.fsencode(entry["path"]))
        json.dump(found, sys.stdout)
    elif command == "oddities":
        oddities(root)
    elif command == "deep":
        deep(root, int(rest[0]))
    elif command == "many":
        many(root, int(rest[0]))
    else:
        sys.exit(f"unknown command {command}")


main(*sys.argv[1:])
