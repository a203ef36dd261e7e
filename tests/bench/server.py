"""The web server that all contestants fetch from, and what it saw."""
import contextlib
import re
import subprocess
import urllib.request

from tests.bench.table import Missing


class Server:
    def __init__(self, port, log):
        self.url = f"http://127.0.0.1:{port}"
        self.log = log

    def control(self, what, body):
        request = urllib.request.Request(f"{self.url}/.ctl/{what}",
                                         data=body.encode(), method="POST")
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(request) as answer:
            answer.read()

    def delay(self, milliseconds):
        """Of every answer from now on."""
        self.control("clear", "")
        if milliseconds:
            self.control("rule", f"/* * delay={milliseconds}")

    def forget(self):
        self.control("forget", "")
        with open(self.log, "w", encoding="ascii"):
            pass

    def lines(self):
        """(path, bytes of body) of each request since forget."""
        with open(self.log, encoding="ascii", errors="replace") as f:
            return [(m[1], int(m[2])) for m in re.finditer(
                r"^\S+ (\S+) status=\d+ bytes=(\d+) ", f.read(), re.M)]

    def traffic(self):
        """Requests and bytes since forget."""
        lines = self.lines()
        return len(lines), sum(size for _, size in lines)


@contextlib.contextmanager
def serve(bench, folder):
    """Serve what is below a folder."""
    log = bench.path("run/httpd.log")
    with open(log, "w", encoding="ascii"):
        pass
    with subprocess.Popen([f"{bench.build}/httpd", "--log", log, folder],
                          stdout=subprocess.PIPE) as child:
        try:
            port = child.stdout.readline().decode().strip()
            if not port:
                raise Missing("the HTTP server does not start")
            yield Server(port, log)
        finally:
            child.terminate()
