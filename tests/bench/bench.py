"""What all workloads use: folders, sizes, commands, the clock, the caches."""
import contextlib
import dataclasses
import json
import os
import shutil
import subprocess
import time

from tests.bench.table import Missing

MIB = 1 << 20
GIB = 1 << 30


@dataclasses.dataclass(frozen=True)
class Scale:
    """How much of everything.  `full` is what the goals are about."""
    pairs: int    # rounds, of which the median is taken
    names: int    # files of the large tree (W1, W2, W9, W11)
    small: int    # files of 10 KiB (W3, W4)
    cold: int     # the same, over HTTP (W5, W12)
    large: int    # bytes of the large file (W6, W7, W8)
    new: int      # bytes to publish (W9)
    sample: int   # files read of peers that are too slow for all


SCALES = {
    "small": Scale(2, 20000, 5000, 5000, 256 * MIB, 256 * MIB, 100),
    "medium": Scale(5, 128000, 20000, 20000, GIB, GIB, 300),
    "full": Scale(5, 1280000, 100000, 100000, 4 * GIB, 10 * GIB, 1000),
}


class Bench:
    def __init__(self, build, top, scale):
        self.build = os.path.realpath(build)
        self.top = os.path.realpath(top)
        self.scale = scale
        self.datamount = os.environ.get(
            "DATAMOUNT", os.path.join(self.build, "datamount"))
        self.cache = self.path("run/cache")
        self.environ = dict(
            os.environ, HOME=self.path("run/home"), LC_ALL="C", TZ="UTC",
            DATAMOUNT_CACHE=self.cache, no_proxy="*",
            DATAMOUNT_CONFIG_SYSTEM=self.path("run/none"),
            XDG_CACHE_HOME=self.path("run/xdg-cache"),
            XDG_STATE_HOME=self.path("run/state"),
            XDG_CONFIG_HOME=self.path("run/config"),
            XDG_RUNTIME_DIR=self.path("run/runtime"),
            GIT_CONFIG_NOSYSTEM="1",
            GIT_CONFIG_GLOBAL=self.path("run/gitconfig"))
        for name in list(self.environ):
            if name.lower() in ("http_proxy", "https_proxy", "all_proxy") or \
                    name in ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"):
                del self.environ[name]
        self.clean()  # after a run that was killed
        os.makedirs(self.path("data"), exist_ok=True)
        for name in ("HOME", "XDG_RUNTIME_DIR"):
            os.makedirs(self.environ[name], 0o700)

    def path(self, name):
        return os.path.join(self.top, name)

    def clean(self):
        """Remove what is no input; unmount first what is mounted there."""
        run = self.path("run")
        with open("/proc/self/mountinfo", encoding="utf-8",
                  errors="surrogateescape") as f:
            places = [line.split()[4] for line in f]
        for place in reversed(places):
            if place.startswith(run + "/"):
                subprocess.run(["umount", "-l", place], check=False)
        self.remove(run)

    @staticmethod
    def remove(path):
        if os.path.isdir(path) and not os.path.islink(path):
            shutil.rmtree(path)
        elif os.path.lexists(path):
            os.remove(path)

    def fresh(self, name):
        """An empty directory."""
        path = self.path(name)
        self.remove(path)
        os.makedirs(path)
        return path

    # ---- commands ----

    @staticmethod
    def tool(name):
        """The path of a program, or Missing."""
        path = shutil.which(name, path=os.environ["PATH"] + ":/usr/sbin:/sbin")
        if path is None:
            raise Missing(f"{name} is not installed")
        return path

    def run(self, *args, env=None, stdout=subprocess.PIPE):
        """Run; its standard output.  Missing with its error if it fails."""
        done = subprocess.run(args, env=env or self.environ, stdout=stdout,
                              stderr=subprocess.PIPE,
                              stdin=subprocess.DEVNULL, check=False)
        if done.returncode != 0:
            lines = done.stderr.decode(errors="replace").strip().split("\n")
            raise Missing(f"{os.path.basename(args[0])} failed: "
                          f"{lines[-1][:200]}")
        return done.stdout

    def seconds(self, *args, env=None):
        """Of a command whose output is thrown away."""
        begun = time.monotonic()
        self.run(*args, env=env, stdout=subprocess.DEVNULL)
        return time.monotonic() - begun

    def shell(self, script, *args):
        """The same for a shell script with pipes; args are $1, $2, ..."""
        return self.seconds("bash", "-euo", "pipefail", "-c", script, "bash",
                            *args)

    def dm(self, *args):
        return self.run(self.datamount, *args)

    # ---- readers ----

    def reader(self, *args, **keys):
        done = subprocess.run([os.path.join(self.build, "reader"), *args],
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              check=False, **keys)
        if done.returncode != 0:
            raise Missing(done.stderr.decode(errors="replace").strip())
        return json.loads(done.stdout)

    def read_files(self, root, names, threads=1):
        """Open, read and close each; what the reader says."""
        text = "".join(f"{root}/{name}\n" for name in names)
        return self.reader("files", str(threads), input=text.encode())

    def read_at_once(self, roots, names):
        """The same files below several roots, a process each."""
        children = []
        for root in roots:
            child = subprocess.Popen(
                [os.path.join(self.build, "reader"), "files", "1"],
                stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
            child.stdin.write("".join(f"{root}/{name}\n"
                                      for name in names).encode())
            children.append(child)
        for child in children:  # they begin when their list ends
            child.stdin.close()
        for child in children:
            if child.wait() != 0:
                raise Missing("a reader failed")

    # ---- the state of the machine ----

    @staticmethod
    def drop_caches():
        """Pages, names and inodes: what a machine just started has."""
        os.sync()
        try:
            with open("/proc/sys/vm/drop_caches", "w", encoding="ascii") as f:
                f.write("3")
        except OSError as e:
            raise Missing(f"cannot drop the page cache: {e.strerror}") from e

    def rounds(self, contestants):
        """Run all in turn, again and again: A B A B.  What drifts on the
        machine then hits all alike.  Samples by name; Missing for one that
        cannot be measured."""
        samples = {name: [] for name in contestants}
        for _ in range(self.scale.pairs):
            for name, measure in contestants.items():
                if isinstance(samples[name], Missing):
                    continue
                try:
                    samples[name].append(measure())
                except Missing as why:
                    samples[name] = why
        return samples


def column(samples, key):
    """One figure of samples that are dicts."""
    if isinstance(samples, Missing):
        return samples
    return [s[key] for s in samples]


@contextlib.contextmanager
def maybe(context):
    """A context that may be Missing: what it gives, or why it cannot."""
    with contextlib.ExitStack() as stack:
        try:
            value = stack.enter_context(context)
        except Missing as why:
            value = why
        yield value
