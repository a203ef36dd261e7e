"""killer.py SUPERVISOR KILLS SIGNAL SEED [DIR] - end worker after worker.

Sends SIGNAL to the one child of the process SUPERVISOR, at a random moment
after it appeared, and waits for the next, KILLS times.  With DIR, its mount
point, each worker first answers some reads: a request that three workers in a
row could not finish is given up, and on a slow machine they all die so young.
"""
import json
import os
import random
import signal
import subprocess
import sys
import time


def reads(mount):
    text = subprocess.run(['datamount', 'status', mount, '--json'], check=True,
                          capture_output=True).stdout
    return json.loads(text)[0]['fuse']['read']


def child(pid):
    with open(f'/proc/{pid}/task/{pid}/children', encoding='ascii') as f:
        return int((f.read().split() or ['0'])[0])


def main():
    supervisor, kills, seed = (int(sys.argv[i]) for i in (1, 2, 4))
    sig = getattr(signal, 'SIG' + sys.argv[3])
    rnd = random.Random(seed)
    mount = sys.argv[5] if len(sys.argv) > 5 else None
    for _ in range(kills):
        worker = child(supervisor)
        while not worker:
            time.sleep(0.001)
            worker = child(supervisor)
        if mount:
            enough, end = reads(mount) + 8, time.monotonic() + 60
            while reads(mount) < enough:
                if time.monotonic() > end:
                    sys.exit('nobody reads any more')
                time.sleep(0.001)
        time.sleep(rnd.uniform(0.0 if mount else 0.04, 0.15))
        os.kill(worker, sig)
        while child(supervisor) == worker:
            time.sleep(0.001)


main()
