"""kills.py calls|random TIMES SEED [WORKLOAD...] - kill commands anywhere.

calls: SIGKILL as one system call that changes something begins, by strace, at
TIMES of all these boundaries of all workloads (0: each of them); the recovery
from every second one is killed, too.  random: at random moments.  Prints how
many kills there were; exits 1 at the first that costs something.
"""
import itertools
import os
import pathlib
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

import crash_lab

CHANGING = (
    'write pwrite64 writev pwritev pwritev2 openat rename renameat renameat2 '
    'link linkat unlink unlinkat rmdir fsync fdatasync sync_file_range '
    'ftruncate truncate fallocate mkdir mkdirat utimensat fchmod fchmodat '
    'chmod symlink symlinkat copy_file_range sendfile mount umount2 '
    'flock').split()
CALL = re.compile(r'^(\d+) +(?:\[[^]]*\] )?(\w+)\((.*)')
ENOUGH = 20  # deaths of what one tracer traces
SERIAL = itertools.count()
NO_FILE = re.compile(r'\d+<(anon_inode|socket|pipe|TCP|UNIX)')


def boundaries(work):
    """Count the calls of a run: [(call, how-manieth of its thread)]."""
    lab = work.lab
    lab.begin()
    work.prepare()
    trace = lab.top / 'trace'
    subprocess.run(
        ['strace', '-D', '-f', '-q', '-y', '-o', trace,
         '-e', 'trace=' + ','.join(CHANGING), *work.argv()],
        env=lab.env(), cwd=lab.t, check=False, timeout=crash_lab.PATIENCE,
        stdout=subprocess.DEVNULL, stderr=open(lab.top / 'stderr', 'w'))
    lab.end()
    seen, found = {}, set()
    for line in trace.read_text(errors='replace').splitlines():
        match = CALL.match(line)
        if not match:
            continue
        thread, call, rest = match.groups()
        n = seen[thread, call] = seen.get((thread, call), 0) + 1
        if call == 'openat' and 'O_CREAT' not in rest and \
           'O_TRUNC' not in rest:
            continue
        if not NO_FILE.match(rest):
            found.add((call, n))
    return sorted(found)


def killed_in(trace):
    """How many processes a trace says were killed."""
    try:
        text = trace.read_text(errors='replace')
    except FileNotFoundError:
        return 0  # the trial is over
    return text.count('killed by SIGKILL')


def killed_at(work, call, n):
    """Run under strace: was something killed?  And what was printed."""
    lab = work.lab
    trace = lab.top / f'trace{next(SERIAL)}'
    with open(lab.top / 'stdout', 'w+', encoding='utf-8') as out:
        try:
            subprocess.run(
                ['strace', *(['-D'] if work.daemon else []), '-f', '-q', '-I2',
                 '-o', trace, '-e', 'trace=' + call,
                 '-e', f'inject={call}:signal=KILL:when={n}', *work.argv()],
                env=lab.env(), cwd=lab.t, check=False, stdout=out,
                stderr=open(lab.top / 'stderr', 'w'),
                timeout=crash_lab.PATIENCE)
        except subprocess.TimeoutExpired as late:
            raise crash_lab.Wrong('hangs when killed') from late
        out.seek(0)
        text = out.read()
    # Where daemons stay, so does their tracer, which is no child of ours.
    killed = killed_in(trace)
    lab.killed += killed
    if work.daemon:
        threading.Thread(target=spare, args=(lab, trace), daemon=True).start()
    return killed > 0, text


def spare(lab, trace):
    """A worker that is killed whenever it writes for the first time may never
    get on: after some deaths let the next ones be."""
    def tracers():
        for pid in lab.processes():
            try:
                argv = pathlib.Path(f'/proc/{pid}/cmdline').read_bytes()
            except OSError:
                continue  # it has ended
            if bytes(trace) in argv.split(b'\0'):
                yield pid

    while pids := list(tracers()):
        if killed_in(trace) > ENOUGH:
            for pid in pids:
                try:
                    os.kill(pid, signal.SIGTERM)  # it lets go of all
                except ProcessLookupError:
                    pass
        time.sleep(0.1)


def killed_after(work, seconds, rnd):
    """Run, and kill one of its processes after so long: was there one?"""
    lab = work.lab
    with open(lab.top / 'stdout', 'w+', encoding='utf-8') as out:
        with subprocess.Popen(
                work.argv(), env=lab.env(), cwd=lab.t, stdout=out,
                stderr=open(lab.top / 'stderr', 'w')) as child:
            time.sleep(seconds)
            victims = [child.pid] if child.poll() is None else []
            if work.daemon:
                victims = lab.processes()
            try:
                if victims:
                    os.kill(rnd.choice(victims), signal.SIGKILL)
            except ProcessLookupError:
                victims = []  # it has ended meanwhile
            lab.killed += bool(victims)
            child.wait(crash_lab.PATIENCE)
        out.seek(0)
        return bool(victims), out.read()


def recovers(work, output):
    """Check, finish, check."""
    work.check(output)
    work.again()
    work.done()


def trial(work, kill, again=None):
    """One trial: how many kills?"""
    lab = work.lab
    lab.begin()
    work.prepare()
    hit, output = kill()
    kills = int(hit)
    if hit:
        work.check(output)
        if again:
            hit, output = again()
            kills += int(hit)
        recovers(work, output)
    lab.end()
    for trace in lab.top.glob('trace*'):
        trace.unlink()
    return kills


def calls(works, times, rnd):
    """Kill at boundaries that are spread over all workloads."""
    points = {w: boundaries(w) for w in works}
    for work in works:
        print(f'{work.name}: {len(points[work])} boundaries', file=sys.stderr)
        rnd.shuffle(points[work])
    # In turn one of each workload, so that the short ones are not left out.
    order = [(w, p) for i in range(max(map(len, points.values())))
             for w, ps in points.items() for p in ps[i:i + 1]]
    total = 0
    for i, (work, (call, n)) in enumerate(order):
        if times and total >= times:
            break
        print(f'{work.name} {call} {n}', end=' ', file=sys.stderr, flush=True)
        again = None
        if i % 2 == 0:
            again = lambda w=work, p=rnd.choice(points[work]): \
                killed_at(w, *p)
        kills = trial(work, lambda w=work: killed_at(w, call, n), again)
        print(kills, file=sys.stderr, flush=True)
        total += kills
    return total


def moments(works, times, rnd):
    """Kill at random moments."""
    longest, total = {}, 0
    for work in works:
        work.lab.begin()
        work.prepare()
        start = time.monotonic()
        work.lab.run(work.argv(), ok=False)
        longest[work] = time.monotonic() - start
        work.lab.end()
    for i in range(20 * times):
        if total >= times:
            break
        work = works[i % len(works)]
        seconds = rnd.uniform(0, longest[work])
        print(f'{work.name} {seconds:.4f}', end=' ', file=sys.stderr,
              flush=True)
        kills = trial(work, lambda: killed_after(work, seconds, rnd))
        print(kills, file=sys.stderr, flush=True)
        total += kills
    return total


def main():
    how, times, seed = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    top = tempfile.mkdtemp(prefix='dm-kills.', dir=os.environ.get('DM_LAB'))
    lab = crash_lab.Lab(top)
    works = [w(lab) for w in crash_lab.WORKLOADS
             if w.name in sys.argv[4:] or not sys.argv[4:]]
    try:
        print({'calls': calls, 'random': moments}[how](
            works, times, random.Random(seed)))
    except crash_lab.Wrong as wrong:
        lab.explain(wrong)
        sys.exit(f'seed {seed}: {wrong}')
    finally:
        lab.end()
        shutil.rmtree(top)


main()
