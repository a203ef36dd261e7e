"""A trial of the fault matrix, and the one checker of all of them.

A Bench has what trials share: the data, a repository of it, certificates.  A
Trial is a directory of its own with a home, a cache, a copy of the repository
and, unless the origin is a folder, a server; it mounts, and asserts:

O1 each read gives the right bytes or an errno that the case allows
O2 no call outlives its deadline by more than a tenth; nothing stays in D
O3 when the fault is gone the same reads work, without a remount
O4 what was acknowledged is there (the cases say what that is)
O5 nothing is created elsewhere; descriptors, threads, memory are given back
O6 the cache is clean
O7 no secret is in any output, log, file or command line
O8 requests at the origin: at most (1 + retries) x what a run without the fault
   asks for, and each read that failed
"""
import collections
import ctypes
import http.client
import itertools
import json
import os
import pathlib
import random
import re
import select
import shutil
import signal
import socket
import struct
import subprocess
import sys
import threading
import time

HERE = pathlib.Path(__file__).resolve().parent
SECRET = 'CANARY-6f1c'  # is in the query of every URL, and in the environment
PATIENCE = 60           # seconds for what has no deadline of its own
LONG = 120              # seconds; deadline of reads that are not to fail
WARM, HALF, COLD = 'warm', 'half', 'cold'
FILE, HTTP, HTTPS = 'file', 'http', 'https'
MARK = 'DM_TRIAL'
# Allowed for reads of what is not cached, while the case says so.
OFFLINE = frozenset({'ETIMEDOUT'})
CORRUPT = frozenset({'EIO', 'ETIMEDOUT'})
DENIED = frozenset({'EACCES'})
ANY = OFFLINE | CORRUPT | DENIED
NONE = frozenset()


class Wrong(Exception):
    """An oracle was not met."""


class Late(Wrong):
    """O2, which a machine that is too busy breaks, too."""


class Skip(Exception):
    """This machine cannot do it."""


def wait(what, instead, patience=PATIENCE):
    """Wait for a condition."""
    end = time.monotonic() + patience
    while not (result := what()):
        if time.monotonic() > end:
            raise Wrong(instead() if callable(instead) else instead)
        time.sleep(0.01)
    return result


class Faults:
    """What preload.c is told: see there."""
    LAYOUT = struct.Struct('=IIIIQqIIIIQQ')
    WRITE, CREATE, NAME, SYNC, READ, SIZE = 1, 2, 4, 8, 16, 32
    ALL_WRITES = WRITE | CREATE | NAME | SYNC | SIZE

    def __init__(self, path):
        self.path = path
        path.write_bytes(bytes(self.LAYOUT.size))

    def set(self, calls=0, error=0, every=1, delay_us=0, device=0, clock_s=0,
            no_names=0, malloc_every=0, no_threads=0):
        """Each is from now on as given; nothing given, nothing goes wrong."""
        new = self.LAYOUT.pack(calls, error, every, delay_us, device, clock_s,
                               no_names, malloc_every, no_threads, 0, 0, 0)
        with open(self.path, 'r+b') as f:
            f.write(new[:-16])

    def failed(self):
        """How many calls were made to fail."""
        return self.LAYOUT.unpack(self.path.read_bytes())[-1]


def sh(*argv, **more):
    """Run what must work."""
    return subprocess.run(argv, check=True, text=True, capture_output=True,
                          timeout=PATIENCE, **more).stdout


class Starter:
    """fault_reader.py: starts readers for all trials, in turn."""

    def __init__(self):
        self.lock = threading.Lock()
        self.process = subprocess.Popen(
            [sys.executable, '-S', '-E', '-B', HERE / 'fault_reader.py'],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def ask(self, *command):
        with self.lock:
            self.process.stdin.write(json.dumps(command) + '\n')
            self.process.stdin.flush()
            return int(self.process.stdout.readline())

    def stop(self):
        self.process.stdin.close()
        self.process.wait(PATIENCE)


class Child:
    """A reader.  Its output is a file, so that what it did is known even if
    it hangs."""

    def __init__(self, starter, out, *args):
        self.starter, self.out, self.returncode = starter, out, None
        self.pid = starter.ask('read', str(out), *args)
        self.fd = os.pidfd_open(self.pid)

    def wait(self, seconds):
        """Is it over?"""
        if self.returncode is None:
            poll = select.poll()
            poll.register(self.fd, select.POLLIN)
            if not poll.poll(seconds * 1000):
                return False
            os.close(self.fd)
            self.returncode = self.starter.ask('reap', self.pid)
        return True

    def begun(self):
        """Has it told of its first call?"""
        return self.out.exists() and self.out.stat().st_size > 0

    def kill(self):
        os.kill(self.pid, signal.SIGKILL)

    def lines(self):
        """What it wrote, decoded; its file is removed."""
        text = self.out.read_text().splitlines()
        self.out.unlink()
        try:
            return [json.loads(line) for line in text]
        except ValueError as error:
            raise Wrong(f'the reader says {text[-5:]}') from error


class Bench:
    """What all trials share."""

    def __init__(self, top, build):
        self.top, self.build = pathlib.Path(top), pathlib.Path(build)
        self.src, self.repo = self.top / 'src', self.top / 'repo'
        self.make_data()
        env = dict(os.environ, HOME=str(self.top), XDG_STATE_HOME=str(
            self.top / 'state'), DATAMOUNT_CACHE=str(self.top / 'cache'))
        sh('datamount', 'init', '-q', str(self.repo), env=env)
        # A version before, so that packs are of several ages.
        sh('datamount', 'commit', '-q', str(self.src / 'd0'),
           f'{self.repo}@main', '-m', 'd0', env=env)
        self.commit = sh('datamount', 'commit', '-q', str(self.src),
                         f'{self.repo}@main', '-m', 'all', env=env).strip()
        self.id = (self.repo / 'datamount').read_text().split()[-1]
        packs = sorted(self.repo.glob('packs/*/*'),
                       key=lambda p: p.stat().st_size)
        self.packs = [str(p.relative_to(self.repo)) for p in packs]
        self.make_certificates()
        # Such programs have much memory of their own, and load nothing else
        # before it.
        self.sanitized = not (self.build / 'preload.so').exists()
        self.starter = Starter()
        self.quiet = None  # a case without a fault
        self.asked, self.asking = {}, threading.Lock()

    def asked_for(self, origin, warmth, seed):
        """How many requests a trial makes whose case is no fault."""
        with self.asking:
            if (origin, warmth) not in self.asked:
                trial = Trial(self, self.quiet, origin, warmth, seed)
                trial.run()
                self.asked[origin, warmth] = trial.requests
            return self.asked[origin, warmth]

    def make_data(self):
        rnd = random.Random('data')
        sizes = {f'd{i % 2}/file{i}': 9000 * i + 17 for i in range(6)}
        sizes |= {f'd1/deep/small{i}': 60 * i + 1 for i in range(20)}
        sizes |= {'large': 2600000, 'd0/none': 0}
        self.bytes = sum(sizes.values())
        for name, size in sizes.items():
            (self.src / name).parent.mkdir(parents=True, exist_ok=True)
            (self.src / name).write_bytes(rnd.randbytes(size))
        (self.src / 'd1/link').symlink_to('deep/small3')

    def make_certificates(self):
        """good.pem for localhost and origin.test, old.pem that has expired,
        other.pem for another host; stranger.pem of another authority."""
        def openssl(*args):
            sh('openssl', *args, cwd=self.top)
        key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256',
               '-nodes']
        for who in 'ca', 'stranger':
            openssl('req', '-x509', *key, '-keyout', f'{who}.key', '-out',
                    f'{who}.pem', '-days', '20000', '-subj', f'/CN={who}',
                    *(['-addext', 'subjectAltName=DNS:localhost']
                      if who == 'stranger' else []))
        openssl('req', *key, '-keyout', 'key.pem', '-out', 'csr.pem', '-subj',
                '/CN=test')
        for who, names, days in (
                ('good', 'DNS:localhost,DNS:origin.test', '30'),
                ('old', 'DNS:localhost', '-1'),
                ('other', 'DNS:elsewhere.test', '30')):
            (self.top / 'names').write_text(f'subjectAltName={names}\n')
            openssl('x509', '-req', '-in', 'csr.pem', '-CA', 'ca.pem',
                    '-CAkey', 'ca.key', '-set_serial', '1', '-days', days,
                    '-extfile', 'names', '-out', f'{who}.pem')


class Server:
    """tests/lib/httpd: on one port, whatever happens to its process."""

    def __init__(self, trial, log='httpd.log'):
        self.trial, self.process = trial, None
        # While this is bound nobody else is given the port.
        self.held = socket.socket()
        self.held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.held.bind(('127.0.0.1', 0))
        self.port = self.held.getsockname()[1]
        self.log = trial.t / 'planted' / log
        self.start()

    def start(self, cert='good', plain=False):
        """Also again, after stop()."""
        bench = self.trial.bench
        tls = [] if plain else [
            '--cert', bench.top / f'{cert}.pem', '--key',
            bench.top / ('stranger.key' if cert == 'stranger' else 'key.pem')]
        self.process = subprocess.Popen(
            [bench.build / 'httpd', '--port', str(self.port), *tls,
             '--log', self.log, self.trial.repo],
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        if int(self.process.stdout.readline() or 0) != self.port:
            raise Wrong('the server does not start')

    def stop(self):
        """Nothing listens there any more."""
        if self.process:
            self.process.send_signal(signal.SIGCONT)
            self.process.kill()
            self.process.wait()
            self.process.stdout.close()
            self.process = None

    def ask(self, method, path, body=None):
        """The server's control."""
        to = http.client.HTTPConnection('127.0.0.1', self.port,
                                        timeout=PATIENCE)
        to.request(method, '/.ctl/' + path, body)
        answer = to.getresponse()
        text = answer.read().decode()
        to.close()
        if answer.status != 200:
            raise Wrong(f'httpd: {path} {body}: {text}')
        return text

    def rule(self, *rules):
        self.ask('POST', 'rule', '\n'.join(rules))

    def clear(self):
        self.ask('POST', 'clear', '')

    def count(self, pattern='*'):
        return int(self.ask('GET', 'count?' + pattern))


def processes(mark):
    """What has this mark in its environment, and is no zombie."""
    found, mark = [], f'{MARK}={mark}'.encode()
    for name in os.listdir('/proc'):
        try:
            if name.isdigit() and int(name) != os.getpid():
                with open(f'/proc/{name}/environ', 'rb') as f:
                    if mark in f.read().split(b'\0'):
                        found.append(int(name))
        except OSError:
            pass  # it is gone, or none of ours
    return found


def stuck(pid):
    """Threads of a process that wait in the kernel and cannot be killed."""
    found = []
    for stat in pathlib.Path(f'/proc/{pid}/task').glob('*/stat'):
        try:
            state = stat.read_text().rpartition(')')[2].split()[0]
        except OSError:
            continue
        if state == 'D':
            found.append(stat.parent.name)
    return found


class Load:
    """What processes hold: descriptors by kind, threads, memory."""

    def __init__(self, pids, cache):
        self.fds = collections.Counter()
        self.threads = self.rss = 0
        for pid in pids:
            self.look(pid, os.fsencode(str(cache)) + b'/')

    def look(self, pid, cache):
        base = f'/proc/{pid}'
        for fd in os.listdir(base + '/fd'):
            try:
                to = os.readlink(os.fsencode(f'{base}/fd/{fd}'))
            except OSError:
                continue
            if to.startswith(cache):
                # Maps and directories are small: a blob is what must go.
                gone = to.endswith(b' (deleted)') and b'.' not in \
                    to.rpartition(b'/')[2]
                kind = 'deleted' if gone else 'cache'
            elif to.startswith(b'socket:'):
                kind = 'socket'
            else:
                kind = os.fsdecode(re.sub(rb'\d+', b'N', to))
            self.fds[kind] += 1
        with open(base + '/status', encoding='ascii') as f:
            lines = dict(line.split(':', 1) for line in f if ':' in line)
        self.threads += int(lines['Threads'])
        self.rss += int(lines['VmRSS'].split()[0])


class Trial:
    """A mount, and what is asserted of it."""
    number = itertools.count()

    def __init__(self, bench, case, origin, warmth, seed):
        self.bench, self.case = bench, case
        self.origin, self.warmth = origin, warmth
        self.name = f'{case.name}/{origin}/{warmth}'
        self.seed, self.rnd = seed, random.Random(f'{seed} {self.name}')
        self.t = bench.top / (f't{next(Trial.number)}-' + re.sub(
            '[^A-Za-z0-9]', '-', self.name))
        self.repo, self.cache = self.t / 'repo', self.t / 'cache'
        self.data = self.t / 'data'
        self.mark = f'{os.getpid()}-{self.t.name}'
        self.server = self.other = self.faults = None
        self.said = []  # by commands
        self.timeout = case.timeout
        self.errors = 0  # reads that failed, as allowed
        self.host = None
        self.files = set()
        self.before = None
        self.left = self.last = None
        self.healing = self.requests = self.most = 0
        self.calls = 0  # reads that were made
        self.n = 0      # of the rules

    # ---- setting up ----

    def env(self):
        home = self.t / 'home'
        env = dict(
            os.environ, HOME=str(home), DATAMOUNT_CACHE=str(self.cache),
            XDG_STATE_HOME=str(home / 'state'), TMPDIR=str(self.t / 'tmp'),
            XDG_RUNTIME_DIR=str(self.t / 'run'), DATAMOUNT_AUTHOR='Test',
            XDG_CACHE_HOME=str(home / 'cache'),
            XDG_CONFIG_HOME=str(home / 'config'),
            SSL_CERT_FILE=str(self.bench.top / 'ca.pem'),
            AWS_SECRET_ACCESS_KEY=SECRET, GITHUB_TOKEN=SECRET,
            DATAMOUNT_TOKEN=SECRET, **{MARK: self.mark})
        if self.faults:
            env |= {'LD_PRELOAD': str(self.bench.build / 'preload.so'),
                    'DM_FAULTS': str(self.faults.path)}
        return env

    def begin(self):
        """Everything up to the mount."""
        if self.bench.sanitized and (self.case.preload or self.case.plain):
            raise Skip('not with sanitizers')
        self.t.mkdir()
        for name in 'home', 'run', 'tmp', 'planted', 'cache':
            (self.t / name).mkdir(mode=0o700)
        shutil.copytree(self.bench.repo, self.repo, copy_function=os.link)
        if self.case.tmpfs:
            self.mount_tmpfs(self.case.tmpfs)
        if self.case.preload:
            self.faults = Faults(self.t / 'planted' / 'faults')
        if self.origin != FILE:
            self.server = Server(self)
        self.write_pin()
        netrc = self.t / 'planted' / 'netrc'
        netrc.write_text(f'default login me password {SECRET}\n')
        (self.t / 'home' / '.netrc').symlink_to(netrc)
        self.warm_up()

    def mount_tmpfs(self, options):
        sh('mount', '-t', 'tmpfs', '-o', f'mode=700,{options}', 'tmpfs',
           str(self.cache))

    def url(self):
        if self.origin == FILE:
            return str(self.repo)
        host = self.host or {HTTP: '127.0.0.1', HTTPS: 'localhost'}[
            self.origin]
        return f'{self.origin}://{host}:{self.server.port}/?sig={SECRET}'

    def write_pin(self):
        if self.case.host and self.origin != FILE:
            self.host = self.case.host
        self.pin = self.t / 'planted' / 'data.source'
        self.pin.write_text(
            f'version = 1\nrepository = {self.url()}\n'
            f'repository-id = {self.bench.id}\ncommit = {self.bench.commit}\n'
            f'ref = main\nsequence = 2\n')

    def dm(self, *args, ok=True, patience=PATIENCE):
        """Run datamount, and keep what it says."""
        begin = time.monotonic()
        try:
            done = subprocess.run(
                ['datamount', *map(str, args)], env=self.env(), cwd=self.t,
                text=True, capture_output=True, check=False,
                stdin=subprocess.DEVNULL, timeout=patience)
        except subprocess.TimeoutExpired as late:
            raise Late(f'{args}: not done after {patience} s') from late
        done.seconds = time.monotonic() - begin
        self.said.append(done.stdout + done.stderr)
        if ok and done.returncode != 0:
            raise Wrong(f'{args} exits {done.returncode}: {done.stderr}')
        return done

    def warm_up(self):
        """Fill the cache: all of it, or trees and small files."""
        if self.warmth == COLD:
            return
        self.mount(timeout=LONG)
        self.reads('whole' if self.warmth == WARM else 'd0/file2,d1/file3')
        self.umount()

    def mount(self, ok=True, timeout=None):
        done = self.dm('mount', '-q', '--no-git', '--source', self.pin,
                       '--timeout', timeout or self.timeout, '--memory',
                       '64M', *self.case.options, self.data, ok=False)
        if ok and done.returncode != 0:
            raise (Late if 'in time' in done.stderr else Wrong)(
                f'mount exits {done.returncode}: {done.stderr}')
        return done

    def mounts(self):
        """Mount points of FUSE below t."""
        with open('/proc/self/mountinfo', 'rb') as f:
            lines = [line.split(b' - ') for line in f]
        return [p for p in (os.fsdecode(a.split()[4]) for a, b in lines
                            if b.startswith(b'fuse'))
                if p.startswith(f'{self.t}/')]

    def umount(self):
        self.dm('umount', self.data)

    def status(self):
        """What the daemon says; it may be between two workers."""
        def ask():
            done = self.dm('status', '--json', self.data, ok=False)
            found = json.loads(done.stdout or '[]')
            return done.returncode == 0 and found and found[0]['worker'] > 0 \
                and found[0]
        return wait(ask, 'the daemon does not say its status')

    def pids(self):
        s = self.status()
        return [s['pid'], s['worker']]

    # ---- reading ----

    def reader(self, how):
        """Start one."""
        return Child(self.bench.starter,
                     self.t / 'tmp' / f'reads-{time.monotonic_ns()}',
                     str(self.bench.src), str(self.data),
                     self.rnd.getrandbits(32), how)

    def finish(self, child, deadline=None):
        """Wait for a reader; returns its calls [how, file, seconds, result].
        O2: deadline seconds for each name on the way, and for the rest."""
        bound = PATIENCE if deadline is None else deadline * 5 + 30
        if not child.wait(bound):
            self.hangs(child, bound)
        lines = child.lines()
        if child.returncode != 0 or not lines or isinstance(lines[-1], list):
            raise Wrong(f'the reader fails: {child.returncode} {lines[-3:]}')
        grace = 0.5 + min(10 * lines.pop(), 3)
        calls = [line for line in lines if len(line) == 4]
        self.calls += len(calls)
        if deadline is not None:
            for what, name, seconds, result in calls:
                most = deadline * (2 + name.count('/'))
                if seconds > most * 1.1 + grace:
                    raise Late(f'O2: {what} of {name} took {seconds} s, '
                               f'not {most}: {result}')
        return calls

    @staticmethod
    def hangs(child, bound):
        threads = stuck(child.pid)
        child.kill()
        if not child.wait(10):
            raise Wrong(f'O2: {threads} stay in D, killed')
        lines = [x for x in child.lines() if isinstance(x, list)]
        ended = [line[:2] for line in lines if len(line) == 4]
        hung = [line for line in lines if len(line) == 2 and line not in ended]
        raise Late(f'O2: {hung} not done after {bound} s; in D: {threads}')

    def judge(self, calls, allowed):
        """O1: right bytes, or an allowed errno.  Returns how many failed."""
        bad = 0
        for what, name, _, result in calls:
            if result == '':
                continue
            bad += 1
            # What a mapping cannot read is a fault in memory, whatever why.
            ok = allowed | {'EFAULT'} if allowed and what == 'mmap' \
                else allowed
            if result not in ok:
                raise Wrong(f'O1: {what} of {name}: {result}, '
                            f'allowed: {sorted(allowed) or "nothing"}')
        return bad

    def reads(self, how='all', allowed=NONE, deadline=None):
        bad = self.judge(self.finish(self.reader(how), deadline), allowed)
        self.errors += bad
        return bad

    def heals(self, how='whole'):
        """O3: the same reads work.  A machine may be too busy for deadlines
        of a second or two, so that a few may be needed."""
        def right():
            calls = self.finish(self.reader(how))
            failed = [c for c in calls if c[3] != '']
            self.judge([c for c in failed if c[3] not in ('ETIMEDOUT',
                                                          'EFAULT')], NONE)
            self.last = failed
            return not failed
        begin = time.monotonic()
        wait(right, lambda: f'O3: still {self.last[:3]}')
        self.healing = time.monotonic() - begin

    # ---- asserting ----

    def outside(self):
        """What is there, but for what is ours to write."""
        ours = [self.cache, self.data, self.t / 'home' / 'state',
                self.t / 'planted']
        found = set()
        for folder, dirs, names in os.walk(self.t):
            at = pathlib.Path(folder)
            dirs[:] = [d for d in dirs if at / d not in ours]
            found |= {str(at / n) for n in dirs + names}
        return found

    def look_before(self):
        """The state that O5 and O8 compare with: mounted, nothing read."""
        self.files = self.outside()
        self.before = Load(self.pids(), self.cache)

    def given_back(self):
        """O5: descriptors, threads, memory."""
        blobs = len(list(self.cache.glob('blobs/*/*'))) + 8

        def is_over():
            try:
                now = Load(self.pids(), self.cache)
            except (FileNotFoundError, KeyError):
                return False  # that worker has ended
            was = self.before
            extra = now.fds - was.fds
            more = {'cache': blobs, 'socket': 12}
            left = {k: n for k, n in extra.items() if n > more.get(k, 0)}
            if now.threads > was.threads:
                left['threads'] = now.threads - was.threads
            # What was in flight may stay with the allocator.
            if now.rss > was.rss + (192 << 10) and \
                    not self.bench.sanitized:
                left['kB'] = now.rss - was.rss
            self.left = left
            return not left
        self.left = 'no worker'
        wait(is_over, lambda: f'O5: not given back: {self.left}')

    def few_requests(self):
        """O8, by the server's log: it knows more than we say."""
        if not self.server:
            return
        text = self.server.log.read_text(errors='replace')
        n = self.requests = text.count('\n')
        case = self.case
        if case is self.bench.quiet:
            return
        wanted = self.bench.asked_for(self.origin, self.warmth, self.seed)
        wanted += self.status()['fuse']['errors']
        if not case.keeps:
            wanted += self.calls
        self.most = wanted * (1 + case.retries)
        part = self.n if case.part == 'n' else case.part
        if part:
            self.most += self.bench.bytes // part
        if n > self.most:
            raise Wrong(f'O8: {n} requests, and {self.most} for {wanted} '
                        f'and {case.retries} retries of each')

    def end_mount(self):
        """O5: when it is unmounted nothing runs, and nothing was created."""
        # Of a daemon that was stopped the last lines are not there yet.
        for pid in self.pids():
            if stuck(pid):
                wait(lambda p=pid: not stuck(p), f'O2: {pid} stays in D')
        self.umount()
        self.ended()

    def ended(self):
        wait(lambda: not processes(self.mark),
             lambda: f'O5: left running: {processes(self.mark)}')
        if self.mounts():
            raise Wrong(f'O5: still mounted: {self.mounts()}')
        new = {n for n in self.outside() - self.files
               if not n.startswith(str(self.t / 'run'))}
        if new:
            raise Wrong(f'O5: created: {sorted(new)[:9]}')
        left = [p for p in (self.t / 'run').rglob('*') if not p.is_dir()]
        if left or list((self.t / 'tmp').iterdir()):
            raise Wrong(f'O5: left in run or tmp: {left}')

    def clean(self):
        """O6.  What the case did to the cache may be found, once."""
        done = self.dm('fsck', '-q', ok=False)
        if done.returncode == 3 and self.case.damage:
            done = self.dm('fsck', '-q', ok=False)
        if done.returncode != 0:
            raise Wrong(f'O6: fsck exits {done.returncode}: {done.stdout}'
                        f'{done.stderr}')

    def silent(self):
        """O7."""
        for text in self.said:
            if SECRET in text:
                raise Wrong(f'O7: the secret is in {text!r}')
        for place in self.t / 'home', self.cache, self.t / 'run':
            for p in place.rglob('*'):
                if p.is_file() and not p.is_symlink() and \
                        SECRET.encode() in p.read_bytes():
                    raise Wrong(f'O7: the secret is in {p}')

    def not_in_argv(self):
        for pid in processes(self.mark):
            try:
                line = pathlib.Path(f'/proc/{pid}/cmdline').read_bytes()
            except OSError:
                continue
            if SECRET.encode() in line:
                raise Wrong(f'O7: the secret is in the arguments {line!r}')

    # ---- the whole ----

    def run(self):
        """The case, from begin to end."""
        try:
            self.begin()
            self.case.flow(self)
            self.clean()
            self.silent()
        finally:
            self.end()

    def explain(self):
        """The program's own words about a trial that failed."""
        text = ''.join(self.said[-6:])[-2000:]
        for log in (self.t / 'home').rglob('*.log'):
            text += f'--- {log}\n{log.read_text(errors="replace")[-3000:]}'
        if self.server and self.server.log.exists():
            text += f'--- requests\n{self.server.log.read_text()[-1500:]}'
        return text

    def end(self):
        """Nothing is left."""
        failed = sys.exc_info()[1]
        if isinstance(failed, Wrong):
            failed.words = self.explain()
        for server in filter(None, (self.server, self.other)):
            server.stop()
            server.held.close()
        for pid in processes(self.mark):
            try:
                os.kill(pid, signal.SIGCONT)
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        for place in self.mounts():
            subprocess.run(['umount', '-l', place], check=False)
        if os.path.ismount(self.cache):
            subprocess.run(['umount', '-l', self.cache], check=False)
        wait(lambda: not processes(self.mark), 'processes that stay')
        shutil.rmtree(self.t, ignore_errors=True)
