"""What the tests of kills and of power cuts share: data, workloads, a checker.

A Lab is a directory with a template: a repository of two versions, a source
for the third, a copy that lacks the second, caches, a Git work tree.  Each
trial begins with a fresh copy of it, always at the same path, and breaks off
one command of one Workload.  Then Lab.check() says what is wrong, Lab.finish()
runs the command again, to its end, and checks once more.
"""
import filecmp
import json
import os
import pathlib
import random
import shutil
import subprocess
import sys
import time

WHEN = 1717156800  # of the first version: the same ids in every run
PATIENCE = 60      # seconds that a command or a daemon may take
RAN = 'DM_TRIAL'   # in the environment of what belongs to a trial


class Wrong(Exception):
    """An oracle was not met."""


def write_data(path, version):
    """The files of a version; some of them are those of the version before."""
    for i in range(6):
        rnd = random.Random(f'{i} {version if i % 3 == 0 else 0}')
        file = path / f'd{i % 2}' / f'file{i}'
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(rnd.randbytes(3000 * i + 10))
    rnd = random.Random(f'large {version}')
    (path / 'large').write_bytes(rnd.randbytes(1300000))


def differences(one, other):
    """Names that are not in both directories with the same content."""
    names = [{str(p.relative_to(top)) for p in top.rglob('*') if p.is_file()}
             for top in (one, other)]
    return sorted(names[0] ^ names[1]) + [
        n for n in sorted(names[0] & names[1])
        if not filecmp.cmp(one / n, other / n, shallow=False)]


class Lab:
    """The template, and the directory t of the present trial."""

    def __init__(self, top, trial=None):
        self.top = pathlib.Path(top)
        self.t = pathlib.Path(trial) if trial else self.top / 't'
        self.base = self.top / 'base'
        self.mark = f'{os.getpid()}-{self.top.name}'
        self.killed = 0  # processes, in this trial
        self.power = False  # was cut, so that a cache may be damaged
        self.damaged = 0  # caches were
        self.base.mkdir()
        self.make()

    def env(self):
        """Everything that a command of the trial would leave, in t."""
        home = self.t / 'home'
        return dict(
            os.environ, HOME=str(home), DATAMOUNT_CACHE=str(self.t / 'cache'),
            XDG_STATE_HOME=str(home / 'state'), XDG_RUNTIME_DIR=str(home),
            XDG_CACHE_HOME=str(home / 'cache'), DATAMOUNT_AUTHOR='Test',
            XDG_CONFIG_HOME=str(home / 'config'), **{RAN: self.mark})

    def run(self, argv, ok=True, cwd=None):
        """Run a command of the trial to its end."""
        try:
            done = subprocess.run(
                argv, env=self.env(), cwd=cwd or self.t, text=True,
                stdout=subprocess.PIPE, timeout=PATIENCE, check=False,
                stderr=open(self.top / 'stderr', 'w'))
        except subprocess.TimeoutExpired as late:
            raise Wrong(f'{argv}: not done after {PATIENCE} s') from late
        if ok and done.returncode != 0:
            error = (self.top / 'stderr').read_text()
            raise Wrong(f'{argv} exits {done.returncode}: {error}')
        return done

    def dm(self, *args, ok=True):
        """Run datamount."""
        return self.run(['datamount', *args], ok=ok)

    def commit(self, version):
        """What a publisher types."""
        return ['datamount', 'commit', '-q', str(self.top / f'src{version}'),
                'repo@main', '-m', f'version {version}',
                '--date', str(WHEN + version)]

    def make(self):
        """Build the template, in the place where the trials will be."""
        self.begin(empty=True)
        (self.t / 'home').mkdir(mode=0o700)
        for version in 1, 2, 3:
            write_data(self.top / f'src{version}', version)
        self.dm('init', '-q', 'repo')
        self.ids = {1: self.run(self.commit(1)).stdout.strip()}
        self.dm('clone', '-q', 'repo', 'copy')
        self.ids[2] = self.run(self.commit(2)).stdout.strip()
        self.dm('tag', 'repo@' + self.ids[1], 'v1')
        self.dm('branch', 'repo@' + self.ids[1], 'other')
        # What no ref reaches, for gc.
        lost = str(self.top / 'src3')
        self.dm('commit', '-q', lost, 'repo@lost', '-m', 'lost')
        self.dm('branch', '--delete', 'lost', 'repo')
        self.run(['git', 'init', '-q', '--template=', 'work'])
        shutil.rmtree(self.t / 'cache')
        self.template()
        # The id of the third version.
        self.ids[3] = self.run(self.commit(3)).stdout.strip()
        self.end()

    def template(self):
        shutil.rmtree(self.base)
        shutil.copytree(self.t, self.base, symlinks=True)

    def begin(self, empty=False):
        """Put a fresh copy of the template in the trial's place."""
        self.killed = 0
        if empty:
            self.t.mkdir(exist_ok=True)
            return
        shutil.copytree(self.base, self.t, symlinks=True, dirs_exist_ok=True)

    def stop(self):
        """End what runs and what is mounted: also what mounts just then."""
        def stopped():
            for place in self.mounts():
                subprocess.run(['umount', '-l', place], check=False)
            pids = self.processes()
            for pid in pids:
                try:
                    os.kill(pid, 9)
                except ProcessLookupError:
                    pass
            return not pids and not self.mounts()
        self.wait(stopped, 'processes or mounts that stay')

    def end(self):
        """Nothing of the trial is left: no mount, no process, no file."""
        self.stop()
        for p in self.t.iterdir():
            if p.is_dir() and not p.is_symlink():
                shutil.rmtree(p)
            else:
                p.unlink()

    def mounts(self):
        """Mount points below t."""
        with open('/proc/self/mountinfo', 'rb') as f:
            places = [os.fsdecode(line.split()[4]) for line in f]
        return [p for p in places if p.startswith(f'{self.t}/')]

    def processes(self):
        """What the trial started and is alive still."""
        found, mark = [], f'{RAN}={self.mark}'.encode()
        for name in os.listdir('/proc'):
            try:
                if name.isdigit() and int(name) != os.getpid():
                    with open(f'/proc/{name}/environ', 'rb') as f:
                        if mark in f.read().split(b'\0'):
                            found.append(int(name))
            except OSError:
                pass  # it is gone, or none of ours
        return found

    def wait(self, what, instead):
        """Wait for a condition."""
        end = time.monotonic() + PATIENCE
        while not what():
            if time.monotonic() > end:
                raise Wrong(instead() if callable(instead) else instead)
            time.sleep(0.01)

    def explain(self, what):
        """The program's own words about a trial that failed."""
        print(f'FAILED: {what}', file=sys.stderr)
        logs = (self.t / 'home').rglob('*.log')
        for log in [self.top / 'stderr', *logs]:
            if log.is_file():
                text = log.read_text(errors='replace')[-3000:]
                print(f'--- {log}\n{text}', file=sys.stderr)

    # The checker.

    def ref(self, name, repo='repo'):
        """Number of the version that a ref names, or None."""
        file = self.t / repo / 'refs' / name
        if not file.exists():
            return None
        first = file.read_text().split('\n')[0]
        for version, name in self.ids.items():
            if first == 'commit ' + name:
                return version
        raise Wrong(f'{file} reads {file.read_text()!r}')

    def whole_repo(self, refs, repo='repo'):
        """Refs, a dict of allowed versions, are so, and verify."""
        for name, allowed in refs.items():
            version = self.ref(name, repo)
            if version not in allowed:
                raise Wrong(f'{repo}/{name} is version {version}, '
                            f'not one of {allowed}')
        for version in {self.ref(n, repo) for n in refs} - {None}:
            self.dm('verify', '-q', f'{repo}@{self.ids[version]}')

    def whole_cache(self, version=2, damage=False):
        """fsck, and reads are right.  After a power cut fsck may find damage,
        once; reads are right before and after."""
        damage = damage or self.power
        if damage:
            self.reads(version)
        done = self.dm('fsck', '-q', ok=False)
        if done.returncode != 0 and not (damage and done.returncode == 3):
            raise Wrong(f'fsck exits {done.returncode}: {done.stdout} '
                        + (self.top / 'stderr').read_text())
        self.damaged += done.returncode == 3
        self.reads(version)
        if damage:
            self.dm('fsck', '-q')

    def reads(self, version):
        out = self.t / 'checked'
        shutil.rmtree(out, ignore_errors=True)
        self.dm('export', '-q', f'repo@{self.ids[version]}', 'checked')
        self.same(out, version)
        shutil.rmtree(out)

    def same(self, path, version):
        """A directory is a version, to the byte."""
        wrong = differences(path, self.top / f'src{version}')
        if wrong:
            raise Wrong(f'{path}: {wrong} are not those of {version}')

    def source(self, allowed):
        """work/data.source is absent, or whole and of an allowed version."""
        file = self.t / 'work' / 'data.source'
        if not file.exists():
            pinned = None
        else:
            lines = file.read_text().splitlines()
            pinned = [v for v, name in self.ids.items()
                      if f'commit = {name}' in lines]
            if len(pinned) != 1 or not lines[-1].startswith('sequence = '):
                raise Wrong(f'{file}: {lines}')
            pinned = pinned[0]
        if pinned not in allowed:
            raise Wrong(f'{file} pins {pinned}, not one of {allowed}')
        return pinned

    def settle(self):
        """Wait until the mount of work/data is whole, or all of it gone.  Of
        one whose processes were all killed at once a dead mount stays, which
        the next command has to cope with."""
        place = str(self.t / 'work' / 'data')

        def settled():
            if place not in self.mounts() or self.killed > 1:
                if not self.processes():
                    return True
            if place not in self.mounts():
                return False
            # That pin and mount are at odds is not for here.
            status = self.dm('status', '--json', 'work/data', ok=False)
            return (status.returncode == 0
                    and json.loads(status.stdout)[0]['state'] == 'ok')
        self.wait(settled, 'a mount that is neither whole nor gone')
        return place in self.mounts() and bool(self.processes())

    def unlock_git(self):
        """A git that was killed leaves its lock: its own affair."""
        (self.t / 'work' / '.git' / 'index.lock').unlink(missing_ok=True)


class Workload:
    """A command, what it needs, and what must hold after a kill and after
    it ran again."""

    def __init__(self, lab):
        self.lab = lab

    daemon = False  # it leaves a daemon, or meets one
    lasts = False  # what it did is there once it ended, also without power

    def prepare(self):
        """In a fresh trial, before the command."""

    def check(self, output):
        """After the kill.  Output: what the command printed till then."""

    def again(self):
        """Run it again."""
        return self.lab.run(self.argv(), ok=True)

    def done(self):
        """After it ran again."""

    def argv(self):
        raise NotImplementedError


class Publish(Workload):
    """commit: packs, commit, ref, hints."""
    name = 'publish'
    lasts = True

    def argv(self):
        return self.lab.commit(3)

    def check(self, output):
        told = self.lab.ids[3] in output
        self.lab.whole_repo({'heads/main': [3] if told else [2, 3],
                             'tags/v1': [1]})

    def done(self):
        self.lab.whole_repo({'heads/main': [3]})


class PublishIndex(Publish):
    """commit, when its index of the repository is lost."""
    name = 'publish-index'

    def prepare(self):
        shutil.rmtree(self.lab.t / 'cache', ignore_errors=True)
        folder = self.lab.t / 'cache' / 'publish'
        folder.mkdir(mode=0o700, parents=True)
        os.chmod(self.lab.t / 'cache', 0o700)
        repo = (self.lab.t / 'repo' / 'datamount').read_text().split()[-1]
        (folder / f'index-v2-{repo}.sqlite').write_bytes(b'damaged' * 99)


class Make(Workload):
    """init: a repository is made."""
    name = 'make'
    lasts = True

    def argv(self):
        return ['datamount', 'init', '-q', 'new/made']

    def check(self, output):
        if output.strip():
            self.is_made(output.strip())

    def again(self):
        done = self.lab.run(self.argv(), ok=False)
        if done.returncode != 0 and \
           'already' not in (self.lab.top / 'stderr').read_text():
            raise Wrong('what an init left cannot be made a repository: '
                        + (self.lab.top / 'stderr').read_text())

    def done(self):
        self.is_made('')
        self.lab.dm('tag', '-l', 'new/made')

    def is_made(self, repo_id):
        text = (self.lab.t / 'new/made/datamount').read_text()
        if repo_id not in text:
            raise Wrong(f'init printed {repo_id}: {text}')


class Push(Workload):
    """push: what the copy lacks."""
    name = 'push'
    lasts = True

    def argv(self):
        return ['datamount', 'push', '-q', 'repo', 'copy', 'main']

    def check(self, output):
        told = self.lab.ids[2] in output
        self.lab.whole_repo({'heads/main': [2] if told else [1, 2]}, 'copy')

    def done(self):
        self.lab.whole_repo({'heads/main': [2]}, 'copy')


class Branch(Workload):
    """branch --force: a ref moves."""
    name = 'branch'
    lasts = True

    def argv(self):
        return ['datamount', 'branch', '-q', '-f', 'repo@main', 'other']

    def check(self, output):
        told = self.lab.ids[2] in output
        self.lab.whole_repo({'heads/other': [2] if told else [1, 2]})

    def done(self):
        self.lab.whole_repo({'heads/other': [2]})


class Tag(Workload):
    """tag: a ref is made.  That it is there already is no mishap."""
    name = 'tag'
    lasts = True

    def argv(self):
        return ['datamount', 'tag', '-q', 'repo@main', 'v2']

    def check(self, output):
        told = self.lab.ids[2] in output
        self.lab.whole_repo({'tags/v2': [2] if told else [None, 2]})

    def done(self):
        self.lab.whole_repo({'tags/v2': [2]})


class Gc(Workload):
    """gc: marks, and deletes, what no ref reaches."""
    name = 'gc'
    refs = {'heads/main': [2], 'heads/other': [1], 'tags/v1': [1]}

    def argv(self):
        return ['datamount', 'gc', '-q', 'repo', '--grace', '0']

    def prepare(self):
        self.lab.run(self.argv())  # marks

    def check(self, output):
        self.lab.whole_repo(self.refs)

    def done(self):
        self.lab.run(self.argv())
        self.lab.whole_repo(self.refs)
        left = len(list((self.lab.t / 'repo' / 'commits').glob('??/*')))
        if left != 2:
            raise Wrong(f'gc leaves {left} commits')


class Repack(Gc):
    """gc --repack, when little is needed."""
    name = 'repack'
    refs = {'heads/main': [2]}

    def argv(self):
        return super().argv() + ['--repack']

    def prepare(self):
        # Nothing but the files that changed is needed of the old packs.
        self.lab.dm('tag', '-q', '--delete', 'v1', 'repo')
        self.lab.dm('branch', '-q', '--delete', 'other', 'repo')

    def done(self):
        self.lab.run(self.argv())
        self.lab.whole_repo(self.refs)


class Read(Workload):
    """export from the repository, nothing in the cache."""
    name = 'read-cold'
    version = 2

    def argv(self):
        return ['datamount', 'export', '-q',
                f'repo@{self.lab.ids[self.version]}', 'out']

    def check(self, output):
        self.lab.whole_cache(self.version)

    def again(self):
        # Files below out are not synced: some may be there, and be torn.
        return self.lab.run(self.argv() + ['-f'] * self.lab.power)

    def done(self):
        self.lab.same(self.lab.t / 'out', self.version)
        self.lab.dm('fsck', '-q')


class ReadWarm(Read):
    """export from the cache."""
    name = 'read-warm'
    version = 1

    def prepare(self):
        # Not a copy of a cache: a map knows the inode of its blob.
        self.lab.dm('export', '-q', 'repo@v1', 'out')
        shutil.rmtree(self.lab.t / 'out')


class Evict(ReadWarm):
    """export of what has no room beside what is in the cache."""
    name = 'evict'
    version = 2

    def argv(self):
        return super().argv() + ['--cache-size', '1700000']


class Index(ReadWarm):
    """As evict, with an index of the cache that is damaged."""
    name = 'index'
    version = 2

    def argv(self):
        return super().argv() + ['--cache-size', '1700000']

    def prepare(self):
        super().prepare()
        index = self.lab.t / 'cache' / 'index-v1.sqlite'
        index.write_bytes(b'damaged' * 99)
        index.chmod(0o600)


class Fsck(ReadWarm):
    """fsck of a cache in which bytes are wrong."""
    name = 'fsck'

    def argv(self):
        return ['datamount', 'fsck', '-q']

    def prepare(self):
        super().prepare()
        for blob in (self.lab.t / 'cache' / 'blobs').glob('??/*'):
            if blob.stat().st_size > 10000 and not blob.suffix:
                with open(blob, 'r+b') as f:
                    f.seek(1000)
                    f.write(b'wrong')

    def check(self, output):
        self.lab.reads(self.version)

    def again(self):
        return self.lab.run(self.argv(), ok=False)

    def done(self):
        self.lab.whole_cache(self.version)


class Clear(ReadWarm):
    """cache clear."""
    name = 'clear'

    def argv(self):
        return ['datamount', 'cache', 'clear', '-q']

    def again(self):
        return self.lab.run(self.argv())

    def done(self):
        self.lab.whole_cache(self.version)


class Mount(Workload):
    """A mount in a Git work tree: a pin is written, daemons start."""
    name = 'mount'
    daemon = True

    def argv(self):
        return ['datamount', 'mount', '-q', 'repo@main', 'work/data']

    def right(self, version):
        """Is it mounted?  Then it reads right."""
        mounted = self.lab.settle()
        if mounted:
            self.lab.same(self.lab.t / 'work' / 'data', version)
        return mounted

    def check(self, output):
        self.right(2)
        self.lab.source([None, 2])
        ignored = self.lab.t / 'work' / '.gitignore'
        if ignored.exists() and ignored.read_text() != '/data/\n':
            raise Wrong(f'.gitignore is {ignored.read_text()!r}')
        self.lab.unlock_git()

    def again(self):
        # What a killed command started may have come up without it.
        if self.lab.settle():
            return self.lab.dm('status', '--check', 'work/data')
        return super().again()

    def done(self):
        if not self.right(2):
            raise Wrong('not mounted')
        self.lab.source([2])
        self.lab.dm('umount', 'work/data')
        self.lab.wait(lambda: not self.lab.processes(),
                      'a daemon that outlives its mount')
        self.lab.dm('fsck', '-q')


class Update(Mount):
    """update of a mount: pin and mount go from one version to the next."""
    name = 'update'

    def argv(self):
        return ['datamount', 'update', '-q', 'work/data', 'main']

    def prepare(self):
        self.lab.dm('mount', '-q', 'repo@v1', 'work/data')

    def check(self, output):
        self.lab.settle()
        self.lab.source([1, 2])
        self.lab.unlock_git()

    def again(self):
        self.lab.settle()
        self.lab.run(self.argv())
        if not self.lab.settle():
            self.lab.dm('mount', '-q', 'work/data')


class Unmount(Mount):
    """umount, and the daemons that it ends; they must be ours from the start,
    so that they can be killed at a call."""
    name = 'unmount'
    script = ('datamount mount -q repo@main work/data && '
              'datamount umount work/data')

    def argv(self):
        return ['sh', '-c', self.script]

    def again(self):
        if self.lab.settle():
            self.lab.dm('umount', 'work/data')

    def done(self):
        if self.lab.settle():
            raise Wrong('still mounted')
        pinned = self.lab.source([None, 2])
        self.lab.dm('mount', '-q', *([] if pinned else ['repo@main']),
                    'work/data')
        super().done()


WORKLOADS = (Publish, PublishIndex, Make, Push, Branch, Tag, Gc, Repack,
             Read, ReadWarm, Evict, Index, Fsck, Clear, Mount, Update, Unmount)
