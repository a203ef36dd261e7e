"""W6: one large file over HTTP, nothing cached."""
import time

from tests.bench import data, mounts
from tests.bench.bench import MIB
from tests.bench.server import serve
from tests.bench.table import Goal, compare

CAREFUL = """
curl -sf -o "$2/file" "$1"
openssl dgst -sha256 "$2/file"
"$3" stream "$2/file"
"""


def sequential(bench):
    """W6"""
    size = bench.scale.large
    src = data.large_file(bench, size)
    data.repository(bench, src)
    data.listed(bench, src)
    base = f"/{src.rsplit('/', 1)[1]}"
    with serve(bench, bench.path("data")) as server:
        url = f"{server.url}{base}"

        def ours():
            with mounts.datamount(bench, f"{url}.repo") as m:
                bench.drop_caches()
                begun = time.monotonic()
                m.mount()
                bench.reader("stream", f"{m.dir}/file")
                return size / MIB / (time.monotonic() - begun)

        def careful():
            to = bench.fresh("run/copied")
            bench.drop_caches()
            took = bench.shell(CAREFUL, f"{url}/file", to,
                               f"{bench.build}/reader")
            bench.remove(to)
            return size / MIB / took

        def piped():
            bench.drop_caches()
            return size / MIB / bench.shell(
                'curl -sf "$1" | openssl dgst -sha256', f"{url}/file")

        def rclone():
            bench.drop_caches()
            begun = time.monotonic()
            with mounts.rclone(bench, f"{url}.html") as at:
                bench.reader("stream", f"{at}/file")
                return size / MIB / (time.monotonic() - begun)

        def s3fs():
            bench.drop_caches()
            with mounts.s3fs(bench, src) as at:
                begun = time.monotonic()
                bench.reader("stream", f"{at}/file")
                return size / MIB / (time.monotonic() - begun)

        samples = bench.rounds({"datamount": ours, "careful": careful,
                                "piped": piped, "rclone": rclone,
                                "s3fs": s3fs})
    text = f"{size // MIB:,} MiB file, cold, sequential"
    for name, key, goal in (
            ("curl -o f + openssl dgst f + cat f", "careful",
             Goal(">=", 1.0)),
            ("curl | openssl dgst", "piped", Goal(">=", 0.6)),
            ("rclone", "rclone", Goal(">", 1)),
            ("s3fs", "s3fs", Goal(">", 1))):
        yield compare("W6", text, "MiB/s", samples["datamount"], name,
                      samples[key], goal)
