"""reaper.py SUPERVISOR KILLS SEED PROGRESS CACHE - SIGKILL worker after worker.

Every other one is killed at a random moment of its own start; the one in
between once the readers have got some answers from it, which is when the file
PROGRESS has grown.  With each, a blob is taken from the cache, so that there
are always reads that miss.
"""
import glob
import os
import random
import signal
import sys
import time

ANSWERS = 32
PATIENCE_S = 120


def child(pid):
    with open(f'/proc/{pid}/task/{pid}/children', encoding='ascii') as f:
        return int((f.read().split() or ['0'])[0])


def wait(what, until):
    end = time.monotonic() + PATIENCE_S
    while not until():
        if time.monotonic() > end:
            sys.exit(f'{what}: not within {PATIENCE_S} s')
        time.sleep(0.001)


def steal(cache, rnd):
    blobs = sorted(glob.glob(f'{cache}/blobs/*/*'))
    if blobs:
        try:
            os.unlink(rnd.choice(blobs))
        except FileNotFoundError:
            pass


def main():
    supervisor, kills, seed = (int(a) for a in sys.argv[1:4])
    progress, cache = sys.argv[4:]
    rnd = random.Random(seed)
    for i in range(kills):
        wait('a new worker', lambda: child(supervisor))
        worker = child(supervisor)
        if i % 2:
            time.sleep(rnd.uniform(0, 0.05))
        else:
            enough = os.path.getsize(progress) + ANSWERS
            wait('answers', lambda: os.path.getsize(progress) >= enough)
            steal(cache, rnd)
            time.sleep(rnd.uniform(0, 0.01))
        os.kill(worker, signal.SIGKILL)
        wait('its end', lambda: child(supervisor) != worker)


if __name__ == '__main__':
    main()
