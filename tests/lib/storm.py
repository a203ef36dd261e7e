"""storm.py SOURCE MOUNT STOP SEED PROGRESS - every operation, past the caches.

Until the file STOP is there, does at random what a mount is asked for: looks up
names that are there and names that are not, lists directories, reads, asks for
attributes and for a link's target; none of which the kernel knows the answer
of.  Each must be what SOURCE has there.  The first error or wrong byte ends it
with status 1.  Each answer is a byte more in PROGRESS.  Prints how many there
were, and how long the slowest took, in milliseconds.
"""
import mmap
import os
import random
import sys
import time

PART = 1 << 18
XATTR = 'user.datamount.digest'


class Storm:
    def __init__(self, source, mount, seed):
        self.source, self.mount = source, mount
        self.rnd = random.Random(seed)
        self.buf = mmap.mmap(-1, PART)
        self.digest = {}
        self.dirs, self.files, self.links = [], [], []
        for folder, dirs, names in os.walk(source):
            below = os.path.relpath(folder, source)
            self.dirs.append(below)
            for name in dirs + names:
                path = os.path.join(below, name)
                if os.path.islink(os.path.join(source, path)):
                    self.links.append(path)
                elif name in names:
                    self.files.append(path)

    def read(self):
        name = self.rnd.choice(self.files)
        off = self.rnd.randrange(
            os.path.getsize(os.path.join(self.source, name)) + 1) & ~4095
        fd = os.open(os.path.join(self.mount, name), os.O_RDONLY | os.O_DIRECT)
        got = os.preadv(fd, [self.buf], off)
        os.close(fd)
        with open(os.path.join(self.source, name), 'rb') as f:
            want = os.pread(f.fileno(), PART, off)
        assert self.buf[:got] == want, f'{name} at {off}: {got} wrong bytes'

    def absent(self):
        name = f'no-{self.rnd.getrandbits(64):x}'
        path = os.path.join(self.mount, self.rnd.choice(self.dirs), name)
        assert not os.path.lexists(path), path

    def list(self):
        name = self.rnd.choice(self.dirs)
        fd = os.open(os.path.join(self.mount, name), os.O_RDONLY)
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
        got = sorted(os.listdir(fd))
        os.close(fd)
        assert got == sorted(os.listdir(os.path.join(self.source, name))), name

    def xattr(self):
        name = self.rnd.choice(self.files)
        got = os.getxattr(os.path.join(self.mount, name), XATTR)
        assert self.digest.setdefault(name, got) == got, name

    def stat(self):
        name = self.rnd.choice(self.files)
        got = os.stat(os.path.join(self.mount, name))
        assert got.st_size == os.path.getsize(
            os.path.join(self.source, name)), name

    def link(self):
        if self.links:
            name = self.rnd.choice(self.links)
            assert os.readlink(os.path.join(self.mount, name)) == os.readlink(
                os.path.join(self.source, name)), name


def main():
    source, mount, stop, seed, progress = sys.argv[1:]
    storm = Storm(source, mount, int(seed))
    does = [storm.read] * 4 + [storm.absent, storm.list, storm.xattr] * 2 + [
        storm.stat, storm.link]
    n, slowest = 0, 0.0
    with open(progress, 'ab', buffering=0) as told:
        while not os.path.exists(stop):
            what = storm.rnd.choice(does)
            begin = time.monotonic()
            try:
                what()
            except (OSError, AssertionError) as e:
                sys.exit(f'{what.__name__} (seed {seed}, {n}): {e!r}')
            slowest = max(slowest, time.monotonic() - begin)
            told.write(b'.')
            n += 1
            time.sleep(0.002)
    print(n, int(slowest * 1000))


main()
