"""faults.py BUILD HOW SEED [CASE...] - the fault matrix.

HOW is "all", every combination of case, origin and warmth, or "once", each
case with one of its combinations, which one follows from SEED.  Several
trials run at a time; one that was only late runs again, alone.  Prints how
many trials there were, and on standard error what went wrong with which; then
it exits 1.
"""
import concurrent.futures
import os
import pathlib
import random
import shutil
import signal
import sys
import tempfile
import time
import traceback

import fault_cases
import fault_trial

AT_ONCE = 6


def trials(how, seed, names):
    """[(case, origin, warmth)]"""
    rnd = random.Random(seed)
    found = []
    for case in fault_cases.CASES:
        if names and not any(n in case.name for n in names):
            continue
        combinations = [(case, o, w) for o in case.origins
                        for w in case.warmths]
        found += combinations if how == 'all' else [rnd.choice(combinations)]
    # The slow ones of a group do not all come last.
    rnd.shuffle(found)
    return found


def attempt(bench, seed, which):
    """Run one: None, or what went wrong."""
    trial = fault_trial.Trial(bench, *which, seed)
    begin = time.monotonic()
    wrong = None
    try:
        trial.run()
    except (fault_trial.Skip, fault_trial.Wrong) as error:
        wrong = error
    except Exception as error:  # pylint: disable=broad-except
        wrong = error
        wrong.words = traceback.format_exc()
    took = time.monotonic() - begin
    sys.stderr.write(
        f'{took:6.2f} s  {trial.name} (healed in {trial.healing:.1f} s, '
        f'{trial.requests} of {trial.most} requests){": " if wrong else ""}{wrong or ""}\n')
    return wrong


def run_all(bench, seed, todo):
    """Returns how many ran, and [(which, error)]."""
    ran, late, wrong = 0, [], []
    with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
        jobs = {pool.submit(attempt, bench, seed, w): w for w in todo}
        for job in concurrent.futures.as_completed(jobs):
            error = job.result()
            ran += not isinstance(error, fault_trial.Skip)
            if isinstance(error, fault_trial.Late):
                late.append(jobs[job])
            elif error and not isinstance(error, fault_trial.Skip):
                wrong.append((jobs[job], error))
    for which in late:
        error = attempt(bench, seed, which)
        if error:
            wrong.append((which, error))
    return ran, wrong


def main():
    build, how, seed = sys.argv[1], sys.argv[2], int(sys.argv[3])
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    top = tempfile.mkdtemp(prefix='dm-faults.', dir=os.environ.get('DM_LAB'))
    top = os.path.realpath(top)
    os.chmod(top, 0o755)
    bench = None
    try:
        bench = fault_trial.Bench(top, pathlib.Path(build).resolve())
        bench.quiet = fault_cases.Case('no fault')
        ran, wrong = run_all(bench, seed, trials(how, seed, sys.argv[4:]))
        for (case, origin, warmth), error in wrong:
            print(f'\nFAILED (seed {seed}): {case.name}/{origin}/{warmth}: '
                  f'{error}\n{getattr(error, "words", "")}', file=sys.stderr)
        print(ran)
    finally:
        if bench:
            bench.starter.stop()
        shutil.rmtree(top, ignore_errors=True)
    sys.exit(1 if wrong else 0)


main()
