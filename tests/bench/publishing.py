"""W9 and W10: commit of what is new, unchanged, changed a little."""
import os
import random

from tests.bench import data
from tests.bench.bench import MIB
from tests.bench.table import Goal, absolute, compare

FILES = 16
DVC = """
cd "$1"
git init -q && "$2" init -q
"$2" config core.analytics false
"$2" remote add -q -d store "$1/store"
cp -al "$3" files
"""
LFS = """
cd "$1"
git init -q --bare store && git init -q work && cd work
git config user.name x && git config user.email x@example.org
git lfs install --local >/dev/null && git lfs track '*.bin' >/dev/null
git remote add origin "file://$1/store"
cp -al "$2" files
"""


class Publish:
    """Each way to publish src, into something empty."""

    def __init__(self, bench, src):
        self.bench = bench
        self.src = src
        self.size = bench.scale.new / MIB

    def empty_repository(self):
        """Nothing is known of earlier ones, either."""
        for path in (self.bench.cache, self.bench.path("run/xdg-cache"),
                     self.bench.path("run/state")):
            self.bench.remove(path)
        repo = self.bench.fresh("run/published")
        self.bench.dm("init", repo)
        return repo

    def timed(self, *args, env=None):
        """MiB a second of a command."""
        os.sync()
        return self.size / self.bench.seconds(*args, env=env)

    def datamount(self):
        repo = self.empty_repository()
        return self.timed(self.bench.datamount, "commit", "--quiet", self.src,
                          repo, "-m", "new")

    def openssl(self):
        os.sync()
        return self.size / self.bench.shell(
            'find "$1" -type f -print0 | '
            'xargs -0 -n 1 -P "$(nproc)" openssl dgst -sha256', self.src)

    def restic(self):
        restic = self.bench.tool("restic")
        top = self.bench.fresh("run/published")
        environ = dict(self.bench.environ, RESTIC_PASSWORD="x",
                       RESTIC_REPOSITORY=f"{top}/repo",
                       RESTIC_CACHE_DIR=f"{top}/cache")
        self.bench.run(restic, "init", env=environ)
        return self.timed(restic, "backup", "-q", self.src, env=environ)

    def dvc(self):
        dvc = data.dvc(self.bench)
        top = self.bench.fresh("run/published")
        self.bench.shell(DVC, top, dvc, self.src)
        os.sync()
        return self.size / self.bench.shell(
            'cd "$1" && "$2" add -q files && "$2" push -q', top, dvc)

    def git_lfs(self):
        self.bench.tool("git-lfs")
        top = self.bench.fresh("run/published")
        self.bench.shell(LFS, top, self.src)
        os.sync()
        return self.size / self.bench.shell(
            'cd "$1/work" && git add . && git commit -qm x && '
            'git push -q origin HEAD:main', top)


def new_and_unchanged(bench):
    """W9"""
    p = Publish(bench, data.new_files(bench, bench.scale.new, FILES))
    p.openssl()  # from here on all read from memory
    samples = bench.rounds({
        "datamount": p.datamount, "openssl": p.openssl, "restic": p.restic,
        "dvc": p.dvc, "git lfs": p.git_lfs,
    })
    text = f"commit of {p.size:,.0f} MiB of new incompressible data"
    for name, key, goal in (
            ("openssl dgst -sha256 on all cores", "openssl", 0.35),
            ("restic backup", "restic", 2), ("dvc add + push", "dvc", 2),
            ("git lfs add + push", "git lfs", 2)):
        yield compare("W9", text, "MiB/s", samples["datamount"], name,
                      samples[key], Goal(">=", goal))
    bench.remove(bench.path("run/published"))
    yield from unchanged(bench)


def unchanged(bench):
    n = bench.scale.names
    src = data.names_tree(bench, n)
    p = Publish(bench, src)
    repo = p.empty_repository()
    bench.dm("commit", "--quiet", src, repo, "-m", "first")
    samples = bench.rounds({
        "datamount": lambda: bench.seconds(
            bench.datamount, "commit", "--quiet", src, repo, "-m", "again"),
        "find": lambda: bench.seconds("find", src, "-ls"),
    })
    yield compare("W9", f"commit of {n:,} unchanged files", "s",
                  samples["datamount"], "find -ls", samples["find"],
                  Goal("<=", 2))


# ---- W10 ----

def stored(path):
    """Bytes of all files below path."""
    return sum(os.path.getsize(f"{folder}/{name}")
               for folder, _, names in os.walk(path) for name in names)


def growth(bench, src, repo):
    """Bytes that a commit adds."""
    before = stored(repo)
    bench.dm("commit", "--quiet", src, repo, "-m", "changed")
    return stored(repo) - before


def insert(path, at, size):
    with open(path, "r+b") as f:
        f.seek(at)
        rest = f.read()
        f.seek(at)
        f.write(os.urandom(size))
        f.write(rest)


def changed(bench):
    """W10: the bytes are the same in each run, so one is enough."""
    p = Publish(bench, None)
    n = bench.scale.small
    src = bench.path("run/changing")
    bench.run("cp", "-a", data.small_tree(bench, n), src)
    repo = p.empty_repository()
    growth(bench, src, repo)
    names = random.Random(1).sample(data.tree_names(n), n // 100)
    for name in names:
        with open(f"{src}/{name}", "wb") as f:
            f.write(os.urandom(data.SMALL))
    yield compare("W10", f"stored by a commit of {n:,} files, 1 % changed",
                  "MiB", [growth(bench, src, repo) / MIB], "what changed",
                  [len(names) * data.SMALL / MIB], Goal("<=", 1.5))
    bench.remove(src)

    size = bench.scale.large // 4
    os.makedirs(src)
    data.write_random(f"{src}/file", size)
    repo = p.empty_repository()
    growth(bench, src, repo)
    added = []
    for at in random.Random(2).sample(range(size), 20):
        insert(f"{src}/file", at, MIB)
        added.append(growth(bench, src, repo) / MIB)
    text = f"stored for 1 MiB inserted at 20 places of {size // MIB:,} MiB"
    yield absolute("W10", f"{text}: median", "MiB", added, Goal("<=", 4))
    yield absolute("W10", f"{text}: most", "MiB", [max(added)],
                   Goal("<=", 12))
    bench.remove(src)
