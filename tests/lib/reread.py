"""reread.py SOURCE MOUNT STOP SEED - read and compare, past the page cache.

Until the file STOP is there, reads random parts of the files of MOUNT, each of
which must be what SOURCE has there.  The first error or wrong byte ends it with status 1.  Prints how
many reads there were, and how long the slowest took, in milliseconds.
"""
import mmap
import os
import random
import sys
import time

PART = 1 << 20


def contents(top):
    for folder, _, names in os.walk(top):
        for name in names:
            path = os.path.join(folder, name)
            if not os.path.islink(path) and os.path.getsize(path) > 0:
                with open(path, 'rb') as f:
                    yield os.path.relpath(path, top), f.read()


def main():
    source, mount, stop, seed = sys.argv[1:]
    rnd = random.Random(int(seed))
    files = list(contents(source))
    buf = mmap.mmap(-1, PART)
    n, slowest = 0, 0.0
    while not os.path.exists(stop):
        name, want = rnd.choice(files)
        off = rnd.randrange(len(want)) & ~4095
        begin = time.monotonic()
        fd = os.open(os.path.join(mount, name), os.O_RDONLY | os.O_DIRECT)
        got = os.preadv(fd, [buf], off)
        os.close(fd)
        if n % 50 == 0:
            assert name in (os.path.join(d, x)[len(mount) + 1:]
                            for d, _, fs in os.walk(mount) for x in fs)
        slowest = max(slowest, time.monotonic() - begin)
        if buf[:got] != want[off:off + PART]:
            sys.exit(f'{name} at {off}: {got} wrong bytes (seed {seed})')
        n += 1
    print(n, int(slowest * 1000))


main()
