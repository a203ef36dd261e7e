"""havoc.py FAULTS SEED SOURCE ADDRESS MOUNTS DISK LIMIT - all at once.

The working directory has the mounts data1 to dataMOUNTS of one cache,
DISK/cache.  Three threads do their worst to them, FAULTS times in all:
- workers are killed or stopped for a while; the supervisor of the last mount
  is killed, and that is mounted again;
- the disk is full or out of inodes; the index of the cache is removed,
  overwritten or locked;
- `datamount fsck` and `datamount cache clear` run.
All mounts but the last have a reader who puts a byte for each answer into the
file progressN: a worker is killed only after some.  Prints how often what was
done; exits 1 if a command or a mount fails.
"""
import collections
import filecmp
import json
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
import time

from reaper import ANSWERS, PATIENCE_S, child, wait


def datamount(*args):
    return subprocess.run(['datamount', *args], capture_output=True, text=True,
                          check=False, timeout=PATIENCE_S)


def supervisor(mount):
    status = datamount('status', mount, '--json')
    return json.loads(status.stdout)[0]['pid']


class Havoc:
    """What can be done, and what it needs to know."""

    def __init__(self, seed, source, address, mounts, disk, limit):
        self.rnd = random.Random(seed)
        self.source, self.address, self.mounts = source, address, mounts
        self.disk, self.limit = disk, limit
        self.index = f'{disk}/cache/index-v1.sqlite'
        self.pids = {n: supervisor(f'data{n}') for n in range(1, mounts + 1)}
        self.answers = {n: ANSWERS for n in range(1, mounts)}

    # Processes.

    def victim(self):
        """A worker that has given some answers since the last time."""
        n = self.rnd.randrange(1, self.mounts)
        wait(f'answers of data{n}', lambda:
             os.path.getsize(f'progress{n}') >= self.answers[n])
        wait('a worker', lambda: child(self.pids[n]))
        return n, child(self.pids[n])

    def kill_worker(self):
        n, pid = self.victim()
        os.kill(pid, signal.SIGKILL)
        wait('the next worker', lambda: child(self.pids[n]) not in (0, pid))
        self.answers[n] = os.path.getsize(f'progress{n}') + ANSWERS

    def stop_worker(self):
        _, pid = self.victim()
        os.kill(pid, signal.SIGSTOP)
        time.sleep(self.rnd.uniform(0.05, 0.5))
        try:
            os.kill(pid, signal.SIGCONT)
        except ProcessLookupError:
            pass  # its supervisor had seen enough

    def kill_supervisor(self):
        mount = f'data{self.mounts}'
        os.kill(self.pids[self.mounts], signal.SIGKILL)
        place = os.path.realpath(mount)
        wait('the end of a mount', lambda: not mounted(place))
        done = datamount('mount', '-q', '--no-source', '--cache-size',
                         self.limit, self.address, mount)
        if done.returncode != 0:
            sys.exit(f'mount: {done.stderr}')
        self.pids[self.mounts] = supervisor(mount)
        name = self.rnd.choice(os.listdir(self.source))
        top = f'{self.source}/{name}'
        wrong = filecmp.cmpfiles(top, f'{mount}/{name}', os.listdir(top),
                                 shallow=False)[1:]
        if any(wrong):
            sys.exit(f'{mount}/{name}: {wrong} are wrong, or not there')

    # The disk.

    def hold(self):
        time.sleep(self.rnd.uniform(0.05, 0.5))

    def fill_disk(self):
        path = f'{self.disk}/full'
        try:
            with open(path, 'wb', buffering=0) as f:
                while True:
                    f.write(bytes(1 << 16))
        except OSError:
            pass  # which is the aim
        self.hold()
        os.unlink(path)

    def use_inodes(self):
        top = f'{self.disk}/many'
        os.mkdir(top)
        try:
            while True:
                os.mkdir(f'{top}/{self.rnd.getrandbits(64):x}')
        except OSError:
            pass
        self.hold()
        shutil.rmtree(top)

    def lose_index(self):
        for end in '', '-journal':
            try:
                os.unlink(self.index + end)
            except FileNotFoundError:
                pass

    def spoil_index(self):
        try:
            with open(self.index, 'r+b') as f:
                f.seek(self.rnd.randrange(os.fstat(f.fileno()).st_size + 1))
                f.write(self.rnd.randbytes(self.rnd.randrange(1, 5000)))
        except OSError:
            pass  # it is not there, or the disk is full

    def lock_index(self):
        if not os.path.exists(self.index):
            return
        db = sqlite3.connect(self.index, isolation_level=None)
        try:
            db.execute('BEGIN EXCLUSIVE')
            self.hold()
        except sqlite3.Error:
            pass  # somebody else has locked or spoiled it
        finally:
            db.close()

    # Commands.

    def fsck(self):
        done = datamount('fsck', '-q')
        if done.returncode not in (0, 3):
            sys.exit(f'fsck exits {done.returncode}: {done.stderr}')

    def clear(self):
        done = datamount('cache', 'clear', '-q')
        if done.returncode != 0:
            sys.exit(f'clear exits {done.returncode}: {done.stderr}')


def mounted(place):
    with open('/proc/self/mountinfo', encoding='utf-8') as f:
        return any(line.split()[4] == place for line in f)


def main():
    times, seed, source, address, mounts, disk, limit = sys.argv[1:]
    havoc = Havoc(int(seed), source, address, int(mounts), disk, limit)
    lock, done, wrong = threading.Lock(), collections.Counter(), []
    kinds = ([havoc.kill_worker] * 6 + [havoc.stop_worker] * 2 +
             [havoc.kill_supervisor],
             [havoc.fill_disk, havoc.use_inodes, havoc.lose_index,
              havoc.spoil_index, havoc.lock_index],
             [havoc.fsck] * 3 + [havoc.clear])

    def work(kind, rnd):
        while not wrong and sum(done.values()) < int(times):
            what = rnd.choice(kind)
            try:
                what()
            except BaseException as e:  # also exits: all three end
                wrong.append(f'{what.__name__}: {e!r}')
            with lock:
                done[what.__name__] += 1
            time.sleep(rnd.uniform(0, 0.1))

    threads = [threading.Thread(target=work, args=(
        kind, random.Random(f'{seed} {i}'))) for i, kind in enumerate(kinds)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if wrong:
        sys.exit(f'seed {seed}: {wrong}')
    print(dict(done))


main()
