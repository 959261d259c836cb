"""Makes and compares trees for the tests of `wormhole copy`, with everything that a file can have.

everything DIR         a tree with every attribute and oddity that this user may make there
random DIR COUNT SEED  COUNT small random trees DIR/0, DIR/1, ...
compare [--no-holes] [--no-xattrs] A B …   JSON: what differs between each pair of trees, one list for each pair
whole SOURCE ACTUAL    JSON: files of ACTUAL, temporary ones aside, that have other bytes than in SOURCE; not all need be there
changing DIR SEED      changes the tree DIR a little: contents, attributes, names, kinds
"""

import array
import errno
import fcntl
import hashlib
import json
import os
import random
import socket
import stat
import sys

GETFLAGS = 0x80086601
SETFLAGS = 0x40086602
NODUMP = 0x40
NOATIME = 0x80
KEPT_FLAGS = NODUMP | NOATIME
ACCESS = "system.posix_acl_access"
DEFAULT = "system.posix_acl_default"
# Version 2, then (tag u16, permissions u16, id u32): user rwx, user 1000 r-x, group r--, mask rwx, other ---.
ACL = b"\2\0\0\0" + b"".join(
    tag.to_bytes(2, "little") + bits.to_bytes(2, "little") + who.to_bytes(4, "little")
    for tag, bits, who in [(1, 7, 0xFFFFFFFF), (2, 5, 1000), (4, 4, 0xFFFFFFFF), (16, 7, 0xFFFFFFFF), (32, 0, 0xFFFFFFFF)]
)
# VFS_CAP_REVISION_2, effective, cap_net_raw permitted.
CAPABILITY = bytes.fromhex("0100000200200000000000000000000000000000")

refused = {errno.EPERM, errno.EACCES, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOTTY, errno.EINVAL, errno.ENOSYS}


def maybe(make, *arguments, **options):
    """Makes what this user and this file system allow."""
    try:
        make(*arguments, **options)
    except OSError as error:
        if error.errno not in refused:
            raise


def write(path, content=b"", mode=0o644, mtime=1_234_567_890_123_456_789):
    with open(path, "wb") as file:
        file.write(content)
    os.chmod(path, mode)
    os.utime(path, ns=(mtime, mtime))


def holes(path, pieces, size):
    """Writes `pieces` (offset, content) with holes between them."""
    with open(path, "wb") as file:
        for offset, content in pieces:
            os.pwrite(file.fileno(), content, offset)
        file.truncate(size)


def flag(path, bits):
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW)
    try:
        now = array.array("i", [0])
        fcntl.ioctl(handle, GETFLAGS, now, True)
        now[0] |= bits
        fcntl.ioctl(handle, SETFLAGS, now, True)
    finally:
        os.close(handle)


def listen(path):
    here = os.getcwd()
    os.chdir(os.path.dirname(path))
    try:
        socket.socket(socket.AF_UNIX).bind(os.path.basename(path))
    finally:
        os.chdir(here)


def everything(root):
    os.makedirs(root)
    at = lambda *names: os.path.join(root, *names)
    mib = 1 << 20
    for index, name in enumerate(
        (b"plain", b"empty", b"-rf", b"new\nline", b"not-utf8-\xff\xfe", " grüße 日本語 🎉 ".encode(), b"n" * 255, b"back\\slash")
    ):
        write(at(name), name * index)
    for mode in (0o0, 0o400, 0o755, 0o4755, 0o2755, 0o1644, 0o7777, 0o444):
        write(at(b"mode-%o" % mode), b"m", mode=mode)
    for mtime in (1, -1_500_000_001, 4_102_444_800_999_999_999):
        write(at(b"time%d" % mtime), b"t", mtime=mtime)
    write(at(b"large"), os.urandom(3 * mib + 17))
    holes(at(b"sparse"), [(0, b"start"), (5 * mib + 123, b"x" * 70_000), (24 * mib, b"end")], 48 * mib)
    holes(at(b"all-hole"), [], 9 * mib + 1)
    holes(at(b"hole-first"), [(2 * mib, b"late")], 2 * mib + 4)
    write(at(b"zeros"), bytes(mib))
    os.mkdir(at(b"links"))
    for name in (b"one", b"two", b"links/three", b"links/four"):
        if name == b"one":
            write(at(name), b"linked" * 1000)
        else:
            os.link(at(b"one"), at(name))
    os.symlink(b"plain", at(b"link"))
    for name, target in ((b"dangling", b"nowhere/at/all"), (b"itself", b"."), (b"link\xff", b"bad\xfftarget"), (b"absolute", b"/etc/hostname"), (b"long", b"x" * 1000)):
        os.symlink(target, at(name))
    os.utime(at(b"link"), ns=(987_654_321_000_000_001,) * 2, follow_symlinks=False)
    os.mkfifo(at(b"fifo"), 0o640)
    os.utime(at(b"fifo"), ns=(5_000_000_001,) * 2)
    # What is no file has several names as well.
    for name in (b"link", b"fifo"):
        os.link(at(name), at(b"links/" + name), follow_symlinks=False)
    listen(at(b"socket"))
    os.chmod(at(b"socket"), 0o751)
    maybe(os.mknod, at(b"character"), 0o620 | stat.S_IFCHR, os.makedev(1, 3))
    maybe(os.mknod, at(b"block"), 0o660 | stat.S_IFBLK, os.makedev(7, 200))
    write(at(b"xattrs"), b"x")
    for name in (b"plain", b"xattrs", b"links", b"fifo", b"link"):
        for key, value in (("user.note", b"hello"), ("user.binary", bytes(range(256))), ("user.empty", b""), ("trusted.note", b"root"), ("security.note", b"lsm")):
            maybe(os.setxattr, at(name), key, value, follow_symlinks=False)
    write(at(b"acl"), b"a")
    maybe(os.setxattr, at(b"acl"), ACCESS, ACL)
    os.mkdir(at(b"acl folder"))
    maybe(os.setxattr, at(b"acl folder"), DEFAULT, ACL)
    maybe(os.setxattr, at(b"acl folder"), ACCESS, ACL)
    # Made by a copy that set the folder's default ACL too early, it would inherit one.
    os.makedirs(at(b"acl folder/below"), 0o750)
    write(at(b"acl folder/inside"), b"i", mode=0o600)
    for name in (b"acl folder/below", b"acl folder/inside"):
        for key in (ACCESS, DEFAULT):
            try:
                os.removexattr(at(name), key)
            except OSError:
                pass
    os.chmod(at(b"acl folder/below"), 0o750)
    os.chmod(at(b"acl folder/inside"), 0o600)
    write(at(b"flagged"), b"f")
    maybe(flag, at(b"flagged"), NODUMP | NOATIME)
    for mode in (0o755, 0o700, 0o555, 0o1777, 0o2775, 0o0):
        os.mkdir(at(b"folder-%o" % mode))
        write(at(b"folder-%o" % mode, b"inside"), b"inside")
    os.mkdir(at(b"empty folder"))
    if os.geteuid() == 0:
        write(at(b"owned"), b"o", mode=0o4711)
        os.chown(at(b"owned"), 1234, 4321)
        os.chmod(at(b"owned"), 0o4711)
        for name in (b"link", b"fifo", b"folder-755", b"dangling"):
            os.chown(at(name), 12, 34, follow_symlinks=False)
        write(at(b"capable"), b"\x7fELF", mode=0o755)
        maybe(os.setxattr, at(b"capable"), "security.capability", CAPABILITY)
        os.utime(at(b"owned"), ns=(77_000_000_007,) * 2)
        os.utime(at(b"link"), ns=(987_654_321_000_000_001,) * 2, follow_symlinks=False)
    here = at(b"deep")
    for level in range(60):
        os.mkdir(here)
        here = os.path.join(here, b"level%d" % level)
    write(here, b"bottom")
    for index, mode in enumerate((0o755, 0o700, 0o555, 0o1777, 0o2775, 0o0)):
        os.chmod(at(b"folder-%o" % mode), mode)
        os.utime(at(b"folder-%o" % mode), ns=(1_000_000_000_000_000_000 + index,) * 2)
    os.utime(at(b"links"), ns=(3_000_000_003,) * 2)
    os.chmod(root, 0o750)
    os.utime(root, ns=(1_111_111_111_111_111_111,) * 2)


ALPHABET = [b"a", b"b", b"z", b"-", b" ", b"\n", b"\xff", "é".encode(), b".", b"x" * 40]


def some_name(dice, taken):
    while True:
        name = b"".join(dice.choice(ALPHABET) for _ in range(dice.randint(1, 5)))
        if name not in (b".", b"..") and name not in taken and len(name) < 250:
            return name


def some_file(dice, path):
    shape = dice.random()
    if shape < 0.2:
        content, size = [], 0
    elif shape < 0.7:
        size = dice.choice([1, 100, 4095, 4096, 4097, 20_000])
        content = [(0, dice.randbytes(size))]
    elif shape < 0.8:
        size = dice.choice([4096, 65_536])
        content = [(0, bytes(size))]
    else:
        size = dice.choice([8192, 65_536, 300_001, 1 << 21])
        places = sorted(dice.randrange(0, size) for _ in range(dice.randint(0, 3)))
        content = [(place, dice.randbytes(min(5000, size - place))) for place in places]
    holes(path, content, size)


def random_tree(root, dice):
    os.makedirs(root)
    folders, files, everywhere = [root], [], [root]
    names = {root: set()}
    for _ in range(dice.randint(0, 16)):
        folder = dice.choice(folders)
        name = some_name(dice, names[folder])
        names[folder].add(name)
        path = os.path.join(folder, name)
        kind = dice.random()
        if kind < 0.2:
            os.mkdir(path)
            folders.append(path)
            names[path] = set()
        elif kind < 0.3:
            os.symlink(dice.choice([b"a", b"..", b"/tmp", b"\xff\xfe", b"no/where"]), path)
        elif kind < 0.36:
            os.mkfifo(path)
        elif kind < 0.4:
            maybe(os.mknod, path, stat.S_IFCHR | 0o600, os.makedev(1, dice.choice([3, 5])))
        elif kind < 0.52 and files:
            os.link(dice.choice(files), path)
        else:
            some_file(dice, path)
            files.append(path)
        if os.path.lexists(path):
            everywhere.append(path)
    decorate(everywhere, dice)


def decorate(paths, dice):
    for path in reversed(paths):
        mode = os.lstat(path).st_mode
        if not stat.S_ISLNK(mode):
            for key in ("user.a", "user.b"):
                if dice.random() < 0.15:
                    maybe(os.setxattr, path, key, dice.randbytes(dice.randint(0, 40)))
            if dice.random() < 0.1:
                maybe(os.setxattr, path, ACCESS, ACL)
        if os.geteuid() == 0 and dice.random() < 0.2:
            os.chown(path, dice.randint(0, 3), dice.randint(0, 3), follow_symlinks=False)
        if not stat.S_ISLNK(os.lstat(path).st_mode) and dice.random() < 0.5:
            privileged = os.geteuid() == 0
            os.chmod(path, dice.choice([0o644, 0o600, 0o755, 0o4755, 0o2750, 0o1777] + ([0o0, 0o111] if privileged else [])))
        if dice.random() < 0.7:
            time = dice.randint(-(10**18), 4 * 10**18)
            os.utime(path, ns=(time, time), follow_symlinks=False)


def changing(root, dice):
    """Changes some of a tree, as the time between two syncs does."""
    found = []
    for folder, folders, files in os.walk(root):
        found.extend(os.path.join(folder, name) for name in folders + files)
    for path in sorted(found):
        if not os.path.lexists(path):
            continue
        mode = os.lstat(path).st_mode
        what = dice.random()
        if what < 0.12:
            remove(path)
        elif what < 0.2:
            remove(path)
            dice.choice([lambda: os.mkdir(path), lambda: os.symlink(b"else", path), lambda: write(path, b"else"), lambda: os.mkfifo(path)])()
        elif what < 0.35 and stat.S_ISREG(mode):
            # Another size: the same size and time is what size_mtime cannot see.
            # Not "ab": with fs.protected_regular even root may not ask to create what is there in somebody else's sticky folder.
            with open(path, "r+b") as file:
                file.seek(0, os.SEEK_END)
                file.write(dice.randbytes(dice.randint(1, 5000)))
        elif what < 0.45:
            decorate([path], dice)
        elif what < 0.5 and not stat.S_ISDIR(mode):
            os.rename(path, path + b"-moved")
    for number in range(dice.randint(0, 3)):
        some_file(dice, os.path.join(root, b"added-%d-%d" % (number, dice.randint(0, 999))))


def remove(path):
    if stat.S_ISDIR(os.lstat(path).st_mode):
        for name in os.listdir(path):
            remove(os.path.join(path, name))
        os.rmdir(path)
    else:
        os.unlink(path)


def data_map(path, size):
    """The ranges that have data."""
    ranges = []
    handle = os.open(path, os.O_RDONLY)
    try:
        at = 0
        while at < size:
            try:
                start = os.lseek(handle, at, os.SEEK_DATA)
            except OSError as error:
                if error.errno == errno.ENXIO:
                    break
                raise
            at = os.lseek(handle, start, os.SEEK_HOLE)
            ranges.append([start, at])
    finally:
        os.close(handle)
    return ranges


def dump(root, with_holes):
    """Everything about each entry below `root`, by its path."""
    entries, names = {}, {}
    stack = [b""]
    while stack:
        relative = stack.pop()
        path = os.path.join(root, relative) if relative else root
        found = os.lstat(path)
        mode = found.st_mode
        entry = {
            "kind": stat.S_IFMT(mode),
            "mode": stat.S_IMODE(mode),
            "owner": [found.st_uid, found.st_gid],
            "mtime": found.st_mtime_ns,
            "xattrs": {key: os.getxattr(path, key, follow_symlinks=False).hex() for key in sorted(os.listxattr(path, follow_symlinks=False))},
        }
        if stat.S_ISDIR(mode):
            stack.extend(os.path.join(relative, name) for name in os.listdir(path))
        else:
            names.setdefault((found.st_dev, found.st_ino), []).append(relative)
        if stat.S_ISLNK(mode):
            entry["target"] = os.fsdecode(os.readlink(path))
        elif stat.S_ISCHR(mode) or stat.S_ISBLK(mode):
            entry["device"] = found.st_rdev
        elif stat.S_ISREG(mode):
            entry["size"] = found.st_size
            entry["blocks"] = found.st_blocks
            digest = hashlib.blake2b(digest_size=16)
            with open(path, "rb") as file:
                while part := file.read(1 << 20):
                    digest.update(part)
            entry["hash"] = digest.hexdigest()
            if with_holes:
                entry["data"] = data_map(path, found.st_size)
        if stat.S_ISREG(mode) or stat.S_ISDIR(mode):
            handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
            try:
                bits = array.array("i", [0])
                fcntl.ioctl(handle, GETFLAGS, bits, True)
                entry["flags"] = bits[0] & KEPT_FLAGS
            except OSError as error:
                if error.errno not in refused:
                    raise
                entry["flags"] = None
            finally:
                os.close(handle)
        entries[relative] = entry
    for group in names.values():
        for name in group:
            entries[name]["names"] = sorted(os.fsdecode(other) for other in group)
    return entries


# Names that this file system stamps on every file by itself.
OWN_XATTRS = ("security.selinux", "btrfs.compression")


def differences(a, b, flags):
    with_holes = b"--no-holes" not in flags
    left, right = dump(a, with_holes), dump(b, with_holes)
    found = []
    for path in sorted(left.keys() | right.keys()):
        shown = os.fsdecode(path) or "."
        if path not in right or path not in left:
            found.append(f"{shown!r}: only in {os.fsdecode(a if path in left else b)}")
            continue
        one, other = left[path], right[path]
        for key in sorted(one.keys() | other.keys()):
            first, second = one.get(key), other.get(key)
            if key == "blocks":
                # Within 1%, and one block for where the file system puts its own. Less is for a reserve that xfs gives a
                # file while it is written, but no hole comes to where there was none.
                size = one["size"]
                if with_holes and (second > first * 1.01 + 8 or first * 512 >= size > second * 512):
                    found.append(f"{shown!r}: takes {second} blocks, its source {first}")
                continue
            if key == "data" or key == "xattrs" and b"--no-xattrs" in flags:
                continue
            if key == "flags" and (first is None or second is None):
                continue
            if first != second:
                found.append(f"{shown!r}: {key} {first!r} became {second!r}")
    sums = [sum(entry.get("blocks", 0) for entry in tree.values()) for tree in (left, right)]
    if with_holes and sums[1] - sums[0] > max(sums[0] * 0.01, 64):
        found.append(f"all of it takes {sums[1]} blocks, its source {sums[0]}")
    return found


def halves(source, actual):
    """Files of `actual` that are not as in `source`."""
    found = []
    for folder, _, files in os.walk(actual):
        if b"/.wormhole-copy-" in folder + b"/":
            continue
        for name in files:
            path = os.path.join(folder, name)
            if name.startswith(b".wormhole-copy-") or not stat.S_ISREG(os.lstat(path).st_mode):
                continue
            other = os.path.join(source, os.path.relpath(path, actual))
            try:
                with open(path, "rb") as one, open(other, "rb") as two:
                    same = os.fstat(one.fileno()).st_size == os.fstat(two.fileno()).st_size
                    while same and (part := one.read(1 << 20)):
                        same = part == two.read(1 << 20)
            except FileNotFoundError:
                same = False
            if not same:
                found.append(repr(os.fsdecode(path)))
    return found


def main(command, *rest):
    rest = [os.fsencode(each) for each in rest]
    if command == "everything":
        everything(rest[0])
    elif command == "random":
        for index in range(int(rest[1])):
            random_tree(os.path.join(rest[0], b"%d" % index), random.Random(int(rest[2]) + index))
    elif command == "changing":
        for index, root in enumerate(rest[1:]):
            changing(root, random.Random(int(rest[0]) + index))
    elif command == "whole":
        json.dump(halves(rest[0], rest[1]), sys.stdout)
    elif command == "compare":
        flags = [each for each in rest if each.startswith(b"--no-")]
        paths = rest[len(flags):]
        json.dump([differences(a, b, flags) for a, b in zip(paths[::2], paths[1::2])], sys.stdout)
    else:
        sys.exit(f"unknown command {command}")


main(*sys.argv[1:])
