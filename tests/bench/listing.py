"""W1 and W2: from the command to the first ls, and listing everything."""
import time

from tests.bench import data, mounts
from tests.bench.bench import column
from tests.bench.server import serve
from tests.bench.table import Goal, absolute, compare

FEW = 10000


def first_ls(bench, server, name):
    """Nothing cached, from the command to what ls prints."""
    with mounts.datamount(bench, f"{server.url}/{name}") as m:
        server.forget()
        begun = time.monotonic()
        m.mount()
        bench.run("ls", m.dir)
        took = time.monotonic() - begun
        lines = server.lines()
    paths = [path for path, _ in lines]
    commit = next(i for i, path in enumerate(paths) if "/commits/" in path)
    return {"seconds": took, "requests": len(lines),
            "after": len(lines) - commit - 1,
            "bytes": sum(size for _, size in lines)}


def root_size(n):
    """Of the tree object of the root of a names_tree, as decoded."""
    folders = -(-n // data.FOLDER)
    return 16 + folders * (64 + len("d00000"))


def command_to_ls(bench):
    """W1"""
    many = bench.scale.names
    for n in (many, FEW):
        data.repository(bench, data.names_tree(bench, n))
    with serve(bench, bench.path("data")) as server:
        samples = bench.rounds({
            "many": lambda: first_ls(bench, server, f"names-{many}.repo"),
            "few": lambda: first_ls(bench, server, f"names-{FEW}.repo"),
        })
    ours = samples["many"]
    text = f"{many:,} files, command to first ls, cold"
    yield compare("W1", text, "s", column(ours, "seconds"),
                  f"{FEW:,} files", column(samples["few"], "seconds"),
                  Goal("<=", 1.5))
    yield absolute("W1", f"{text}, no delay", "s", column(ours, "seconds"),
                   Goal("<=", 0.1))
    yield absolute("W1", f"{text}: requests in all", "",
                   column(ours, "requests"), Goal("<=", 7))
    yield absolute("W1", f"{text}: requests after the commit is known", "",
                   column(ours, "after"), Goal("<=", 3))
    kilobytes = [b / 1000 for b in column(ours, "bytes")]
    yield absolute("W1", f"{text}: fetched", "kB", kilobytes,
                   Goal("<=", 100 + root_size(many) / 1000),
                   f"100 kB + root of {root_size(many) / 1000:.0f} kB")


COMMANDS = {"ls -lR": (("ls", "-lR"), 0.5), "find": (("find",), 5.0)}


def everything(bench):
    """W2"""
    n = bench.scale.names
    src = data.names_tree(bench, n)
    with serve(bench, data.repository(bench, src)) as server:

        def ours(command):
            with mounts.datamount(bench, server.url) as m:
                m.mount()
                bench.drop_caches()
                server.forget()
                first = bench.seconds(*command, m.dir)
                requests, size = server.traffic()
                return {"first": first, "again": bench.seconds(*command,
                                                               m.dir),
                        "requests": requests, "a file": size / n}

        def native(command):
            bench.drop_caches()
            return {"first": bench.seconds(*command, src),
                    "again": bench.seconds(*command, src)}

        for name, (command, goal) in COMMANDS.items():
            samples = bench.rounds({
                "ours": lambda: ours(command),
                "ext4": lambda: native(command),
            })
            mine, theirs = samples["ours"], samples["ext4"]
            text = f"{n:,} files, {name}"
            yield compare("W2", f"{text}, first, cold over HTTP", "s",
                          column(mine, "first"), "ext4, dropped",
                          column(theirs, "first"), Goal("<=", goal))
            yield compare("W2", f"{text}, again", "s", column(mine, "again"),
                          "ext4, again", column(theirs, "again"),
                          Goal("<=", 1.0))
            yield absolute("W2", f"{text}, first: fetched", "bytes a file",
                           column(mine, "a file"), Goal("<=", 30))
            yield absolute("W2", f"{text}, first: requests", "",
                           column(mine, "requests"), Goal("<=", n / 5000))
