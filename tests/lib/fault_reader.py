"""fault_reader.py - read mounts by every route at once.

Each line on standard input is a command in JSON: ["read", FILE, SOURCE, MOUNT,
SEED, HOW] starts a process that reads MOUNT and writes to FILE, and prints its
number; ["reap", PID] waits for it, and prints its exit status.  To start from
here is many times as fast as to start Python.

HOW is "all" (each route on some file, and what is no data), "whole" (each file
from its beginning to its end), "apart" (pages of the file large) or names of
files, to be read whole.  What is read must be what
SOURCE has.  FILE gets a line of JSON when a call begins, and one when it ended:
how, file, seconds, and "" or the name of an errno or, in capital letters,
what was WRONG.  The last line is how late this process was woken at most: so
late may the others be, too.
"""
import ctypes
import errno
import json
import mmap
import os
import random
import sys
import threading
import time

XATTR = 'user.datamount.digest'
PART = 1 << 17
LIBC = ctypes.CDLL(None, use_errno=True)


def told(what, name, seconds=None, result=''):
    """Lines of several threads do not mix: each is one write."""
    line = [what, name] if seconds is None else [what, name, seconds, result]
    os.write(1, (json.dumps(line) + '\n').encode())


class Reader:
    """Each method reads size bytes at off of a file in its own way; None:
    what this route cannot read."""

    def __init__(self, source, top):
        self.source, self.top = source, top

    def want(self, name, off, size):
        with open(os.path.join(self.source, name), 'rb') as f:
            return os.pread(f.fileno(), size, off)

    @staticmethod
    def forget(fd):
        """Of what the kernel has already the daemon is not asked."""
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)

    def pread(self, fd, off, size):
        return os.pread(fd, size, off)

    def read(self, fd, off, size):
        os.lseek(fd, off, os.SEEK_SET)
        return os.read(fd, size)

    def readv(self, fd, off, size):
        parts = [bytearray(size // 2), bytearray(size - size // 2)]
        got = os.preadv(fd, parts, off)
        return b''.join(parts)[:got]

    def direct(self, fd, off, size):
        """off and size are multiples of a page."""
        again = os.open(f'/proc/self/fd/{fd}', os.O_RDONLY | os.O_DIRECT)
        try:
            buf = mmap.mmap(-1, size)
            return buf[:os.preadv(again, [buf], off)]
        finally:
            os.close(again)

    def mmap(self, fd, off, size):
        """Without SIGBUS: the kernel reads the pages, to write them."""
        size = min(size, os.fstat(fd).st_size - off)
        with mmap.mmap(fd, size, prot=mmap.PROT_READ, offset=off) as pages:
            out = os.memfd_create('mmap')
            try:
                done = 0
                while done < size:
                    done += os.write(out, memoryview(pages)[done:])
                return os.pread(out, size, 0)
            finally:
                os.close(out)

    def copied(self, copy, size):
        """What copy(to, left) brings into a file."""
        out = os.memfd_create('copy')
        try:
            done = 0
            while done < size:
                n = copy(out, size - done)
                if n == 0:
                    break
                done += n
            return os.pread(out, size, 0)
        finally:
            os.close(out)

    def sendfile(self, fd, off, size):
        os.lseek(fd, off, os.SEEK_SET)
        return self.copied(lambda to, n: os.sendfile(to, fd, None, n), size)

    def copy_range(self, fd, off, size):
        os.lseek(fd, off, os.SEEK_SET)
        try:
            return self.copied(
                lambda to, n: os.copy_file_range(fd, to, n), size)
        except OSError as e:
            if e.errno in (errno.EXDEV, errno.EINVAL):
                return None  # not between these file systems
            raise

    def splice(self, fd, off, size):
        into, out = os.pipe()
        try:
            at, got = ctypes.c_longlong(off), b''
            while len(got) < size:
                n = LIBC.splice(fd, ctypes.byref(at), out, None,
                                min(size - len(got), 1 << 16), 0)
                if n < 0:
                    raise OSError(ctypes.get_errno(), 'splice')
                if n == 0:
                    break
                got += os.read(into, n)
            return got
        finally:
            os.close(into)
            os.close(out)

    ROUTES = (pread, read, readv, direct, mmap, sendfile, copy_range, splice)

    def one(self, route, name, off, size):
        """Read so, and compare: what was WRONG, or nothing."""
        fd = os.open(os.path.join(self.top, name), os.O_RDONLY)
        try:
            self.forget(fd)
            got = route(self, fd, off, size)
        finally:
            os.close(fd)
        want = self.want(name, off, size)
        if got is None or got == want:
            return ''
        # A read may be short where an error follows.
        if got and len(got) < len(want) and want.startswith(got):
            return ''
        return f'WRONG {len(got)} bytes at {off}'

    def whole(self, name):
        fd = os.open(os.path.join(self.top, name), os.O_RDONLY)
        try:
            self.forget(fd)
            off = 0
            while got := os.pread(fd, 1 << 20, off):
                if got != self.want(name, off, len(got)):
                    return f'WRONG bytes at {off}'
                off += len(got)
        finally:
            os.close(fd)
        size = os.path.getsize(os.path.join(self.source, name))
        return '' if off == size else f'WRONG size {off}'

    # What is no data.

    def listing(self, name):
        fd = os.open(os.path.join(self.top, name), os.O_RDONLY)
        try:
            self.forget(fd)
            got = sorted(os.listdir(fd))
        finally:
            os.close(fd)
        want = sorted(os.listdir(os.path.join(self.source, name)))
        return '' if got == want else f'WRONG names {got}'

    def stat(self, name):
        got = os.lstat(os.path.join(self.top, name))
        want = os.lstat(os.path.join(self.source, name))
        same = (got.st_mode | 0o222) == (want.st_mode | 0o222) and (
            os.path.isdir(os.path.join(self.source, name))
            or got.st_size == want.st_size)
        return '' if same else f'WRONG {oct(got.st_mode)} {got.st_size}'

    def absent(self, name):
        try:
            os.lstat(os.path.join(self.top, name, f'no-{time.time_ns()}'))
        except FileNotFoundError:
            return ''
        return 'WRONG: it is there'

    def link(self, name):
        got = os.readlink(os.path.join(self.top, name))
        return '' if got == os.readlink(
            os.path.join(self.source, name)) else f'WRONG target {got}'

    def xattr(self, name):
        return '' if os.getxattr(os.path.join(self.top, name),
                                 XATTR) else 'WRONG: none'

    def statfs(self, name):
        os.statvfs(os.path.join(self.top, name))
        return ''

    def past(self, name):
        size = os.path.getsize(os.path.join(self.source, name))
        return self.one(Reader.pread, name, (size | 4095) + 1, 4096)


def calls(reader, how, rnd):
    """[(how, file, function)]"""
    files, dirs, links = [], ['.'], []
    for folder, below, names in os.walk(reader.source):
        at = os.path.relpath(folder, reader.source)
        dirs += [os.path.normpath(os.path.join(at, d)) for d in below]
        for name in names:
            path = os.path.normpath(os.path.join(at, name))
            is_link = os.path.islink(os.path.join(reader.source, path))
            (links if is_link else files).append(path)
    files.sort()
    if how == 'whole':
        return [('whole', n, reader.whole) for n in files] + [
            ('listing', n, reader.listing) for n in dirs]
    if how == 'apart':
        # Of one page each, so that none waits for another's.
        return [('direct', 'large', lambda n, o=off: reader.one(
            Reader.direct, n, o, 4096)) for off in range(0, 2500000, 60000)]
    if how == 'cached':
        # Through the page cache, at places of their own.
        return [(route.__name__, 'large', lambda n, r=route, o=off: reader.one(
            r, n, o, PART)) for route, off in zip(
                (Reader.read, Reader.mmap, Reader.sendfile, Reader.splice),
                range(0, 2400000, 598016))]
    if how != 'all':
        return [('whole', n, reader.whole) for n in how.split(',')]
    large = max(files, key=lambda n: os.path.getsize(
        os.path.join(reader.source, n)))
    todo = []
    for route in Reader.ROUTES:
        for name in rnd.choice(files), large:
            size = os.path.getsize(os.path.join(reader.source, name))
            off = rnd.randrange(size) & ~4095 if size else 0
            if size:
                todo.append((route.__name__, name,
                             lambda n, r=route, o=off: reader.one(
                                 r, n, o, PART)))
    for name, group in ((reader.listing, dirs), (reader.absent, dirs),
                        (reader.stat, files), (reader.xattr, files),
                        (reader.link, links), (reader.past, files),
                        (reader.statfs, dirs)):
        todo.append((name.__name__, rnd.choice(group), name))
    return todo


def run(what, name, function):
    told(what, name)
    begin = time.monotonic()
    try:
        result = function(name)
    except OSError as e:
        result = errno.errorcode.get(e.errno, str(e.errno))
    except Exception as e:  # pylint: disable=broad-except
        result = f'WRONG: {e!r}'
    told(what, name, round(time.monotonic() - begin, 3), result)


def read(source, top, seed, how):
    todo = calls(Reader(source, top), how, random.Random(seed))
    threads = [threading.Thread(target=run, args=one) for one in todo]
    for thread in threads:
        thread.start()
    late = 0.0
    while any(t.is_alive() for t in threads):
        begin = time.monotonic()
        time.sleep(0.005)
        late = max(late, time.monotonic() - begin - 0.005)
    os.write(1, (json.dumps(late) + '\n').encode())


def start(out, *args):
    """In a process of its own, which ends here."""
    pid = os.fork()
    if pid != 0:
        return pid
    status = 1
    try:
        fd = os.open(out, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        os.dup2(fd, 1)
        os.dup2(fd, 2)
        os.dup2(os.open('/dev/null', os.O_RDONLY), 0)
        read(*args)
        status = 0
    except Exception as e:  # pylint: disable=broad-except
        os.write(2, f'{e!r}\n'.encode())
    finally:
        os._exit(status)


def main():
    for line in sys.stdin:
        command, *args = json.loads(line)
        if command == 'read':
            print(start(*args), flush=True)
        else:
            print(os.waitstatus_to_exitcode(os.waitpid(args[0], 0)[1]),
                  flush=True)


main()
