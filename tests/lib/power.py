"""power.py TIMES SEED - cut the power of a file system under datamount.

An ext4 file system on a loop device is shut down at random moments as if the
machine had lost its power (FS_IOC_SHUTDOWN: what was not synced is lost), by
turns while versions are published in it and while a cache and a mount's pin
are written there.  Then it is mounted again and looked at: what a command had
acknowledged is there.  Prints how many cuts there were; exits 1 at the first
that costs something, and 4 if there is no such file system to be had.
"""
import errno
import fcntl
import os
import pathlib
import random
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time

import crash_lab

SHUTDOWN, NO_LOG_FLUSH = 0x8004587d, struct.pack('I', 2)


class NoDisk(Exception):
    """What is needed for this is missing here."""


class Disk:
    """An ext4 file system whose power can be cut."""

    def __init__(self, top):
        self.place, self.device, self.said = top / 't', None, ''
        image = top / 'image'
        with open(image, 'wb') as f:
            f.truncate(64 << 20)
        self.place.mkdir()
        self.do('mkfs.ext4', '-q', '-F', image)
        self.device = self.do('losetup', '--find', '--show', image).strip()
        self.mount()

    @staticmethod
    def do(*argv):
        try:
            done = subprocess.run(argv, check=True, text=True,
                                  capture_output=True)
        except FileNotFoundError as error:
            raise NoDisk(f'no program {argv[0]}') from error
        except subprocess.CalledProcessError as error:
            raise NoDisk(f'{argv}: {error.stderr.strip()}') from error
        return done.stdout

    def mount(self):
        self.do('mount', '-t', 'ext4', self.device, self.place)

    def sync(self):
        self.do('sync', '-f', self.place)

    def cut(self):
        fd = os.open(self.place, os.O_RDONLY)
        try:
            fcntl.ioctl(fd, SHUTDOWN, NO_LOG_FLUSH)
        finally:
            os.close(fd)

    def restart(self, lab):
        """Nothing that ran survives; then the power is back."""
        def unmounted():
            done = subprocess.run(['umount', self.place], check=False,
                                  text=True, capture_output=True)
            self.said = done.stderr.strip()
            return done.returncode == 0
        lab.stop()
        # A process that is ending has files open when it cannot be found by
        # its environment any more.
        lab.wait(unmounted, lambda: self.said)
        lab.wait(self.is_free, lambda: f'{self.device} is still in use')
        self.mount()

    def is_free(self):
        """Not so while a mount namespace that was made meanwhile, by whatever
        else runs here, has it mounted: to mount it again would then show what
        was shut down."""
        try:
            os.close(os.open(self.device, os.O_RDONLY | os.O_EXCL))
        except OSError as error:
            if error.errno != errno.EBUSY:
                raise
            return False
        return True

    def free(self):
        subprocess.run(['umount', '-l', self.place], check=False,
                       stderr=subprocess.DEVNULL)
        if self.device:
            subprocess.run(['losetup', '-d', self.device], check=False)


def new_or(told, old, new):
    """What a ref may be: new if that was acknowledged."""
    return [new] if told else [old, new]


class Steps:
    """Commands in a row, and what must hold after a cut among them."""

    def __init__(self, lab):
        self.lab = lab


class Publishing(Steps):
    """Versions and names come, travel and are freed."""
    name = 'publish'

    def steps(self):
        return [self.lab.commit(3),
                ['datamount', 'tag', '-q', 'repo@main', 'v3'],
                ['datamount', 'push', '-q', 'repo', 'copy', 'main'],
                ['datamount', 'branch', '-q', '-f', 'repo@main', 'other'],
                ['datamount', 'gc', '-q', 'repo', '--grace', '0'],
                ['datamount', 'gc', '-q', 'repo', '--grace', '0', '--repack']]

    def check(self, done):
        refs = {'heads/main': new_or(done > 0, 2, 3),
                'tags/v3': new_or(done > 1, None, 3),
                'heads/other': new_or(done > 3, 1, 3), 'tags/v1': [1]}
        self.lab.whole_repo(refs)
        self.lab.whole_repo({'heads/main': new_or(done > 2, 1, 3)},
                            'copy')

    def again(self):
        for step in self.steps():
            made = step[1] == 'tag' and self.lab.ref('tags/v3')
            if not made:
                self.lab.run(step)
        self.check(len(self.steps()))


class Reading(Steps):
    """A cache fills, a directory is exported, a pin is written."""
    name = 'read'

    def steps(self):
        return [['datamount', 'mount', '-q', 'repo@main', 'work/data'],
                ['datamount', 'export', '-q', 'repo@main', 'out'],
                ['datamount', 'update', '-q', 'work/data', 'v1'],
                ['datamount', 'export', '-q', 'repo@v1', 'out1']]

    def check(self, done):
        self.lab.source([1] if done > 2 else [1, 2] if done else [None, 1, 2])
        self.lab.whole_cache(2, damage=True)
        self.lab.reads(1)
        (self.lab.t / 'work' / '.git' / 'index.lock').unlink(missing_ok=True)

    def again(self):
        for version, out in (2, 'out'), (1, 'out1'):
            self.lab.dm('export', '-q', '-f', f'repo@{self.lab.ids[version]}',
                        out)
            self.lab.same(self.lab.t / out, version)
        data = self.lab.t / 'work' / 'data'
        pinned = self.lab.source([None, 1, 2])
        self.lab.dm('mount', '-q', *([] if pinned else ['repo@main']),
                    'work/data')
        self.lab.same(data, pinned or 2)
        self.lab.dm('umount', 'work/data')


def run_until(lab, steps, end):
    """Run the steps till then: how many were done?"""
    for done, step in enumerate(steps):
        with open(lab.top / 'stderr', 'w') as err, subprocess.Popen(
                step, env=lab.env(), cwd=lab.t, stderr=err,
                stdout=subprocess.DEVNULL) as child:
            try:
                left = max(end - time.monotonic(), 0)
                if child.wait(left) != 0:
                    raise crash_lab.Wrong(f'{step} exits {child.returncode}')
            except subprocess.TimeoutExpired:
                # It goes on while the power is cut, and is killed then.
                yield done
                child.kill()
                return
    yield len(steps)


def cut_in(work, disk, rnd, longest):
    """One cut, at a random moment of so many seconds."""
    lab = work.lab
    lab.begin()
    disk.sync()
    end = time.monotonic() + rnd.uniform(0, longest)
    for done in run_until(lab, work.steps(), end):
        print(f'{work.name} step {done}', file=sys.stderr, flush=True)
        disk.cut()
    disk.restart(lab)
    work.check(done)
    work.again()
    lab.end()


def cuts(lab, disk, times, rnd):
    """By turns one while publishing, one while reading."""
    works = [(w, length(w, disk)) for w in (Publishing(lab), Reading(lab))]
    for i in range(times):
        work, longest = works[i % len(works)]
        cut_in(work, disk, rnd, longest)
    return times


def length(work, disk):
    """How long do the steps take?"""
    work.lab.begin()
    disk.sync()
    start = time.monotonic()
    for step in work.steps():
        work.lab.run(step)
    took = time.monotonic() - start
    work.lab.end()
    return took


def main():
    times, seed = int(sys.argv[1]), int(sys.argv[2])
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    top = pathlib.Path(tempfile.mkdtemp(prefix='dm-power.',
                                        dir=os.environ.get('DM_LAB')))
    disk = lab = None
    try:
        disk = Disk(top)
        lab = crash_lab.Lab(top, disk.place)
        print(cuts(lab, disk, times, random.Random(seed)))
    except NoDisk as error:
        print(error, file=sys.stderr)
        sys.exit(1 if lab else 4)  # it was there, or is not to be had
    except crash_lab.Wrong as wrong:
        lab.explain(wrong)
        sys.exit(f'seed {seed}: {wrong}')
    finally:
        if lab:
            lab.stop()
        if disk:
            disk.free()
        shutil.rmtree(top)


main()
