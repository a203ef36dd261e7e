"""The fault matrix: a table of cases, and how each does its harm.

A Case is read while its fault is there and again when it is gone; flow says
otherwise where it is.  on(trial) begins the fault, off(trial) ends it.
"""
import dataclasses
import errno
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import time
import typing

import fault_trial
from fault_trial import (ANY, COLD, CORRUPT, DENIED, FILE, HALF, HTTP, HTTPS,
                         LONG, NONE, OFFLINE, WARM, Faults, Wrong, wait)

BRIEF = 1    # seconds; deadline of reads that are to fail
WEB = (HTTP, HTTPS)
ALL = (FILE, HTTP, HTTPS)
TEN_YEARS = 10 * 365 * 86400
MEMORY = frozenset({'ENOMEM'})
GONE = frozenset({'ENOTCONN', 'EIO', 'ECONNABORTED', 'EINTR', 'ENOENT',
                  'EBADF', 'ENODEV', 'WRONG names []'})  # the empty place


def nothing(_):
    """What needs no end."""


def reading(t):
    """Mount, fault, read, mend, read, unmount."""
    case = t.case
    t.mount()
    t.look_before()
    case.on(t)
    allowed = case.errors
    if t.warmth == WARM and case.cached_is_well:
        allowed = NONE
    t.reads('all', allowed, None if case.timeout == LONG else t.timeout)
    if t.warmth == HALF and case.cached_is_well:
        t.reads('d0/file2,d1/file3')
    t.not_in_argv()
    if case.hurts and t.warmth == COLD and not t.errors:
        raise Wrong('no read failed: the fault is none')
    if case.preload and case.counts and t.warmth == COLD and \
            not t.faults.failed():
        raise Wrong('no call was made to fail: the fault is none')
    case.off(t)
    t.heals()
    t.given_back()
    t.few_requests()
    t.end_mount()


@dataclasses.dataclass
class Case:
    """One line of the matrix."""
    name: str
    on: typing.Callable = nothing
    off: typing.Callable = nothing
    flow: typing.Callable = reading
    origins: tuple = ALL
    warmths: tuple = (COLD, HALF, WARM)
    errors: frozenset = NONE   # of reads of what is not cached
    cached_is_well: bool = True
    hurts: bool = False        # at least one read fails, cold
    timeout: int = LONG
    retries: int = 3           # of a request: in the second that reads have
                               # net.c waits for 0.1, 0.2 and 0.4 s at least
    part: typing.Union[int, str] = 0  # bytes of an answer that ends early;
                               # 'n': that of the rules
    keeps: bool = True         # what came once need not come again
    preload: bool = False
    counts: bool = True        # a call is made that fails, cold
    plain: bool = False        # a sanitizer would take it amiss
    tmpfs: str = ''            # the cache is on one, with these options
    damage: bool = False       # fsck may find some, once
    host: str = ''             # in the URL
    options: tuple = ()        # of mount


CASES = []


def case(name, *args, **more):
    CASES.append(Case(name, *args, **more))


# ---- the origin ----

def rules(*lines):
    """The server misbehaves: {w} is what, some packs or all; {p} one of the
    server's names of them, {n} a number below the size of the smallest."""
    def on(t):
        where = t.rnd.choice(['*', '/packs/*', '/' + t.bench.packs[-1]])
        t.n = t.rnd.randrange(300)
        t.server.rule(*(line.format(w=where, n=t.n,
                                    p='/' + t.bench.packs[-1],
                                    q='/' + t.bench.packs[0])
                        for line in lines))
    return on


def mended(t):
    t.server.clear()


def web(name, *lines, **more):
    """A case of rules."""
    if more.get('hurts') or more.get('errors'):
        more.setdefault('timeout', BRIEF)
    case(name, rules(*lines), mended, origins=more.pop('origins', WEB), **more)


def packs_of(t):
    return sorted(p for p in t.repo.glob('packs/*/*'))


def in_place(change):
    """A folder misbehaves: change(path, bytes) makes the new file."""
    def on(t):
        for p in packs_of(t):
            data = p.read_bytes()
            p.rename(str(p) + '.kept')
            change(t, p, data)
    return on


def put_back(t):
    for kept in t.repo.glob('packs/*/*.kept'):
        p = kept.with_suffix('')
        if p.is_dir() and not p.is_symlink():
            p.rmdir()
        else:
            p.unlink(missing_ok=True)
        kept.rename(p)


def folder(name, change, **more):
    if more.get('errors'):
        more.setdefault('timeout', BRIEF)
        more.setdefault('hurts', True)
    case(name, in_place(change), put_back, origins=(FILE,), **more)


def down(t):
    if t.server:
        t.server.stop()
    else:
        t.repo.rename(str(t.repo) + '-away')


def up(t):
    if t.server:
        t.server.start()
    else:
        (t.t / 'repo-away').rename(t.repo)


def down_at_mount(t):
    """What is cached mounts, and is read; else it fails soon, and leaves
    nothing."""
    t.files = t.outside()
    down(t)
    done = t.mount(ok=t.warmth != COLD)
    t.files |= t.outside()
    if t.warmth == COLD:
        if done.returncode == 0:
            raise Wrong('mounted from nowhere')
        if t.mounts() or fault_trial.processes(t.mark):
            raise Wrong('O5: a mount that failed leaves something')
        up(t)
        t.mount()
    else:
        t.before = fault_trial.Load(t.pids(), t.cache)
        t.reads('all' if t.warmth == WARM else 'd0/file2,d1/file3', NONE)
        up(t)
    t.heals()
    t.end_mount()


case('down at mount', flow=down_at_mount, timeout=BRIEF)
case('down', down, up, errors=ANY, hurts=True, timeout=BRIEF)
case('silent', lambda t: t.server.process.send_signal(signal.SIGSTOP),
     lambda t: t.server.process.send_signal(signal.SIGCONT), origins=WEB,
     errors=OFFLINE, hurts=True, timeout=BRIEF)
web('black hole', '{w} * barrier=never', errors=OFFLINE, hurts=True)
web('drop', '{w} * drop', errors=OFFLINE, hurts=True)
web('one byte a second', '{w} * drip=1', errors=OFFLINE, hurts=True)
web('stall', '{w} * stall={n}', errors=OFFLINE, hurts=True)
web('truncated', '{w} * truncate={n}', errors=OFFLINE, part='n')
web('truncated far', '{w} * truncate=70000', part=70000)
web('reset', '{w} * reset={n}', errors=OFFLINE, part='n')
web('reset far', '{w} * reset=70000', part=70000)
web('hangup', '{w} * hangup')
web('wrong bytes', '/packs/* * flip=5', errors=CORRUPT, hurts=True)
web('wrong byte far', '{p} * flip=900000', errors=CORRUPT)
web('wrong byte once', '{w} 1 flip=7', '{p} 1 flip=8')
web('swapped', '{p} * swap={q}', '{q} * swap={p}', errors=CORRUPT, hurts=True)
web('html', '{w} * html', errors=CORRUPT, hurts=True)
web('html, endless', '{w} * html endless', errors=CORRUPT, hurts=True)
web('extra tail', '{w} * tail=100000')
web('endless', '{p} * endless')
web('endless chunks', '{p} * endless chunked')
web('length too small', '{p} * length=5', errors=CORRUPT | OFFLINE)
web('length too large', '{p} * length=1000000000000000')
web('encoded', '{w} * header=Content-Encoding:gzip', errors=CORRUPT,
    hurts=True)
web('no HTTP', '{w} * raw=SSH-2.0-x', errors=CORRUPT, hurts=True)
for number in 500, 502, 503, 504, 507:
    web(f'status {number}', f'{{w}} * status={number}', errors=OFFLINE,
        hurts=True)
for text in ('0', '-1', '99999999999999999999', 'soon', '1.5',
             'Thu,_01_Jan_1970_00:00:00_GMT', 'Fri,_31_Dec_9999_23:59:59_GMT'):
    web(f'429 after {text}', f'{{w}} * status=429 retry-after={text}',
        errors=OFFLINE, hurts=True)
for number in (400, 401, 402, 403, 404, 405, 406, 407, 408, 409, 410, 411, 412,
               413, 414, 415, 416):
    web(f'status {number}', f'{{w}} * status={number}', errors=ANY, hurts=True)
for number in 204, 300, 304:
    web(f'status {number}', f'{{w}} * status={number}', errors=CORRUPT,
        hurts=True)
web('wrong range', '{w} * shift=1', errors=CORRUPT, hurts=True)
for text in ('bytes_*/*', 'bytes_0-0/0', 'bytes_9-1/2', 'lines_0-1/2', '-',
             'bytes_18446744073709551615-18446744073709551616/9'):
    web(f'range is {text}', f'{{w}} * content-range={text}',
        errors=CORRUPT, hurts=True)
web('short range', '{w} * short=50000', part=50000)
web('no ranges', '{w} * norange')
web('no ranges, chunked', '{w} * norange chunked')


def redirect_to(to):
    """Each pack lies elsewhere: {port} is this server's."""
    def on(t):
        (t.repo / 'alias').symlink_to('.')
        if '{other}' in to:
            t.other = fault_trial.Server(t, 'other.log')
        other = t.other.port if t.other else 0
        t.server.rule(*(f'/{p} * redirect=' + to.format(
            port=t.server.port, path=p, other=other) for p in t.bench.packs))
    return on


def no_alias(t):
    (t.repo / 'alias').unlink()
    t.server.clear()


def redirect(name, to, origins=WEB, **more):
    if more.get('errors'):
        more.setdefault('timeout', BRIEF)
        more.setdefault('hurts', True)
    case('redirect ' + name, redirect_to(to), no_alias, origins=origins, **more)


redirect('to another host', 'http://localhost:{port}/alias/{path}', (HTTP,))
redirect('to another scheme', 'https://localhost:{port}/alias/{path}')
redirect('to plaintext', 'http://127.0.0.1:{port}/alias/{path}', (HTTPS,),
         errors=DENIED)
redirect('to another port', 'https://localhost:{other}/{path}')
redirect('to a closed port', 'https://localhost:1/{path}', errors=OFFLINE)
redirect('to file:', 'file:///etc/passwd', errors=ANY)
redirect('to ftp:', 'ftp://127.0.0.1:{port}/{path}', errors=ANY)
redirect('loop', '/{path}', errors=DENIED)
redirect('to metadata', 'http://169.254.169.254/latest', errors=DENIED)


def other_certificate(**how):
    def on(t):
        t.server.stop()
        t.server.start(**how)
    return on


def good_certificate(t):
    t.server.stop()
    t.server.start()


for name, how in (('expired', {'cert': 'old'}), ('wrong host', {
        'cert': 'other'}), ('stranger', {'cert': 'stranger'})):
    case(f'TLS {name}', other_certificate(**how), good_certificate,
         origins=(HTTPS,), errors=DENIED, hurts=True, timeout=BRIEF)
case('TLS missing', other_certificate(plain=True), good_certificate,
     origins=(HTTPS,), errors=CORRUPT, hurts=True, timeout=BRIEF)
case('no name server', lambda t: t.faults.set(no_names=1),
     lambda t: t.faults.set(), origins=WEB, errors=OFFLINE, preload=True,
     host='origin.test', timeout=BRIEF)
web('trouble with every other request', '* 1 status=503', '* 3 reset=0',
    '* 5 status=429 retry-after=0', '* 7 truncate=100', '* 9 status=500',
    '* 11 drop', '* 13 reset=50', '* 15 hangup')


def at_random(t):
    """5 to 20 % of all answers."""
    part = t.rnd.uniform(0.05, 0.2)
    kinds = ('drop', 'reset=99', 'truncate=5000', 'status=500', 'hangup',
             'status=429 retry-after=0', 'reset=0', 'delay=50', 'short=9000')
    t.server.rule(*(f'* {n} {t.rnd.choice(kinds)}' for n in range(1, 300)
                    if t.rnd.random() < part))


case('at random', at_random, mended, origins=WEB)

folder('cut off', lambda t, p, data: p.write_bytes(
    data[:t.rnd.randrange(len(data))]), errors=CORRUPT)
folder('zeroed', lambda t, p, data: p.write_bytes(bytes(len(data))),
       errors=CORRUPT)
folder('longer', lambda t, p, data: p.write_bytes(data + bytes(9999)))
folder('missing', lambda t, p, data: None, errors=CORRUPT)
folder('page', lambda t, p, data: p.write_bytes(b'<html>' * 9),
       errors=CORRUPT)
folder('pipe', lambda t, p, data: os.mkfifo(p), errors=CORRUPT)
folder('directory', lambda t, p, data: p.mkdir(), errors=CORRUPT | DENIED)
folder('loop', lambda t, p, data: p.symlink_to(p.name), errors=ANY | {
    'EINVAL'})
folder('exchanged', lambda t, p, data: p.write_bytes(
    (t.bench.repo / t.bench.packs[t.bench.packs.index(
        str(p.relative_to(t.repo))) - 1]).read_bytes()), errors=CORRUPT)


# ---- the disk of the cache ----

def failing(**how):
    def on(t):
        t.faults.set(device=os.stat(t.cache).st_dev, **how)
    return on


def disk(name, cold=True, **how):
    """Calls on the cache fail; reads do not."""
    case(name, failing(**how), lambda t: t.faults.set(), preload=True,
         keeps=False, tmpfs='size=64m',
         warmths=(COLD, HALF, WARM) if cold else (HALF, WARM))


for number in errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS:
    word = errno.errorcode[number]
    disk(f'{word} on write', calls=Faults.WRITE, error=number)
    disk(f'{word} on the third write', calls=Faults.WRITE, error=number,
         every=3)
    disk(f'{word} on sizes', calls=Faults.SIZE, error=number)
    disk(f'{word} on new files', calls=Faults.CREATE, error=number)
    disk(f'{word} on all', calls=Faults.ALL_WRITES, error=number)
disk('EIO on read', calls=Faults.READ, error=errno.EIO)
disk('EIO on the third read', calls=Faults.READ, error=errno.EIO, every=3)
disk('EIO on names', calls=Faults.NAME | Faults.CREATE, error=errno.EIO)
disk('short writes', calls=Faults.WRITE)
disk('short reads', calls=Faults.READ)
disk('slow disk', calls=Faults.WRITE | Faults.READ, delay_us=2000)
case('full disk', tmpfs='size=256k', keeps=False)
case('no inodes', tmpfs='size=64m,nr_inodes=12', keeps=False)


def files_of(t, pattern='**/*'):
    return sorted(p for p in t.cache.glob(pattern) if p.is_file()
                  and not p.is_symlink())


def vandal(change, pattern='**/*'):
    """What the daemon removes or makes anew meanwhile, such as the journal
    of its index, is left alone."""
    def on(t):
        for p in files_of(t, pattern):
            try:
                change(t, p)
            except (FileNotFoundError, FileExistsError):
                pass
    return on


def flip(t, p):
    data = bytearray(p.read_bytes())
    if data:
        data[t.rnd.randrange(len(data))] ^= 0x55
        with open(p, 'r+b') as f:
            f.write(data)


def resize(t, p, size):
    os.truncate(p, size)


def zero(t, p):
    size = p.stat().st_size
    os.truncate(p, 0)
    os.truncate(p, size)


def instead(make):
    def change(t, p):
        p.unlink()
        make(t, p)
    return change


def harm(name, change, **more):
    case(name, vandal(change, more.pop('pattern', '**/*')), damage=True,
         warmths=more.pop('warmths', (WARM, HALF)), **more)


harm('cache files cut', lambda t, p: os.truncate(
    p, t.rnd.randrange(p.stat().st_size + 1)))
harm('cache files grown', lambda t, p: os.truncate(
    p, p.stat().st_size + t.rnd.choice([1, 4096, 1 << 22])))
harm('cache files zeroed', zero)
harm('cache files flipped', flip)
harm('cache files removed', lambda t, p: p.unlink())
harm('cache files are links', instead(
    lambda t, p: p.symlink_to(t.bench.src / 'large')))
harm('cache files are directories', instead(lambda t, p: p.mkdir()))
harm('cache files are pipes', instead(lambda t, p: os.mkfifo(p)))
harm('maps say all is there', lambda t, p: p.write_bytes(
    p.read_bytes()[:64] + b'\xff' * (p.stat().st_size - 64)),
    pattern='blobs/*/*.map')
harm('the count is another', lambda t, p: p.write_bytes(
    p.read_bytes()[:8] + b'\xff' * 56), pattern='usage')


def remove_cache(t):
    """The daemon makes and removes files in it meanwhile."""
    def removed():
        shutil.rmtree(t.cache, ignore_errors=True)
        return not t.cache.exists()
    wait(removed, 'the cache cannot be removed')


def cache_leads_elsewhere(t):
    """Nothing may be written there."""
    (t.t / 'planted' / 'elsewhere').mkdir()
    t.cache.rename(t.t / 'planted' / 'cache')
    t.cache.symlink_to(t.t / 'planted' / 'elsewhere')


def cache_is_back(t):
    if list((t.t / 'planted' / 'elsewhere').iterdir()):
        raise Wrong('O5: written behind a link')
    t.cache.unlink()
    (t.t / 'planted' / 'elsewhere').rmdir()
    (t.t / 'planted' / 'cache').rename(t.cache)


case('cache removed', remove_cache, keeps=False)
case('cache is a link', cache_leads_elsewhere, cache_is_back, keeps=False)


# ---- processes ----

def reading_while(act, allowed=NONE, settle=None):
    """Readers run while act(t) is done."""
    def flow(t):
        t.mount()
        t.look_before()
        readers = [t.reader('all') for _ in range(2)]
        try:
            act(t)
        finally:
            for reader in readers:
                t.judge(t.finish(reader), allowed)
        if settle:
            settle(t)
        t.heals()
        t.given_back()
        t.few_requests()
        t.end_mount()
    return flow


def kill_worker(t):
    for _ in range(3):
        s = t.status()
        os.kill(s['worker'], signal.SIGKILL)
        wait(lambda w=s['worker']: t.status()['worker'] != w,
             'no new worker')


def stop_and_go(who):
    def act(t):
        pid = t.status()[who]
        os.kill(pid, signal.SIGSTOP)
        time.sleep(t.rnd.uniform(0.05, 0.3))
        os.kill(pid, signal.SIGCONT)
    return act


case('worker killed', flow=reading_while(kill_worker))
case('worker stopped', flow=reading_while(stop_and_go('worker')))
case('supervisor stopped', flow=reading_while(stop_and_go('pid')))
for years, by in ((10, TEN_YEARS), (-10, -TEN_YEARS)):
    case(f'clock off by {years} years',
         lambda t, by=by: t.faults.set(clock_s=by), lambda t: t.faults.set(),
         preload=True, counts=False, origins=(FILE, HTTP))
    case(f'clock off by {years} years, certificates',
         lambda t, by=by: t.faults.set(clock_s=by), lambda t: t.faults.set(),
         preload=True, origins=(HTTPS,), errors=DENIED, timeout=BRIEF)


def prlimit(t, *what):
    for pid in [t.status()['worker']]:
        fault_trial.sh('prlimit', '--pid', str(pid), *what)


def few_descriptors(t):
    n = max(int(f) for f in os.listdir(f'/proc/{t.status()["worker"]}/fd'))
    prlimit(t, f'--nofile={n + 2}:')


def little_memory(t):
    with open(f'/proc/{t.status()["worker"]}/statm', encoding='ascii') as f:
        size = int(f.read().split()[0]) * 4096
    prlimit(t, f'--as={size + (1 << 20)}:')


# Where no file can be opened, what was fetched is kept in none.
case('few descriptors', few_descriptors, lambda t: prlimit(
    t, '--nofile=1024:'), errors=ANY | MEMORY, cached_is_well=False,
    plain=True, keeps=False, timeout=BRIEF)
case('little memory', little_memory, lambda t: prlimit(
    t, '--as=unlimited:'), errors=ANY | MEMORY, cached_is_well=False,
    plain=True, timeout=BRIEF)
for number in 300, 2000:
    case(f'each {number}th malloc fails', lambda t, n=number: t.faults.set(
        malloc_every=n), lambda t: t.faults.set(), preload=True,
        errors=ANY | MEMORY, cached_is_well=False, timeout=BRIEF)
case('no threads', lambda t: t.faults.set(no_threads=1),
     lambda t: t.faults.set(), errors=ANY | MEMORY, preload=True, origins=WEB,
     host='origin.test', timeout=BRIEF)


def signals_at_mount(t):
    """A mount that gets a signal is there, or not at all."""
    t.files = t.outside() | {str(t.data)}
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP,
                   signal.SIGQUIT):
        child = subprocess.Popen(
            ['datamount', 'mount', '-q', '--no-git', '--source', t.pin,
             t.data], env=t.env(), cwd=t.t, stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(t.rnd.uniform(0, 0.08))
        child.send_signal(number)
        child.wait(fault_trial.PATIENCE)

        def settled():
            # One that began before who asked for it died is still undone.
            if not t.mounts():
                return not fault_trial.processes(t.mark)
            done = t.dm('status', '--json', t.data, ok=False)
            return done.returncode == 0 and \
                json.loads(done.stdout)[0]['state'] == 'ok'
        wait(settled, 'half a mount')
        if not t.mounts() and child.returncode == 0:
            raise Wrong('O4: a mount that was acknowledged is not there')
        if t.mounts():
            t.reads('whole')
            t.umount()
            t.ended()
    t.mount()
    t.before = fault_trial.Load(t.pids(), t.cache)
    t.heals()
    t.end_mount()


case('signals while it mounts', flow=signals_at_mount)


# ---- the kernel ----

def umount_busy(t):
    """It is refused, names who uses it, and harms nobody."""
    t.mount()
    t.look_before()
    with open(t.data / 'd0/file2', 'rb'):
        done = t.dm('umount', t.data, ok=False)
        if done.returncode != 1 or str(os.getpid()) not in done.stderr:
            raise Wrong(f'umount exits {done.returncode}: {done.stderr}')
        t.reads('all')
    t.heals()
    t.given_back()
    t.end_mount()


def unmounted_by(how, allowed):
    """Readers run while it is unmounted; then it is mounted anew."""
    def flow(t):
        t.mount()
        t.look_before()
        readers = [t.reader('all') for _ in range(2)]
        how(t)
        for reader in readers:
            t.judge(t.finish(reader), allowed)
        wait(lambda: not t.mounts() and not fault_trial.processes(t.mark),
             lambda: f'O5: left: {t.mounts()} '
             f'{fault_trial.processes(t.mark)}')
        t.mount()
        t.heals()
        t.end_mount()
    return flow


def lazily(t):
    t.dm('umount', '--lazy', t.data)


def forced(t):
    subprocess.run(['umount', '-f', t.data], check=False,
                   stderr=subprocess.DEVNULL)
    subprocess.run(['umount', '-l', t.data], check=False,
                   stderr=subprocess.DEVNULL)


def aborted(t):
    minor = os.minor(os.stat(t.data).st_dev)
    control = t.t / 'planted' / 'control'
    control.mkdir()
    fault_trial.sh('mount', '-t', 'fusectl', 'none', str(control))
    try:
        (control / str(minor) / 'abort').write_text('1')
    finally:
        fault_trial.sh('umount', '-l', str(control))


def killed_readers(t):
    """Who waits for bytes that do not come can be killed at once."""
    t.mount()
    t.look_before()
    t.server.rule('/packs/* * barrier=never')
    readers = [t.reader('all') for _ in range(3)]
    t.server.ask('POST', 'wait', '/packs/* 1')
    wait(lambda: all(reader.begun() for reader in readers), 'no reader reads')
    for reader in readers:
        reader.kill()
    begin = time.monotonic()
    for reader in readers:
        reader.wait(fault_trial.PATIENCE)
        reader.out.unlink()
    if time.monotonic() - begin > 20:
        raise fault_trial.Late('O2: killed readers do not end')
    t.server.clear()
    t.server.ask('POST', 'release', 'never')
    t.heals()
    t.given_back()
    t.few_requests()
    t.end_mount()


def all_waiting(t):
    """Misses that wait do not keep hits and listings waiting."""
    t.mount()
    t.look_before()
    t.reads('d0/file2,d1/file3')
    t.server.rule(f'/{t.bench.packs[-1]} * barrier=gate')
    readers = [t.reader('apart') for _ in range(2)]
    t.server.ask('POST', 'wait', f'/{t.bench.packs[-1]} 1')
    wait(lambda: t.status()['cache']['waiting'] >= 40, 'few wait')
    t.judge(t.finish(t.reader('d0/file2,d1/file3'), 10), NONE)
    os.listdir(t.data)
    t.server.ask('POST', 'release', 'gate')
    for reader in readers:
        t.judge(t.finish(reader), NONE)
    t.server.clear()
    t.heals()
    t.given_back()
    t.few_requests()
    t.end_mount()


def drop_caches(t):
    for _ in range(5):
        with open('/proc/sys/vm/drop_caches', 'w', encoding='ascii') as f:
            f.write('2')
        time.sleep(0.01)


def asked_again(t):
    """The kernel asks again for a page that it did not get."""
    t.mount()
    t.look_before()
    os.stat(t.data / 'large')
    t.server.rule(f'/{t.bench.packs[-1]} * barrier=never')
    calls = t.finish(t.reader('cached'))
    if t.judge(calls, OFFLINE) < len(calls):
        raise Wrong('the fault is none')
    if max(seconds for _, _, seconds, _ in calls) > 1.9 * t.timeout:
        raise fault_trial.Late(f'O2: {t.timeout} s, and more: {calls}')
    t.server.clear()
    t.heals()
    t.given_back()
    t.few_requests()
    t.end_mount()


case('asked again by the kernel', flow=asked_again, origins=WEB,
     warmths=(COLD, HALF), timeout=3 * BRIEF, retries=4)
case('unmount while in use', flow=umount_busy)
case('unmount lazily', flow=unmounted_by(lazily, GONE))
case('unmount by force', flow=unmounted_by(forced, GONE))
case('abort', flow=unmounted_by(aborted, GONE))
case('readers killed', flow=killed_readers, origins=WEB, warmths=(COLD,))
case('all wait', flow=all_waiting, origins=WEB, warmths=(COLD,))
case('caches dropped', flow=reading_while(drop_caches))


# ---- several processes ----

def index(t):
    return t.cache / 'index-v1.sqlite'


def index_busy(t):
    t.lock = sqlite3.connect(index(t), isolation_level=None,
                             check_same_thread=False)
    t.lock.execute('BEGIN EXCLUSIVE')


def index_free(t):
    t.lock.close()


def lying_index(t):
    """It names blobs that are not there, and says they were just used."""
    base = sqlite3.connect(index(t), timeout=30)
    with base:
        for table, in list(base.execute(
                "SELECT name FROM sqlite_master WHERE type = 'table'")):
            base.execute(f'DELETE FROM "{table}"')
    base.close()


def with_index(on):
    """The index is written a second after the first use."""
    def flow_on(t):
        t.reads('d0/file2')
        wait(index(t).exists, 'no index')
        on(t)
    return flow_on


case('index busy', with_index(index_busy), index_free)
case('index removed', with_index(lambda t: index(t).unlink()))
case('index empty', with_index(lambda t: os.truncate(index(t), 0)))
case('index is noise', with_index(lambda t: index(t).write_bytes(
    t.rnd.randbytes(20000))))
case('index has lost all', with_index(lying_index))


def other_versions(t):
    """A cache that an older and a newer program left."""
    for name in 'index-v0.sqlite', 'index-v2.sqlite', 'usage-v2', 'new':
        (t.cache / name).write_bytes(b'of another version' * 9)
    for p in files_of(t, 'blobs/*/*.map'):
        p.write_bytes(b'DMmapc02' + p.read_bytes()[8:])
    for p in files_of(t, 'usage'):
        p.write_bytes(b'DMusec02' + p.read_bytes()[8:])
    (t.cache / 'limit').write_text('unlimited\n')
    reading(t)


case('cache of other versions', flow=other_versions, damage=True)


def with_others(t, n):
    """Mount n more at the same cache."""
    t.more = [t.t / f'data{i}' for i in range(n)]
    for place in t.more:
        t.files |= {str(place)}
        t.dm('mount', '-q', '--no-git', '--source', t.pin, place)


def several(act):
    """Three daemons, whose readers run while act(t) is done."""
    def flow(t):
        t.mount()
        t.look_before()
        with_others(t, 2)
        readers = []
        first = t.data
        for place in [first] + t.more:
            t.data = place
            readers.append(t.reader('all'))
        t.data = first
        act(t)
        for reader in readers:
            t.judge(t.finish(reader), NONE)
        for place in t.more:
            t.dm('umount', place)
        t.heals()
        t.given_back()
        t.few_requests()
        t.end_mount()
    return flow


def kill_others(t):
    for place in t.more:
        done = t.dm('status', '--json', place)
        os.kill(json.loads(done.stdout)[0]['worker'],
                signal.SIGKILL)


def tiny_limit(t):
    t.dm('cache', 'limit', '300K')
    kill_others(t)


def remove_files(t):
    kill_others(t)
    for p in files_of(t, 'blobs/*/*'):
        if t.rnd.random() < 0.5:
            p.unlink(missing_ok=True)


def stop_other(t):
    """It keeps its locks."""
    done = t.dm('status', '--json', t.more[0])
    pid = json.loads(done.stdout)[0]['worker']
    os.kill(pid, signal.SIGSTOP)
    t.data = t.more[1]
    t.reads('whole')
    t.data = t.t / 'data'
    os.kill(pid, signal.SIGCONT)


case('others killed', flow=several(kill_others))
case('others killed, and evictions', flow=several(tiny_limit), keeps=False)
case('others killed, and files removed', flow=several(remove_files),
     damage=True, keeps=False)
case('others killed on a full disk', flow=several(kill_others),
     tmpfs='size=256k', keeps=False)
case('another stopped', flow=several(stop_other))


# ---- publishers ----

def publisher(t, name, *more):
    return subprocess.Popen(
        ['datamount', 'commit', '-q', t.t / 'planted' / name,
         f'{t.repo}@main', '-m', name, *more], env=t.env(), cwd=t.t,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def make_source(t, name, size=50000):
    top = t.t / 'planted' / name
    top.mkdir()
    for i in range(5):
        (top / f'{name}{i}').write_bytes(t.rnd.randbytes(size))


def acknowledged(t, children):
    """O4: what each was told is in the history, and verifies."""
    ids = []
    for child in children:
        out, error = child.communicate(timeout=fault_trial.PATIENCE)
        t.said.append(out + error)
        if child.returncode == 0:
            ids.append(out.strip())
        elif not error.startswith('datamount: '):
            raise Wrong(f'a publisher exits {child.returncode}: {error}')
    log = t.dm('log', t.repo).stdout
    for commit in ids:
        if commit[:8] not in log:
            raise Wrong(f'O4: {commit} was acknowledged, and is not in {log}')
        t.dm('verify', '-q', f'{t.repo}@{commit}')
    return ids


def own_repo(t):
    """Files of the template may not be written to."""
    shutil.rmtree(t.repo)
    shutil.copytree(t.bench.repo, t.repo)


def two_publishers(t):
    own_repo(t)
    for name in 'one', 'two':
        make_source(t, name)
    if not acknowledged(t, [publisher(t, n) for n in ('one', 'two')]):
        raise Wrong('neither could publish')
    t.files = t.outside()
    t.mount()
    t.before = fault_trial.Load(t.pids(), t.cache)
    t.heals()
    t.end_mount()


def publisher_and_gc(t):
    own_repo(t)
    t.files = t.outside()
    t.mount()
    for i in range(3):
        make_source(t, f'new{i}')
        child = publisher(t, f'new{i}')
        t.dm('gc', '-q', t.repo, ok=False)
        acknowledged(t, [child])
    t.files = t.outside()
    t.before = fault_trial.Load(t.pids(), t.cache)
    t.heals()
    t.end_mount()


def full_repository(t):
    """A disk that is full while a version is published."""
    shutil.rmtree(t.repo)
    t.repo.mkdir()
    fault_trial.sh('mount', '-t', 'tmpfs', '-o', 'size=4m', 'tmpfs',
                   str(t.repo))
    try:
        shutil.copytree(t.bench.repo, t.repo, dirs_exist_ok=True)
        make_source(t, 'big', 1000000)
        if acknowledged(t, [publisher(t, 'big')]):
            raise Wrong('O4: 5 MB were published on a disk of 4 MB')
        t.dm('verify', '-q', f'{t.repo}@{t.bench.commit}')
        fault_trial.sh('mount', '-o', 'remount,size=32m', str(t.repo))
        if not acknowledged(t, [publisher(t, 'big')]):
            raise Wrong('O3: what did not fit does not fit still')
        t.files = t.outside()
        t.mount()
        t.before = fault_trial.Load(t.pids(), t.cache)
        t.heals()
        t.end_mount()
    finally:
        subprocess.run(['umount', '-l', t.repo], check=False)


case('two publishers', flow=two_publishers, origins=(FILE,), warmths=(COLD,))
case('publisher and gc', flow=publisher_and_gc, origins=(FILE,),
     warmths=(COLD, WARM))
case('published on a full disk', flow=full_repository, origins=(FILE,),
     warmths=(COLD,))
