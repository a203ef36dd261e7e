"""W5: many small files over HTTP, nothing cached, answers delayed."""
import time

from tests.bench import data, mounts
from tests.bench.bench import column
from tests.bench.server import serve
from tests.bench.table import Goal, Missing, absolute, compare


class Cold:
    """The contestants for one delay and number of threads."""

    def __init__(self, bench, server, src, threads):
        self.bench = bench
        self.server = server  # of data/
        self.src = src
        self.base = f"{server.url}/{src.rsplit('/', 1)[1]}"
        self.threads = threads
        self.names = data.tree_names(bench.scale.cold)
        self.sample = self.names[:bench.scale.sample]

    def datamount(self, names, options=()):
        """From the command to the last file."""
        with mounts.datamount(self.bench, f"{self.base}.repo",
                              options=options) as m:
            self.bench.drop_caches()
            self.server.forget()
            begun = time.monotonic()
            m.mount()
            mounted = time.monotonic() - begun
            read = self.bench.read_files(m.dir, names, self.threads)
            return {"whole": mounted + read["seconds"],
                    "first": mounted + read["first"],
                    "rate": len(names) / (mounted + read["seconds"]),
                    "requests": self.server.traffic()[0]}

    def replayed(self, names):
        """With a trace of these reads."""
        trace = self.bench.path("run/trace")
        with open(trace, "w", encoding="ascii") as f:
            f.write("datamount trace 1\n")
            f.writelines(f"0 {name}\n" for name in names)
        return self.datamount(names, ("--replay-trace", trace))

    def curl_tar(self):
        """Fetch and unpack all, then read."""
        to = self.bench.fresh("run/untarred")
        self.bench.drop_caches()
        unpacked = self.bench.shell(
            'curl -sf "$1" | tar -x -C "$2"', f"{self.base}.tar/files.tar", to)
        read = self.bench.read_files(to, self.names, self.threads)
        return {"whole": unpacked + read["seconds"],
                "first": unpacked + read["first"]}

    def one_get_a_file(self):
        """Files a second, on connections that are kept."""
        config = self.bench.path("run/curl.config")
        with open(config, "w", encoding="ascii") as f:
            for name in self.sample:
                f.write(f"url = {self.base}/{name}\noutput = /dev/null\n")
        parallel = ["-Z", "--parallel-max", str(self.threads),
                    "--parallel-immediate"] if self.threads > 1 else []
        return len(self.sample) / self.bench.seconds(
            "curl", "-sf", *parallel, "-K", config)

    def peer(self, context):
        """Files a second of those in one directory, which was listed before:
        so only fetching counts."""
        with context as at:
            self.bench.run("ls", "-l", f"{at}/{self.names[0].split('/')[0]}")
            self.bench.drop_caches()
            read = self.bench.read_files(at, self.sample, self.threads)
            return len(self.sample) / read["seconds"]

    def rclone(self):
        return self.peer(mounts.rclone(self.bench, f"{self.base}.html"))

    def casync(self):
        store = f"{self.base}.casync"
        return self.peer(mounts.casync(self.bench, f"{store}/data.caidx",
                                       f"{store}/store"))

    def s3fs(self):
        return self.peer(mounts.s3fs(self.bench, self.src))


def cold(bench):
    """W5"""
    src = data.small_tree(bench, bench.scale.cold)
    data.repository(bench, src)
    data.tarball(bench, src)
    data.listed(bench, src)
    try:
        data.casync_store(bench, src)
    except Missing:
        pass  # each of its rows says so
    requests = {"in order": [], "shuffled": []}
    with serve(bench, bench.path("data")) as server:
        for delay in (0, 1, 20):
            for threads in (1, 16):
                server.delay(delay)
                yield from rows(Cold(bench, server, src, threads), delay,
                                requests)
    text = f"{bench.scale.cold:,} × 10 KiB cold: most requests of any run"
    for name, counts in requests.items():
        yield absolute("W5", f"{text}, {name}", "",
                       [max(counts)] if counts else Missing("no run"),
                       Goal("<=", bench.scale.cold / 50))


def rows(c, delay, requests):
    """For one delay and number of threads; peers where delay is least and
    most.  Adds to requests how many datamount sent."""
    names = c.names
    contestants = {
        "in order": lambda: c.datamount(names),
        "tar": c.curl_tar,
        "shuffled": lambda: c.datamount(data.shuffled(names)),
    }
    if delay == 20:
        contestants["replayed"] = lambda: c.replayed(data.shuffled(names))
    peers = {}
    if delay == 20:
        peers["one GET a file"] = (c.one_get_a_file, Goal(">=", 10))
    if delay != 1:
        peers["rclone"] = (c.rclone, Goal(">", 1))
        peers["casync"] = (c.casync, Goal(">", 1))
    if delay == 0:
        peers["s3fs"] = (c.s3fs, Goal(">", 1))
    samples = c.bench.rounds(
        contestants | {name: run for name, (run, _) in peers.items()})
    for name, counts in requests.items():
        if not isinstance(samples[name], Missing):
            counts += column(samples[name], "requests")
    ours = samples["in order"]
    text = f"{len(names):,} × 10 KiB cold, {delay} ms a request, " \
        f"{c.threads} thread{'s' * (c.threads > 1)}"
    yield compare("W5", f"{text}: whole job in order", "s",
                  column(ours, "whole"), "curl | tar x + reading",
                  column(samples["tar"], "whole"), Goal("<=", 1.0))
    if c.threads == 1:
        yield compare("W5", f"{text}: first file", "s",
                      column(ours, "first"), "curl | tar x + reading",
                      column(samples["tar"], "first"), Goal("<=", 0.01))
    yield compare("W5", f"{text}: shuffled", "files/s",
                  column(samples["shuffled"], "rate"), "in order",
                  column(ours, "rate"), Goal(">=", 0.25))
    if delay == 20:
        for unit, key, goal in (("files/s", "rate", Goal(">", 1)),
                                ("requests", "requests", Goal("<=", 1))):
            yield compare("W5", f"{text}: shuffled, from a trace", unit,
                          column(samples["replayed"], key), "without it",
                          column(samples["shuffled"], key), goal)
    for name, (_, goal) in peers.items():
        yield compare("W5", f"{text}: in order", "files/s",
                      column(ours, "rate"), name, samples[name], goal)
