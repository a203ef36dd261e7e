"""W3 and W4: many small files that are in memory, or in the disk cache."""
import contextlib

from tests.bench import data, mounts
from tests.bench.bench import maybe
from tests.bench.server import serve
from tests.bench.table import Goal, Missing, compare


def rate(bench, root, names, threads):
    """Files a second."""
    if isinstance(root, Missing):
        raise root
    return len(names) / bench.read_files(root, names, threads)["seconds"]


def images(bench, src):
    """Peers that show an image of src: contexts by name."""
    def of(kind, mount):
        @contextlib.contextmanager
        def context():
            with mount(bench, data.image(bench, src, kind)) as at:
                yield at
        return context
    return {
        "squashfuse": of("squashfs", mounts.squashfuse),
        "kernel squashfs": of("squashfs", lambda b, image:
                              mounts.kernel_image(b, image, "squashfs")),
        "kernel EROFS": of("erofs", lambda b, image:
                           mounts.kernel_image(b, image, "erofs")),
    }


def casync_of(bench, src):
    @contextlib.contextmanager
    def context():
        store = data.casync_store(bench, src)
        with mounts.casync(bench, f"{store}/data.caidx",
                           f"{store}/store") as at:
            yield at
    return context


def rows_of(row_id, what, measured, threads, goal, behind):
    """A row against ext4, one for each peer; behind are the peers that are
    to be slower than we."""
    ours = measured.pop("datamount")
    text = f"{what}, {threads} thread{'s' * (threads > 1)}"
    yield compare(row_id, text, "files/s", ours, "ext4",
                  measured.pop("ext4"), goal)
    for name, theirs in measured.items():
        yield compare(row_id, text, "files/s", ours, name, theirs,
                      Goal(">", 1) if name in behind else None)


def page_cached(bench):
    """W3"""
    src = data.small_tree(bench, bench.scale.small)
    names = data.shuffled(data.tree_names(bench.scale.small))
    few = names[:bench.scale.sample]
    peers = images(bench, src)
    peers["casync"] = casync_of(bench, src)
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(serve(bench,
                                           data.repository(bench, src)))
        ours = stack.enter_context(mounts.datamount(bench, server.url))
        ours.mount()
        roots = {"datamount": ours.dir, "ext4": src}
        for name, context in peers.items():
            roots[name] = stack.enter_context(maybe(context()))

        def of(name):
            """As many as take a second or so."""
            if name == "casync":
                return few
            return names if name == "squashfuse" else \
                names * max(1, 60000 // len(names))

        for threads in (1, 2):
            for name, root in roots.items():
                with contextlib.suppress(Missing):
                    rate(bench, root, of(name), threads)
            measured = bench.rounds({
                name: lambda name=name: rate(bench, roots[name], of(name),
                                             threads) for name in roots})
            what = f"{len(names):,} × 10 KiB shuffled, page-cached"
            yield from rows_of("W3", what, measured, threads,
                               Goal(">=", 0.75), ("casync",))


def disk_cached(bench):
    """W4: a new mount each time; all caches of the kernel are empty."""
    src = data.small_tree(bench, bench.scale.small)
    names = data.shuffled(data.tree_names(bench.scale.small))
    few = names[:bench.scale.sample]
    some = names[:len(names) // 10]  # images take seconds for these

    def native(threads):
        bench.drop_caches()
        return rate(bench, src, names, threads)

    def peer(context, which, threads):
        with context() as at:
            bench.drop_caches()
            return rate(bench, at, which, threads)

    with serve(bench, data.repository(bench, src)) as server, \
            mounts.datamount(bench, server.url) as ours:
        ours.mount()
        bench.read_files(ours.dir, names, 16)
        html = data.listed(bench, src)

        def again(threads):
            ours.again()
            bench.drop_caches()
            return rate(bench, ours.dir, names, threads)

        with serve(bench, html) as other, \
                maybe(mounts.rclone(bench, other.url)) as cached:
            with contextlib.suppress(Missing):
                rate(bench, cached, few, 1)

            def rclone(threads):
                bench.drop_caches()
                return rate(bench, cached, few, threads)

            for threads in (1, 2, 16):
                contestants = {"datamount": lambda: again(threads),
                               "ext4": lambda: native(threads)}
                for name, context in images(bench, src).items():
                    contestants[name] = lambda context=context: peer(
                        context, some, threads)
                contestants["casync"] = lambda: peer(casync_of(bench, src),
                                                     few, threads)
                contestants["rclone"] = lambda: rclone(threads)
                what = f"{len(names):,} × 10 KiB shuffled, disk cache warm, " \
                    "page cache dropped"
                yield from rows_of("W4", what, bench.rounds(contestants),
                                   threads, Goal(">=", 1.0),
                                   ("casync", "rclone"))
