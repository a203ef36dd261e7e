"""Inputs, built once and kept in BENCH_DIR; a file NAME.done says that NAME
is whole, and for which build of the program where that matters."""
import os
import random

from tests.bench.bench import MIB

SMALL = 10 * 1024  # bytes of a small file
FOLDER = 1000      # files in a directory


def build(bench, name, stamp, make):
    """The path of data/NAME, which make(path) makes if it is not there."""
    path = bench.path(f"data/{name}")
    done = path + ".done"
    try:
        with open(done, encoding="ascii") as f:
            if f.read() == stamp:
                return path
    except OSError:
        pass
    print(f"  building {name}", flush=True)
    bench.remove(path)
    bench.remove(done)
    make(path)
    with open(done, "w", encoding="ascii") as f:
        f.write(stamp)
    os.sync()
    return path


def tree_names(n):
    """Names in the order of the tree."""
    return [f"d{i // FOLDER:05}/f{i % FOLDER:03}" for i in range(n)]


def shuffled(names, seed=1):
    names = list(names)
    random.Random(seed).shuffle(names)
    return names


def make_tree(path, names, content):
    for name in names:
        if name.endswith("/f000"):
            os.makedirs(os.path.dirname(f"{path}/{name}"))
        with open(f"{path}/{name}", "wb", buffering=0) as f:
            f.write(content())


def small_tree(bench, n):
    """n incompressible files of 10 KiB."""
    return build(bench, f"small-{n}", "1", lambda path: make_tree(
        path, tree_names(n), lambda: os.urandom(SMALL)))


def names_tree(bench, n):
    """n files of a few bytes, no two the same."""
    numbers = iter(range(n))
    return build(bench, f"names-{n}", "1", lambda path: make_tree(
        path, tree_names(n), lambda: b"file %d\n" % next(numbers)))


def write_random(path, size):
    with open(path, "wb", buffering=0) as f:
        for at in range(0, size, MIB):
            f.write(os.urandom(min(MIB, size - at)))


def large_file(bench, size):
    """A directory with one incompressible file, `file`."""
    def make(path):
        os.makedirs(path)
        write_random(f"{path}/file", size)
    return build(bench, f"large-{size // MIB}", "1", make)


def new_files(bench, size, count):
    """count incompressible files of size bytes in all."""
    def make(path):
        os.makedirs(path)
        for i in range(count):
            write_random(f"{path}/{i:03}.bin", size // count)
    return build(bench, f"new-{size // MIB}", "1", make)


def dvc(bench):
    """The program, in an environment of its own, from PyPI."""
    def make(path):
        bench.run(bench.tool("python3"), "-m", "venv", path)
        bench.run(f"{path}/bin/pip", "install", "-q", "dvc")
    return build(bench, "dvc", "1", make) + "/bin/dvc"


def program(bench):
    """What tells one build of the program from another."""
    st = os.stat(bench.datamount)
    return f"{bench.datamount} {st.st_size} {st.st_mtime_ns}"


def repository(bench, src):
    """What commit makes of src."""
    def make(path):
        bench.dm("init", path)
        bench.dm("commit", src, path, "-m", "benchmark")
    return build(bench, os.path.basename(src) + ".repo", program(bench), make)


def tarball(bench, src):
    """The parent of files.tar."""
    def make(path):
        os.makedirs(path)
        bench.run("tar", "--sort=name", "-C", src, "-cf", f"{path}/files.tar",
                  ".")
    return build(bench, os.path.basename(src) + ".tar", "1", make)


def listed(bench, src):
    """A copy of src (hard links) with an index.html in each directory, from
    which rclone learns what there is."""
    def index(folder, names):
        with open(f"{folder}/index.html", "w", encoding="ascii") as f:
            f.write("<html><body>\n" + "".join(
                f'<a href="{n}">{n}</a>\n' for n in sorted(names)))

    def make(path):
        bench.run("cp", "-al", src, path)
        for folder, dirs, files in os.walk(path):
            index(folder, [d + "/" for d in dirs] + files)
    return build(bench, os.path.basename(src) + ".html", "1", make)


def image(bench, src, kind):
    """An image for the kernel, or for squashfuse."""
    def make(path):
        if kind == "squashfs":
            bench.run(bench.tool("mksquashfs"), src, path, "-noappend",
                      "-no-progress", "-noI", "-noD", "-noF")
        else:
            bench.run(bench.tool("mkfs.erofs"), path, src)
    return build(bench, f"{os.path.basename(src)}.{kind}", "1", make)


def casync_store(bench, src):
    """The parent of a casync archive, data.caidx, and of its chunks."""
    def make(path):
        os.makedirs(path)
        bench.run(bench.tool("casync"), "make", f"--store={path}/store",
                  "--without=privileged", f"{path}/data.caidx", src)
    return build(bench, os.path.basename(src) + ".casync", "1", make)
