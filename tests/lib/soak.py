"""soak.py SOURCE MOUNT SUPERVISOR SECONDS WINDOW - a mount over hours.

Readers that check every byte (storm.py) go on past the page cache while the
cache is emptied, readers are killed and status is asked for, window after
window.  In each, reads of what the cache has are timed.  The samples of memory,
descriptors and threads of supervisor and worker, and the 99.9th percentile of
those reads, are printed as JSON, a line a window; the last line judges:

  growth_kib    of both processes, second half of the run to the end, by a
                line through the samples
  fds, threads  at rest at the end, less those after the first window; SPARE
                descriptors may be of parts of the cache that are in use now
  slower        the slowest of the later windows by the median of the first

Status 1: wrong bytes, an error, a worker that died.
"""
import json
import mmap
import os
import random
import signal
import statistics
import subprocess
import sys
import time

PART = 128 << 10
STORMS = 3
SPARE = 4
HERE = os.path.dirname(os.path.abspath(__file__))


def status(mount):
    text = subprocess.run(['datamount', 'status', mount, '--json'],
                          check=True, stdout=subprocess.PIPE).stdout
    return json.loads(text)[0]


class Process:
    """One of those that are watched."""

    def __init__(self, pid):
        self.proc = f'/proc/{pid}'
        self.before = None

    def kib(self):
        with open(self.proc + '/status') as f:
            for line in f:
                if line.startswith('VmRSS:'):
                    return int(line.split()[1])
        return 0

    def counts(self):
        """Descriptors, but for connections, that come and go; threads."""
        fds = 0
        for fd in os.listdir(self.proc + '/fd'):
            try:
                fds += not os.readlink(f'{self.proc}/fd/{fd}').startswith(
                    'socket:')
            except FileNotFoundError:
                pass
        return fds, len(os.listdir(self.proc + '/task'))


class Warm:
    """Reads of a file that the cache has, timed."""

    def __init__(self, source, mount):
        name = max(os.listdir(source), key=lambda n: os.path.getsize(
            os.path.join(source, n)))
        with open(os.path.join(source, name), 'rb') as f:
            self.want = f.read()
        self.path = os.path.join(mount, name)
        self.buf = mmap.mmap(-1, PART)
        self.rnd = random.Random(7)

    def read(self, off):
        fd = os.open(self.path, os.O_RDONLY | os.O_DIRECT)
        begin = time.monotonic()
        n = os.preadv(fd, [self.buf], off)
        took = time.monotonic() - begin
        os.close(fd)
        if self.buf[:n] != self.want[off:off + PART]:
            sys.exit(f'{self.path} at {off}: wrong bytes')
        return took

    def window(self, until):
        for off in range(0, len(self.want), PART):
            self.read(off)
        took = []
        while not took or time.monotonic() < until:
            took.append(self.read(
                self.rnd.randrange(len(self.want)) & ~4095))
            time.sleep(0.001)
        took.sort()
        return len(took), took[-1 - len(took) // 1000] * 1000


def storm(source, mount, stop, seed):
    """A storm of readers; what it says comes out of its pipe at its end."""
    return subprocess.Popen(
        [sys.executable, os.path.join(HERE, 'storm.py'), source, mount, stop,
         str(seed), stop + '.told'], stdout=subprocess.PIPE)


def disturb(source, mount, stop):
    """Empty the cache, and kill a reader in the middle of what it does."""
    subprocess.run(['datamount', 'cache', 'clear'], check=True,
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    victim = storm(source, mount, stop, 99)
    time.sleep(0.3)
    victim.send_signal(signal.SIGKILL)
    victim.communicate()


def slope(samples):
    """KiB that a line through the second half grows by."""
    late = samples[len(samples) // 2:]
    if len(late) < 3:
        return 0
    line = statistics.linear_regression(range(len(late)), late)
    return int(line.slope * (len(late) - 1))


def at_rest(watched):
    """The counts, once they are what they were; or after a while."""
    for _ in range(300):
        over = [[now - was for now, was in zip(p.counts(), p.before)]
                for p in watched]
        if all(f <= SPARE and t <= 0 for f, t in over):
            break
        time.sleep(0.1)
    return (max(f - SPARE for f, _ in over), max(t for _, t in over))


def main():
    source, mount = sys.argv[1:3]
    seconds, window = float(sys.argv[4]), float(sys.argv[5])
    is_now = status(mount)
    watched = [Process(sys.argv[3]), Process(is_now['worker'])]
    warm = Warm(source, mount)
    stop = os.path.join(os.getcwd(), 'soak.stop')
    storms = [storm(source, mount, stop, seed) for seed in range(STORMS)]
    end, rss, slow, reads = time.monotonic() + seconds, [], [], 0
    while time.monotonic() < end:
        disturb(source, mount, stop)
        n, p999 = warm.window(time.monotonic() + window)
        reads += n
        slow.append(p999)
        for p in watched:
            p.before = p.before or p.counts()
        rss.append(sum(p.kib() for p in watched))
        print(json.dumps({'rss_kib': rss[-1], 'reads': n,
                          'p999_ms': round(p999, 2),
                          'counts': [p.counts() for p in watched]}),
              flush=True)
        if any(s.poll() is not None for s in storms):
            break
    with open(stop, 'w'):
        pass
    for s in storms:
        said = s.communicate()[0].split()
        if s.returncode != 0:
            sys.exit('a reader saw an error or wrong bytes')
        reads += int(said[0])
    fds, threads = at_rest(watched)
    now = status(mount)
    if now['worker'] != is_now['worker']:
        sys.exit('the worker died')
    third = max(1, len(slow) // 3)
    print(json.dumps({
        'seconds': int(seconds), 'reads': reads, 'growth_kib': slope(rss),
        'rss_kib': rss[-1], 'fds': fds, 'threads': threads,
        'p999_ms': round(statistics.median(slow), 2),
        'slower': round(max(slow[third:] or slow) /
                        statistics.median(slow[:third]), 2)}))


main()
