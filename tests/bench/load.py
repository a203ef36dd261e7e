"""W11 and W12: memory of the daemon, and many mounts of one version."""
import contextlib
import subprocess

from tests.bench import data, mounts
from tests.bench.bench import MIB
from tests.bench.server import serve
from tests.bench.table import Goal, absolute, compare

BUDGET = 64   # MiB, --memory
READERS = 64
MOUNTS = 8
EPOCHS = 3    # the first one fills what stays


def memory(bench):
    """W11"""
    n = bench.scale.names
    src = data.names_tree(bench, n)
    with serve(bench, data.repository(bench, src)) as server, \
            mounts.datamount(bench, server.url) as m:
        m.mount()
        bench.run("find", m.dir, "-size", "+1M")
        yield absolute("W11", f"memory after a walk of {n:,} files", "MiB",
                       [m.memory()[0]], Goal("<=", 40))
    src = data.small_tree(bench, bench.scale.cold)
    names = data.shuffled(data.tree_names(bench.scale.cold))
    yield from under_load(bench, src, f"{len(names):,} × 10 KiB", lambda m:
                          bench.read_files(m.dir, names, READERS))
    src = data.large_file(bench, bench.scale.large)
    yield from under_load(
        bench, src, f"{bench.scale.large // MIB:,} MiB file, random",
        lambda m: bench.reader("random", f"{m.dir}/file", str(READERS),
                               "200", "1"))


def under_load(bench, src, what, read):
    """Readers of cold files while a prefetch runs, again and again."""
    with serve(bench, data.repository(bench, src)) as server, \
            mounts.datamount(bench, server.url,
                             options=[f"--memory={BUDGET}M"]) as m:
        m.mount()
        now, most = [], []
        for _ in range(EPOCHS):
            bench.dm("cache", "clear")
            bench.drop_caches()
            with subprocess.Popen(
                    [bench.datamount, "prefetch", "--quiet", m.dir],
                    env=bench.environ, stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL) as prefetch:
                read(m)
                prefetch.wait()
            after = m.memory()
            now.append(after[0])
            most.append(after[1])
    text = f"{READERS} readers and prefetch, {what}, cold"
    yield absolute("W11", f"{text}: most memory", "MiB", [most[-1]],
                   Goal("<=", BUDGET + 128),
                   f"budget {BUDGET} MiB + 128 MiB")
    yield compare("W11", f"{text}: memory after the last time", "MiB",
                  now[-1:], "the time before", now[-2:-1],
                  Goal("<=", 1.1))


def many_mounts(bench):
    """W12"""
    n = bench.scale.cold
    names = data.tree_names(n)
    src = data.small_tree(bench, n)
    with serve(bench, data.repository(bench, src)) as server:

        def fetched(count):
            """MiB from the origin, for as many mounts on one cache."""
            with contextlib.ExitStack() as stack:
                made = [stack.enter_context(mounts.datamount(
                    bench, server.url, f"mnt{i}")) for i in range(count)]
                bench.drop_caches()
                server.forget()
                for m in made:
                    m.mount()
                bench.read_at_once([m.dir for m in made], names)
                return server.traffic()[1] / MIB

        samples = bench.rounds({"ours": lambda: fetched(MOUNTS),
                                "one": lambda: fetched(1)})
    yield compare("W12", f"origin bytes of {MOUNTS} mounts and readers of "
                  f"the same {n:,} cold files", "MiB", samples["ours"],
                  "one mount", samples["one"], Goal("<=", 1.05))
