"""replay.py TIMES SEED [WORKLOAD...] - what a power cut may leave, replayed.

Records what commands write (write_log.py) and makes of it TIMES states, no two
alike, that a disk may be in after a power cut: writes that were not synced are
lost, torn or out of order.  In each state what had been acknowledged must be
there, and the command must work again.  Prints how many states there were;
exits 1 at the first that costs something.  With DM_UNSYNCED=1 in the
environment, all was as if nothing had been synced: then something must be lost.
"""
import json
import os
import pathlib
import random
import shlex
import shutil
import signal
import sys
import tempfile

import crash_lab
import write_log


class Mounted(crash_lab.Unmount):
    """A mount, reads through it, an update of it, and its end."""
    name = 'mounted'
    script = ('datamount mount -q repo@main work/data && echo mounted && '
              'cat work/data/large work/data/d0/* >/dev/null && '
              'datamount update -q work/data v1 && echo updated && '
              'datamount umount work/data')

    def check(self, output):
        told = output.split()
        self.lab.source([1] if 'updated' in told else
                        [1, 2] if 'mounted' in told else [None, 1, 2])
        self.lab.unlock_git()
        self.lab.whole_cache(1, damage=True)
        self.lab.reads(2)

    def again(self):
        pinned = self.lab.source([None, 1, 2])
        self.lab.dm('mount', '-q', *([] if pinned else ['repo@main']),
                    'work/data')
        self.right(pinned or 2)
        self.lab.dm('umount', 'work/data')

    def done(self):
        self.lab.wait(lambda: not self.lab.processes(),
                      'a daemon that outlives its mount')


class Init(crash_lab.Workload):
    """A repository is made, and a version published in it."""
    name = 'init'
    lasts = True
    before = 'datamount init -q new/repo'

    def argv(self):
        commit = shlex.join(self.lab.commit(1)).replace('repo@', 'new/repo@')
        return ['sh', '-c', f'{self.before} && {commit}']

    def check(self, output):
        if self.lab.ids[1] in output:
            self.done()

    def again(self):
        shutil.rmtree(self.lab.t / 'new', ignore_errors=True)
        self.lab.run(self.argv())

    def done(self):
        self.lab.whole_repo({'heads/main': [1]}, 'new/repo')


class Beside(Init):
    """A version is published in directories whose names nobody synced: who
    made them was killed."""
    name = 'beside'
    before = ('mkdir -p new/repo && '
              'echo "$(cat repo/datamount)" >new/repo/datamount && '
              'sync . new new/repo new/repo/datamount && cd new/repo && '
              'mkdir -p refs/heads refs/tags && mkdir commits packs && '
              'for d in ../../repo/packs/* ../../repo/commits/*; do '
              'mkdir ${d#../../repo/}; done && cd ../..')


class Pin(crash_lab.Workload):
    """A version is pinned, in a cache that is made for it."""
    name = 'pin'
    lasts = True

    def argv(self):
        return ['datamount', 'pin', '-q', 'repo@v1', '--name', 'kept']

    def pinned(self):
        return json.loads(self.lab.dm('pin', '--list', '--json').stdout)

    def check(self, output):
        for pin in self.pinned():
            if pin['name'] != 'kept' or not pin['blobs']:
                raise crash_lab.Wrong(f'half a pin: {pin}')

    def done(self):
        if [p['name'] for p in self.pinned()] != ['kept']:
            raise crash_lab.Wrong(f'the pin is gone: {self.pinned()}')
        self.lab.reads(1)


class Unpin(Pin):
    """The same pin is removed."""
    name = 'unpin'

    def prepare(self):
        self.lab.run(super().argv())

    def argv(self):
        return ['datamount', 'unpin', '-q', 'kept']

    def again(self):
        self.lab.dm('unpin', '-q', 'kept', ok=False)

    def done(self):
        if self.pinned():
            raise crash_lab.Wrong('what was unpinned is pinned')


# The first are parts of `mounted`; the others have a test of their own.
LEFT_OUT = ('mount', 'update', 'unmount', 'pin', 'unpin')
A_LOG = 500  # states are made of the same logs


def record(work):
    """The log of a run of a workload."""
    lab = work.lab
    lab.begin()
    work.prepare()
    log = write_log.Log(lab.t, lab.top / 'stdout', lab.top / work.name)
    status = log.record(work.argv(), lab.top / 'trace', env=lab.env(),
                        cwd=lab.t, timeout=crash_lab.PATIENCE,
                        stderr=open(lab.top / 'stderr', 'w'))
    lab.wait(lambda: not lab.processes(), 'a recorder that does not end')
    if status != 0 and work.name != 'fsck':
        raise crash_lab.Wrong(f'{work.name} exits {status} while recorded')
    log.finish()
    log.deaf = bool(os.environ.get('DM_UNSYNCED'))
    (lab.top / 'trace').unlink()
    lab.end()
    return log


def chances(log, rnd):
    """Ways to cut the power, for ever: when, names, sectors, rot."""
    def any_way():
        return (rnd.randrange(1, len(log.entries) + 1),
                rnd.choice([0, 0.3, 0.7, 1, 1]),
                rnd.choice([0, 0.1, 0.5, 0.9, 1]), rnd.random() < 0.3)

    # By turns what is worst once something had been acknowledged.
    for cut in log.moments() + [len(log.entries)]:
        for way in (0, 0, False), (1, 0, True), (1, 0.5, False):
            yield cut, *way
            yield any_way()
    while True:
        yield any_way()


def states(log, rnd):
    """States that differ, and how they were made."""
    seen, dull = set(), 0
    for chance in chances(log, rnd):
        state = log.state(*chance[:1], rnd, *chance[1:])
        if (state.key, log.told(chance[0])) not in seen:
            seen.add((state.key, log.told(chance[0])))
            dull = 0
            yield chance, state
        dull += 1
        if dull > 200:
            return


def trial(work, log, cut, state):
    """The power is back."""
    lab = work.lab
    lab.begin(empty=True)
    state.write(lab.t)
    lab.killed = 2
    output, ended = log.told(cut)
    work.check(output)
    if ended and work.lasts:
        work.done()
    work.again()
    work.done()
    lab.end()


def trials(works, times, rnd):
    """By turns one of each workload's log."""
    todo, total = [], 0
    for work in works:
        log = record(work)
        print(f'{work.name}: {len(log.entries)} entries', file=sys.stderr)
        todo.append((work, log, states(log, rnd)))
    while todo and total < times:
        for turn in todo[:times - total]:
            work, log, left = turn
            chance, state = next(left, (None, None))
            if state is None:
                todo.remove(turn)
                continue
            print(work.name, *chance, file=sys.stderr, flush=True)
            trial(work, log, chance[0], state)
            total += 1
    return total


def main():
    times, seed = int(sys.argv[1]), int(sys.argv[2])
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    top = pathlib.Path(tempfile.mkdtemp(prefix='dm-replay.',
                                        dir=os.environ.get('DM_LAB')))
    lab = crash_lab.Lab(top)
    lab.power = True
    works = [w(lab) for w in (*crash_lab.WORKLOADS, Mounted, Init, Beside,
                                 Pin, Unpin)
             if w.name in sys.argv[3:]
             or (not sys.argv[3:] and w.name not in LEFT_OUT)]
    if not works:
        sys.exit(f'no such workload: {" ".join(sys.argv[3:])}')
    rnd, total = random.Random(seed), 0
    try:
        # Of a hundred states three or four damage a cache: a run that meets
        # none goes on until one has been seen to be found out.
        while total < times or (100 <= total < 10 * times
                                and not lab.damaged):
            # No two logs are alike, either.
            part = min(A_LOG, times - total) if total < times else 20
            total += trials(works, part, rnd)
        print(f'{lab.damaged} damaged caches', file=sys.stderr)
        if total >= 100 and not lab.damaged:
            raise crash_lab.Wrong('torn caches pass for sound ones')
        print(total)
    except (crash_lab.Wrong, write_log.Blind) as wrong:
        lab.explain(wrong)
        sys.exit(f'seed {seed}: {wrong!r}')
    finally:
        lab.end()
        if not os.environ.get('DM_KEEP'):
            shutil.rmtree(top)


main()
