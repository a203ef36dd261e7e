#!/usr/bin/env python3
"""vandal.py CACHE SECONDS|STOP LIMIT [calm]: remove, cut and overwrite files of
a cache under its users (calm: only look), so long or until the file STOP is
there, and print the most disk space that they took; exits 1 if that was more
than 1.1 x LIMIT."""
import os
import random
import sys
import time

top, until, limit = sys.argv[1], sys.argv[2], int(sys.argv[3])
calm = sys.argv[4:] == ["calm"]
seed = int(time.time())
rng = random.Random(seed)


def files():
    for where, _, names in os.walk(top):
        for name in names:
            path = os.path.join(where, name)
            try:
                st = os.lstat(path)
            except FileNotFoundError:
                continue
            yield path, st.st_size, st.st_blocks * 512


def harm(path, size):
    what = rng.randrange(4)
    try:
        if what == 0:
            os.unlink(path)
            return
        with open(path, "r+b") as f:
            if what == 1:
                f.truncate(rng.randrange(size + 1))
            elif what == 2:
                # within a page that is there: damage, not growth
                f.seek(rng.randrange(size + 1))
                data = f.read(100)
                f.seek(-len(data), 1)
                f.write(bytes(b ^ 0x55 for b in data))
            else:
                f.truncate(size // 2)
                f.truncate(size)
    except OSError:
        pass  # it is gone, or the disk is full


most = loose = 0
timed = until.replace(".", "", 1).isdigit()
end = time.monotonic() + float(until) if timed else None
while time.monotonic() < end if timed else not os.path.exists(until):
    # A walk may count what was removed behind it and what came before it: so
    # the least of a few is what was there at once.
    walks = [list(files()) for _ in range(4)]
    found = walks[-1]
    used = [sum(blocks for _, _, blocks in walk) for walk in walks]
    most = max(most, min(used))
    loose = max(loose, max(used))
    if found and not calm:
        harm(*rng.choice(found)[:2])
    time.sleep(0.05)
print(f"seed {seed}: at most {most} ({loose}) of {limit} bytes")
sys.exit(most > limit * 1.1)
