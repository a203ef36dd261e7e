"""datamount and its peers: each a context that gives a mounted directory."""
import contextlib
import json
import os
import socket
import subprocess
import time

from tests.bench.table import Missing


class Datamount:
    """A mount that can be ended and made again."""

    def __init__(self, bench, url, name="mnt", options=()):
        self.bench = bench
        self.url = url
        self.dir = bench.path(f"run/{name}")
        self.options = options
        self.is_mounted = False

    def mount(self):
        self.bench.dm("mount", "--no-source", "--no-git", "--quiet",
                      *self.options, self.url, self.dir)
        self.is_mounted = True

    def umount(self):
        if self.is_mounted:
            self.bench.dm("umount", "--lazy", self.dir)
        self.is_mounted = False

    def again(self):
        """A new run of the daemon, on what the cache has."""
        self.umount()
        self.mount()

    def forget(self):
        """Unmount, and empty the cache."""
        self.umount()
        self.bench.remove(self.bench.cache)

    def status(self):
        return json.loads(self.bench.dm("status", "--json", self.dir))[0]

    def memory(self):
        """MiB: all processes of the mount, now, and each at its most."""
        status = self.status()
        now = most = 0
        for pid in (status["pid"], status["worker"]):
            with open(f"/proc/{pid}/status", encoding="ascii") as f:
                lines = dict(line.split(":", 1) for line in f)
            now += int(lines["VmRSS"].split()[0])
            most += int(lines["VmHWM"].split()[0])
        return now / 1024, most / 1024


@contextlib.contextmanager
def datamount(bench, url, name="mnt", options=()):
    """Not mounted yet, with an empty cache."""
    m = Datamount(bench, url, name, options)
    m.forget()
    try:
        yield m
    finally:
        m.umount()


# ---- peers ----

def wait_for_mount(path, child=None):
    end = time.monotonic() + 30
    while not os.path.ismount(path):
        if child is not None and child.poll() is not None:
            raise Missing(f"{os.path.basename(child.args[0])} "
                          f"exits with {child.returncode}")
        if time.monotonic() > end:
            raise Missing("does not mount within 30 s")
        time.sleep(0.01)


def unmount(path):
    subprocess.run(["umount", path], stderr=subprocess.DEVNULL, check=False)
    if os.path.ismount(path):
        subprocess.run(["umount", "-l", path], stderr=subprocess.DEVNULL,
                       check=False)


@contextlib.contextmanager
def kernel_image(bench, path, kind):
    """squashfs or EROFS by the kernel, from a loop device."""
    with open("/proc/filesystems", encoding="ascii") as f:
        if kind not in f.read().split():
            raise Missing(f"the kernel has no {kind}")
    at = bench.fresh(f"run/{kind}")
    bench.run("mount", "-t", kind, "-o", "loop,ro", path, at)
    try:
        yield at
    finally:
        unmount(at)


@contextlib.contextmanager
def daemon(at, args, environ):
    """A file system in user space that stays in the foreground."""
    with subprocess.Popen(args, env=environ, stdout=subprocess.DEVNULL,
                          stderr=subprocess.DEVNULL,
                          stdin=subprocess.DEVNULL) as child:
        try:
            wait_for_mount(at, child)
            yield at
        finally:
            unmount(at)
            try:
                child.wait(10)
            except subprocess.TimeoutExpired:
                child.kill()


@contextlib.contextmanager
def squashfuse(bench, path):
    at = bench.fresh("run/squashfuse")
    with daemon(at, [bench.tool("squashfuse"), "-f", path, at],
                bench.environ):
        yield at


@contextlib.contextmanager
def casync(bench, index, store):
    at = bench.fresh("run/casync")
    with daemon(at, [bench.tool("casync"), "mount", f"--store={store}",
                     index, at], bench.environ):
        yield at


@contextlib.contextmanager
def rclone(bench, url):
    """With an empty cache."""
    at = bench.fresh("run/rclone")
    with daemon(at, [
            bench.tool("rclone"), "mount", "--vfs-cache-mode", "full",
            "--cache-dir", bench.fresh("run/rclone-cache"), "--read-only",
            "--http-url", url, ":http:", at], bench.environ):
        yield at


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def wait_for_server(port, child):
    end = time.monotonic() + 30
    while True:
        with contextlib.suppress(ConnectionRefusedError), \
                socket.create_connection(("127.0.0.1", port)):
            return
        if child.poll() is not None or time.monotonic() > end:
            raise Missing("the S3 server does not start")
        time.sleep(0.01)


@contextlib.contextmanager
def s3_server(bench, folder):
    """Of a folder, whose folders are buckets; gives the port."""
    port = free_port()
    with subprocess.Popen([
            bench.tool("versitygw"), "--quiet", "--port", f"127.0.0.1:{port}",
            "--access", "key", "--secret", "secret", "posix", folder],
            env=bench.environ, stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as child:
        try:
            wait_for_server(port, child)
            yield port
        finally:
            child.terminate()


@contextlib.contextmanager
def s3fs(bench, folder):
    """As it comes: without a cache on disk."""
    program = bench.tool("s3fs")
    at = bench.fresh("run/s3fs")
    password = bench.path("run/s3fs.password")
    with open(password, "w", encoding="ascii",
              opener=lambda path, flags: os.open(path, flags, 0o600)) as f:
        f.write("key:secret\n")
    top, bucket = folder.rsplit("/", 1)
    with s3_server(bench, top) as port, daemon(at, [
            program, bucket, at, "-f", "-o", "ro,use_path_request_style",
            "-o", f"passwd_file={password}",
            "-o", f"url=http://127.0.0.1:{port}"], bench.environ):
        yield at
