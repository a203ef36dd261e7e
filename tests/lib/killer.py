"""killer.py SUPERVISOR KILLS SIGNAL SEED - end worker after worker.

Sends SIGNAL to the one child of the process SUPERVISOR, at a random moment
after it appeared, and waits for the next, KILLS times.
"""
import os
import random
import signal
import sys
import time


def child(pid):
    with open(f'/proc/{pid}/task/{pid}/children', encoding='ascii') as f:
        return int((f.read().split() or ['0'])[0])


def main():
    supervisor, kills, seed = (int(sys.argv[i]) for i in (1, 2, 4))
    sig = getattr(signal, 'SIG' + sys.argv[3])
    rnd = random.Random(seed)
    for _ in range(kills):
        worker = child(supervisor)
        while not worker:
            time.sleep(0.001)
            worker = child(supervisor)
        time.sleep(rnd.uniform(0.04, 0.15))
        os.kill(worker, sig)
        while child(supervisor) == worker:
            time.sleep(0.001)


main()
