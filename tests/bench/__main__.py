"""The benchmark: what is fast, beside native ext4 and other programs.

`make bench` calls this.  Each workload is a generator of table rows, in the
module that the list below names.  All contestants of a workload are measured
in turn, A B A B; a ratio is the median over the rounds.  Nothing here fails a
build: what cannot be measured is a row that says why.
"""
import argparse
import dataclasses
import os
import platform
import signal
import subprocess
import sys
import time
import traceback

from tests.bench import (cold_large, cold_small, listing, load, publishing,
                         table, warm_large, warm_small)
from tests.bench.bench import GIB, SCALES, Bench

WORKLOADS = {
    "W1": listing.command_to_ls,
    "W2": listing.everything,
    "W3": warm_small.page_cached,
    "W4": warm_small.disk_cached,
    "W5": cold_small.cold,
    "W6": cold_large.sequential,
    "W7": warm_large.sequential,
    "W8": warm_large.random,
    "W9": publishing.new_and_unchanged,
    "W10": publishing.changed,
    "W11": load.memory,
    "W12": load.many_mounts,
}


def first_match(path, key):
    try:
        with open(path, encoding="utf-8", errors="replace") as f:
            for line in f:
                if line.startswith(key):
                    return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return "unknown"


def file_system(path):
    done = subprocess.run(["stat", "-f", "-c", "%T", path], check=False,
                          stdout=subprocess.PIPE)
    return done.stdout.decode().strip().replace("ext2/ext3", "ext4")


def built_from():
    """The commit, if this is a Git work tree; with a plus if changed."""
    done = subprocess.run(["git", "describe", "--always", "--dirty=+"],
                          check=False, stdout=subprocess.PIPE,
                          stderr=subprocess.DEVNULL)
    return done.stdout.decode().strip() or "no Git"


# Rows of runs that differ in any of these do not belong into one table.
SAME = ("scale", "machine", "kernel", "data on", "program")


def describe(bench, name):
    """The machine; what a table cannot be read without."""
    memory = first_match("/proc/meminfo", "MemTotal").split()[0]
    return {
        "scale": name,
        "machine": f"{os.cpu_count()} × "
                   f"{first_match('/proc/cpuinfo', 'model name')}, "
                   f"{int(memory) / (GIB >> 10):.0f} GiB",
        "kernel": platform.release(),
        "data on": file_system(bench.top),
        "load before": f"{os.getloadavg()[0]:.1f}",
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "program": f"{bench.dm('version').decode().strip()} ({built_from()})",
    }


def measure(bench, wanted, keep):
    """Calls keep with all rows after each workload: a run that is cut short
    has measured something."""
    rows = []
    for name in wanted:
        begun = time.monotonic()
        print(f"{name}: {WORKLOADS[name].__module__.rsplit('.', 1)[1]}",
              flush=True)
        try:
            for row in WORKLOADS[name](bench):
                rows.append(row)
                print("  " + "  ".join(row.cells()[1:]), flush=True)
        except table.Missing as why:
            rows.append(table.missing(name, "", str(why)))
            print(f"  missing: {why}", flush=True)
        except Exception:  # a workload that breaks is not the others' end
            traceback.print_exc()
            rows.append(table.Row(
                name, yardstick=traceback.format_exc().strip().split("\n")[-1],
                workload="", verdict="failed"))
        print(f"  took {time.monotonic() - begun:.0f} s", flush=True)
        keep(rows)
    return rows


def earlier_rows(path, machine):
    """Of an earlier run, if it was of the same program, scale and machine: the
    sizes that the goals are about take hours, and may be measured in parts."""
    try:
        with open(path, encoding="utf-8") as f:
            then, rows = table.from_json(f.read())
    except (OSError, ValueError, KeyError, TypeError):
        return []
    changed = machine["program"].endswith("+)")  # nobody knows how
    if changed or any(then.get(key) != machine[key] for key in SAME):
        return []
    return rows


def write(path, text):
    with open(path + ".tmp", "w", encoding="utf-8") as f:
        f.write(text)
    os.replace(path + ".tmp", path)


def update_readme(json_path, readme):
    with open(json_path, encoding="utf-8") as f:
        machine, rows = table.from_json(f.read())
    with open(readme, encoding="utf-8") as f:
        text = f.read()
    write(readme, table.into_readme(text, machine, rows))


def parse():
    p = argparse.ArgumentParser(prog="bench", description=__doc__)
    p.add_argument("--build", default="build/release",
                   help="where datamount, httpd and reader are")
    p.add_argument("--dir", default="build/bench",
                   help="where inputs are kept and everything is done")
    p.add_argument("--only", default="", help="W3,W5; all without it")
    p.add_argument("--scale", default="medium", choices=SCALES)
    p.add_argument("--rounds", type=int, default=0,
                   help="of each workload; 0: as many as the scale has")
    p.add_argument("--json", default="build/bench.json")
    p.add_argument("--readme", help="write the last table into this file, "
                                    "measure nothing")
    return p, p.parse_args()


def main():
    parser, args = parse()
    if args.readme:
        update_readme(args.json, args.readme)
        return
    wanted = args.only.replace(",", " ").upper().split() or list(WORKLOADS)
    unknown = [name for name in wanted if name not in WORKLOADS]
    if unknown:
        parser.error(f"no workload {unknown[0]}; there are "
                     f"{', '.join(WORKLOADS)}")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # with all finally
    scale = SCALES[args.scale]
    if args.rounds < 0:
        parser.error("rounds are 1 or more, or 0 for the scale's number")
    if args.rounds:
        scale = dataclasses.replace(scale, pairs=args.rounds)
    bench = Bench(args.build, args.dir, scale)
    machine = describe(bench, args.scale)
    earlier = earlier_rows(args.json, machine)

    def keep(rows):
        anew = {row.id for row in rows}
        rows = table.in_order([row for row in earlier if row.id not in anew] +
                              rows, WORKLOADS)
        machine["rounds"] = table.rounds(rows)
        write(args.json, table.to_json(machine, rows))

    try:
        rows = measure(bench, wanted, keep)
    finally:
        bench.clean()
    print("\n" + "\n".join(f"{k}: {v}" for k, v in machine.items()))
    print("\n" + table.plain(rows) + "\n\n" + table.summary(rows) +
          f"; samples are in {args.json}")


if __name__ == "__main__":
    sys.exit(main())
