"""What a command wrote, call by call, and what a power cut could leave of it.

strace tells the calls and the bytes.  A Log is a model of one directory: the
inodes in it and, in order, each change of a name, of bytes, of a size, with
what was synced when.  Log.state() makes of it a state that a disk may be in
after the power was cut: what had been synced is there (bytes by fsync of the
file, names by fsync of their directory, nothing by anything else); of the
rest, changes are there or not, whatever came first, and of the bytes of one
write only some sectors.  Only two things are taken to be in order: changes of
one name, and a rename is whole.

A call of one process may be told of after those of others that saw what it
did: strace hears of what ended at the same time in any order.  Such a call is
taken early (Log.hurry), when another could not have succeeded without it.

What this cannot see, it refuses (Blind): stores through shared mappings and
bytes that the kernel copies from file to file.  The program does neither.
What lies in a directory `.git` is as if it were synced at once: git's affair.
"""
import bisect
import os
import re
import shutil
import stat
import subprocess

CALLS = (
    'openat open creat mkdirat mkdir renameat renameat2 rename linkat link '
    'unlinkat unlink rmdir symlinkat symlink write writev pwrite64 pwritev '
    'pwritev2 ftruncate truncate fallocate fsync fdatasync syncfs sync fchmod '
    'fchmodat chmod mmap copy_file_range sendfile splice io_uring_setup '
    'read lseek dup dup2 dup3 fcntl chdir fchdir clone clone3 fork '
    'vfork').split()
NAMED = re.compile(r'(\d+|AT_FDCWD)<((?:\\x..)*)>(?:\(deleted\))?')
STRING = re.compile(r'"((?:\\x..)*)"')
MAP_HEADER, MAP_DEV, MAP_INO = 64, slice(8, 16), slice(16, 24)
SECTOR = 512


class Blind(Exception):
    """Something was written that the trace does not tell of."""


class Node:
    """An inode: a file, a directory or a symbolic link."""

    def __init__(self, kind, mode, kept):
        self.kind, self.mode, self.kept = kind, mode, kept
        self.file = None   # where its bytes were when it all began
        self.target = None
        self.now = {}      # of a directory: name -> Node, at the log's end
        self.names = {}    # and at its beginning
        self.number = None # st_ino, if a map may name it
        self.changes = []  # of its bytes: indices into the log

    def start(self):
        """Its bytes at the beginning."""
        return self.file.read_bytes() if self.file else b''


class Change:
    """An entry of the log.  nodes: those whose fsync makes it last."""

    def __init__(self, nodes=(), names=(), data=None, size=None, mode=None):
        self.nodes = list(nodes)
        self.names = list(names)  # ((directory, name), Node or None)
        self.data = data          # (offset, bytes)
        self.size = size          # of the file, from now on
        self.mode = mode
        self.before = []          # changes of the same names
        self.kept = any(n.kept for n in nodes)


class Sync:
    """These nodes (None: all) were synced, up to entry `upto` of the log."""

    def __init__(self, node, upto):
        self.node, self.upto = node, upto


class Told:
    """The command said something, or ended."""

    def __init__(self, text='', ended=False):
        self.text, self.ended = text, ended


def text_of(hexed):
    return os.fsdecode(bytes.fromhex(hexed.replace('\\x', '')))


def bytes_of(args, size):
    """The strings of a call's arguments, together, as far as written."""
    return b''.join(bytes.fromhex(s.replace('\\x', ''))
                    for s in STRING.findall(args))[:size]


class Call:
    """A call, or the exit of a process: lines of the trace at which it began
    and ended, and its result: a number, and the path of a descriptor."""

    def __init__(self, pid, name, args, begun, ended, result=0, path=''):
        self.pid, self.name, self.args = pid, name, args
        self.begun, self.ended = begun, ended
        self.result, self.path = result, path
        self.taken = False


class Open:
    """An open file: what it is, and where the next write goes."""

    def __init__(self, node, append=False):
        self.node, self.at, self.append = node, 0, append


class Log:
    """See above.  top: the directory; out: the file that is standard output;
    copy: where what is in top at the beginning is kept."""

    def __init__(self, top, out, copy):
        self.top, self.out = os.path.realpath(top), os.path.realpath(out)
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(top, copy, symlinks=True,
                        ignore_dangling_symlinks=True)
        self.root = self.scan(copy, top, False)
        self.entries, self.last = [], {}
        self.deaf = False  # to what was synced
        self.fds, self.syncs = {}, {}

    def scan(self, copy, path, kept):
        """The tree at path as nodes."""
        st = os.lstat(path)
        node = Node(stat.S_IFMT(st.st_mode), stat.S_IMODE(st.st_mode), kept)
        node.number = st.st_ino
        if stat.S_ISLNK(st.st_mode):
            node.target = os.readlink(path)
        elif stat.S_ISREG(st.st_mode):
            node.file = copy
        elif stat.S_ISDIR(st.st_mode):
            for name in os.listdir(path):
                node.now[name] = self.scan(copy / name, path / name,
                                           kept or name == '.git')
            node.names = dict(node.now)
        return node

    # ---- recording ----

    def record(self, argv, trace, **options):
        """Run a command; finish() when all that it started has ended."""
        self.trace = trace
        with open(self.out, 'w', encoding='utf-8') as out:
            done = subprocess.run(
                ['strace', '-D', '-f', '-q', '-y', '-xx', '-s', '67108864',
                 '-o', trace, '-e', 'signal=none', '-e', 'raw=read',
                 '-e', 'trace=' + ','.join(CALLS), *argv],
                stdout=out, check=False, **options)
        return done.returncode

    def finish(self):
        """Read the trace."""
        with open(self.trace, encoding='ascii', errors='replace') as f:
            lines = f.read().splitlines()
        self.first = lines[0].split()[0]
        self.todo = [c for c in self.calls(lines) if c.result >= 0]
        self.born = {str(c.result): (c.pid, c.args) for c in self.todo
                     if c.name in ('clone', 'clone3', 'fork', 'vfork')
                     and c.result > 0}
        self.done = []  # (line, how many entries there were after it)
        for self.index, call in enumerate(self.todo):
            self.take(call)
            self.done.append((call.ended, len(self.entries)))

    def take(self, call):
        """Enter what a call did."""
        if call.taken:
            return
        call.taken = True
        if call.name == 'exit':
            if call.pid == self.first:
                self.entries.append(Told(ended=call.args == '0'))
            return
        handler = getattr(self, 'do_' + call.name, None)
        if handler:
            handler(call.pid, call.args, call.result, call.path)

    def begun(self):
        """How many entries there were as the present call began."""
        at = bisect.bisect(self.done, (self.todo[self.index].begun,))
        return self.done[at - 1][1] if at else 0

    def calls(self, lines):
        """Each Call, as they ended."""
        waits = {}
        for at, line in enumerate(lines):
            pid, rest = line.split(None, 1)
            if rest.startswith('+++ exited with'):
                yield Call(pid, 'exit', rest.split()[3], at, at)
                continue
            begun = at
            if rest.startswith('<... '):
                if pid not in waits:
                    continue
                begun, start = waits.pop(pid)
                rest = start + rest.split('resumed>', 1)[1]
            elif rest.endswith('<unfinished ...>'):
                waits[pid] = at, rest[:-len('<unfinished ...>')]
                continue
            head, _, tail = rest.rpartition(' = ')
            match = re.match(r'(-?\d+|0x[0-9a-f]+)(?:<((?:\\x..)*)>)?', tail)
            if not match or '(' not in head:
                continue
            name, _, args = head.partition('(')
            yield Call(pid, name, args, begun, at, int(match[1], 0),
                       text_of(match[2] or ''))

    def hurry(self, path, there):
        """Something is known to be at path, or not to be: take the call that
        made or removed it, if its end is told of later."""
        now = self.todo[self.index]
        for call in self.todo[self.index + 1:]:
            if (self.lookup(path) is not None) == there:
                return
            if call.begun < now.ended and not call.taken and \
               path in (self.made(call) if there else self.removed(call)):
                self.take(call)

    def made(self, call):
        """The paths that are there after a call."""
        if call.name in ('openat', 'open', 'creat'):
            return [call.path] if 'O_CREAT' in call.args else []
        if re.match('mkdir|rename|link|symlink', call.name):
            return self.paths(call.pid, call.args)[-1:]
        return []

    def removed(self, call):
        """The paths that are gone after a call."""
        if re.match('unlink|rmdir|rename', call.name):
            return self.paths(call.pid, call.args)[:1]
        return []

    def table(self, pid):
        """The open files of a process, and where it is; born with those of
        its parent."""
        if pid not in self.fds:
            parent, how = self.born.get(pid, (None, ''))
            of = self.table(parent) if parent else {'cwd': self.top}
            self.fds[pid] = of if 'CLONE_FILES' in how else dict(of)
        return self.fds[pid]

    def lookup(self, path):
        """The node of an absolute path, or None."""
        path = os.path.normpath(path)
        if path == self.top:
            return self.root
        if not path.startswith(self.top + '/'):
            return None
        node = self.root
        for name in path[len(self.top) + 1:].split('/'):
            node = node.now.get(name) if node else None
        return node

    def find(self, path):
        """The node of a path that was seen to be there, or None if it lies
        elsewhere."""
        path = os.path.normpath(path)
        if self.lookup(path) is None and self.inside(path):
            self.hurry(path, True)
        return self.lookup(path)

    def inside(self, path):
        return os.path.normpath(path).startswith(self.top + '/')

    def opened(self, pid, args):
        """The Open of a call's first argument; None if it is none of ours."""
        match = NAMED.match(args)
        if not match:
            return None
        path = text_of(match[2])
        known = self.table(pid).get(int(match[1])) \
            if match[1] != 'AT_FDCWD' else None
        if not self.inside(path) and path != self.top:
            return None
        node = None if '(deleted)' in match[0] else self.lookup(path)
        if known and (node is None or known.node is node):
            return known
        return Open(node) if node else None

    def paths(self, pid, args):
        """The absolute paths among a call's arguments: with the directory
        that stands before a string, or the working directory."""
        found, base = [], self.table(pid)['cwd']
        for match in re.finditer(NAMED.pattern + '|' + STRING.pattern, args):
            if match[3] is None:
                base = text_of(match[2])
            else:
                found.append(os.path.normpath(
                    os.path.join(base, text_of(match[3]))))
        return found

    def place(self, path):
        """(directory, name) of a path, or None if it lies elsewhere."""
        path = os.path.normpath(path)
        if not self.inside(path):
            return None
        parent = self.find(os.path.dirname(path))
        if parent is None:
            raise Blind(f'who made the directory of {path}?')
        return parent, os.path.basename(path)

    def rename_to(self, names):
        """Names are what they are from now on."""
        names = [(key, node) for key, node in names if key]
        if not names:
            return
        change = Change({d for (d, _), _ in names}, names)
        for (directory, name), node in names:
            change.before += self.last.get((directory, name), [])
            self.last[directory, name] = [len(self.entries)]
            if node:
                directory.now[name] = node
            else:
                directory.now.pop(name, None)
        self.entries.append(change)

    def alter(self, node, **what):
        if node and node.kind == stat.S_IFREG:
            node.changes.append(len(self.entries))
            self.entries.append(Change([node], **what))

    def make(self, path, kind, mode=0o600, target=None):
        place = self.place(path)
        if place is None:
            return None
        self.hurry(path, False)
        kept = place[0].kept or place[1] == '.git'
        node = Node(kind, mode, kept)
        node.target = target
        self.rename_to([(place, node)])
        return node

    # ---- calls ----

    def do_openat(self, pid, args, fd, path):
        flags = STRING.split(args)[-1].split(',')
        modes = [f.strip(' )') for f in flags[2:] if f.strip(' )').isdigit()]
        mode = int(modes[0], 8) & ~0o022 if modes else 0o600
        flags = flags[1]
        # A link to elsewhere is not followed when the path itself is looked at.
        node = self.find(path) if 'O_CREAT' not in flags else \
            self.lookup(path)
        if 'O_TMPFILE' in flags and self.inside(path):
            node = Node(stat.S_IFREG, mode, False)
        elif node is None and 'O_CREAT' in flags and self.inside(path):
            node = self.make(path, stat.S_IFREG, mode)
        elif 'O_TRUNC' in flags:
            self.alter(node, size=0)
        self.table(pid)[fd] = Open(node, 'O_APPEND' in flags)

    do_open = do_creat = do_openat

    def do_mkdirat(self, pid, args, ret, _):
        self.make(self.paths(pid, args)[0], stat.S_IFDIR, 0o700)

    do_mkdir = do_mkdirat

    def do_symlinkat(self, pid, args, ret, _):
        target = text_of(STRING.search(args)[1])
        rest = args[STRING.search(args).end():]
        self.make(self.paths(pid, rest)[0], stat.S_IFLNK, target=target)

    do_symlink = do_symlinkat

    def do_renameat(self, pid, args, ret, _):
        if 'RENAME_EXCHANGE' in args:
            raise Blind(args)
        old, new = self.paths(pid, args)
        node = self.find(old)
        if node and node is not self.lookup(new):
            self.rename_to([(self.place(old), None), (self.place(new), node)])

    do_rename = do_renameat2 = do_renameat

    def do_linkat(self, pid, args, ret, _):
        old, new = self.paths(pid, args)
        if old.startswith('/proc/self/fd/'):
            node = self.table(pid)[int(os.path.basename(old))].node
        elif 'AT_EMPTY_PATH' in args:
            node = self.opened(pid, args).node
        else:
            node = self.find(old)
        if self.place(new):
            self.rename_to([(self.place(new), node)])

    do_link = do_linkat

    def do_unlinkat(self, pid, args, ret, _):
        path = self.paths(pid, args)[0]
        if self.find(path):
            self.rename_to([(self.place(path), None)])

    do_unlink = do_rmdir = do_unlinkat

    def do_write(self, pid, args, size, _):
        match = NAMED.match(args)
        if match and pid == self.first and text_of(match[2]) == self.out:
            self.entries.append(Told(bytes_of(args, size).decode()))
            return
        of = self.opened(pid, args)
        if not of or not of.node:
            return
        if of is not self.table(pid).get(int(match[1])):
            raise Blind(f'where in {text_of(match[2])} is written?')
        if of.append:
            of.at = self.size_now(of.node)
        self.put(of.node, of.at, bytes_of(args, size))
        of.at += size

    do_writev = do_write

    def do_pwrite64(self, pid, args, size, _):
        of = self.opened(pid, args)
        if of:
            self.put(of.node, int(re.split(r', ', args)[-1].strip(' )')),
                     bytes_of(args, size))

    def do_pwritev(self, pid, args, size, _):
        of = self.opened(pid, args)
        if of:
            offset = args.rpartition(']')[2].split(', ')[2]
            self.put(of.node, int(offset.strip(' )')), bytes_of(args, size))

    do_pwritev2 = do_pwritev

    def put(self, node, off, data):
        self.alter(node, data=(off, data))
        if off == 0 and len(data) >= MAP_HEADER:
            self.learn(node, data)

    def learn(self, node, data):
        """The header of a map tells the number of its blob."""
        for directory in self.dirs(self.root):
            for name, child in directory.now.items():
                if child is node and name.endswith('.map'):
                    blob = directory.now.get(name[:-4])
                    if blob:
                        blob.number = int.from_bytes(data[MAP_INO], 'little')

    def dirs(self, node):
        if node.kind == stat.S_IFDIR:
            yield node
            for child in node.now.values():
                yield from self.dirs(child)

    def size_now(self, node):
        size = len(node.start())
        for i in node.changes:
            change = self.entries[i]
            if change.size is not None:
                size = change.size
            if change.data:
                size = max(size, change.data[0] + len(change.data[1]))
        return size

    def do_ftruncate(self, pid, args, ret, _):
        of = self.opened(pid, args)
        if of:
            self.alter(of.node, size=int(args.split(', ')[-1].strip(' )')))

    def do_truncate(self, pid, args, ret, _):
        node = self.lookup(self.paths(pid, args)[0])
        self.alter(node, size=int(args.split(', ')[-1].strip(' )')))

    def do_fallocate(self, pid, args, ret, _):
        of = self.opened(pid, args)
        _, mode, off, size = args.rstrip(' )').split(', ')
        if of and mode == '0':
            end = int(off) + int(size)
            self.alter(of.node, size=max(end, self.size_now(of.node)))
        elif of and 'PUNCH' in mode:
            raise Blind(args)

    def do_fsync(self, pid, args, ret, _):
        of = self.opened(pid, args)
        if of:
            self.entries.append(Sync(of.node, self.begun()))

    do_fdatasync = do_fsync

    def do_syncfs(self, pid, args, ret, _):
        self.entries.append(Sync(None, self.begun()))

    do_sync = do_syncfs

    def do_fchmod(self, pid, args, ret, _):
        of = self.opened(pid, args)
        node = of.node if of else None
        if not NAMED.match(args) or 'AT_FDCWD' in args:
            node = self.lookup(self.paths(pid, args)[0])
        mode = re.search(r', 0?(\d+)', args)
        self.alter(node, mode=int(mode[1], 8))

    do_chmod = do_fchmodat = do_fchmod

    def do_mmap(self, pid, args, ret, _):
        if 'PROT_WRITE' in args and 'MAP_SHARED' in args and \
           'MAP_ANONYMOUS' not in args:
            match = NAMED.search(args)
            if match and self.inside(text_of(match[2])):
                raise Blind(f'{text_of(match[2])} is mapped to be written')

    def do_copy_file_range(self, pid, args, ret, _):
        if any(self.inside(text_of(m[2])) for m in NAMED.finditer(args)):
            raise Blind('the kernel copies bytes')

    def do_sendfile(self, pid, args, ret, _):
        self.do_copy_file_range(pid, args.split(', ')[0], ret, _)

    def do_splice(self, pid, args, ret, _):
        self.do_copy_file_range(pid, args.split(', ')[2], ret, _)

    def do_io_uring_setup(self, pid, args, ret, _):
        raise Blind('io_uring')

    def do_chdir(self, pid, args, ret, _):
        self.table(pid)['cwd'] = self.paths(pid, args)[0]

    def do_fchdir(self, pid, args, ret, _):
        self.table(pid)['cwd'] = text_of(NAMED.match(args)[2])

    def do_read(self, pid, args, size, _):
        fd = int(args.split(',')[0], 16)
        if fd in self.table(pid):
            self.table(pid)[fd].at += size

    def do_lseek(self, pid, args, at, _):
        of = self.opened(pid, args)
        if of:
            of.at = at

    def do_dup(self, pid, args, fd, _):
        match = NAMED.match(args)
        if match:
            self.table(pid)[fd] = self.table(pid).get(int(match[1]),
                                                      Open(None))

    do_dup2 = do_dup3 = do_dup

    def do_fcntl(self, pid, args, ret, _):
        if 'F_DUPFD' in args:
            self.do_dup(pid, args, ret, _)

    # ---- power cuts ----

    def moments(self):
        """After how many entries something was told."""
        return [i + 1 for i, e in enumerate(self.entries)
                if isinstance(e, Told)]

    def told(self, cut):
        """What was said by then, and whether the command had ended well."""
        said = [e for e in self.entries[:cut] if isinstance(e, Told)]
        return ''.join(e.text for e in said), any(e.ended for e in said)

    def synced(self, cut):
        """Which of the first entries last."""
        lasts, seen = set(), {}
        for i, entry in enumerate(self.entries[:cut]):
            if isinstance(entry, Change):
                if entry.kept:
                    lasts.add(i)
                for node in entry.nodes:
                    seen.setdefault(node, []).append(i)
            elif isinstance(entry, Sync) and not self.deaf:
                for node in [entry.node] if entry.node else list(seen):
                    lasts.update(j for j in seen.get(node, ())
                                 if j < entry.upto)
        for i in sorted(lasts, reverse=True):
            lasts.update(self.entries[i].before)
        todo = list(lasts)
        while todo:
            new = set(self.entries[todo.pop()].before) - lasts
            lasts |= new
            todo += new
        return lasts

    def state(self, cut, rnd, names, data, rot=False):
        """A State: of what was not synced, names are there with probability
        `names`, sectors with probability `data`; where a file grew over what
        is not there are zeros, or, with rot, anything."""
        lasts = self.synced(cut)
        there = set()
        for i, entry in enumerate(self.entries[:cut]):
            if isinstance(entry, Change) and entry.names and (
                    i in lasts or (all(b in there for b in entry.before)
                                   and rnd.random() < names)):
                there.add(i)
        return State(self, cut, lasts, there, rnd, data, rot)


class State:
    """What may be on the disk."""

    def __init__(self, log, cut, lasts, there, rnd, data, rot):
        self.log, self.cut, self.lasts = log, cut, lasts
        self.rnd, self.data, self.rot = rnd, data, rot
        self.names, self.content, self.numbers = {}, {}, {}
        for i in sorted(there):
            for (directory, name), node in log.entries[i].names:
                self.names.setdefault(directory, dict(directory.names))
                if node:
                    self.names[directory][name] = node
                else:
                    self.names[directory].pop(name, None)
        self.key = hash(tuple(self.walk(log.root, '')))

    def walk(self, node, path):
        """(path, what is there) of all that a name leads to."""
        for name, child in sorted(self.list(node).items()):
            below = f'{path}/{name}'
            if child.kind == stat.S_IFREG:
                yield below, self.bytes(child), child.mode
            else:
                yield below, child.kind, child.target
            yield from self.walk(child, below)

    def list(self, node):
        return self.names.get(node, node.names)

    def bytes(self, node):
        """The bytes of a file; None if they are those of the beginning."""
        if node not in self.content:
            changes = [i for i in node.changes if i < self.cut]
            self.content[node] = self.replay(node, changes) \
                if changes or not node.file else None
        return self.content[node]

    def replay(self, node, changes):
        content = bytearray(node.start())
        for i in changes:
            change, lasts = self.log.entries[i], i in self.lasts
            if change.size is not None:
                if lasts or self.rnd.random() < self.data:
                    self.grow(content, change.size)
                    del content[change.size:]
            elif change.data and lasts:
                off, data = change.data
                self.grow(content, off)
                content[off:off + len(data)] = data
            elif change.data:
                self.tear(content, *change.data)
        return bytes(content)

    def grow(self, content, size):
        content.extend(bytes(max(0, size - len(content))))

    def tear(self, content, off, data):
        """Some sectors of a write are there, if any."""
        if self.data == 0 and self.rnd.random() < 0.5:
            return
        unit = self.rnd.choice([SECTOR, 8 * SECTOR])
        old = len(content)
        self.grow(content, off + len(data))
        for start in range(off // unit * unit, off + len(data), unit):
            part = slice(max(start, off), min(start + unit, off + len(data)))
            if self.rnd.random() < self.data:
                content[part] = data[part.start - off:part.stop - off]
            elif self.rot and part.start >= old:
                content[part] = self.rnd.randbytes(part.stop - part.start)

    def write(self, top):
        """Make it so below top, which is empty."""
        self.maps = []
        self.write_dir(self.log.root, top)
        for path, node, content in self.maps:
            self.write_map(path, node, content)

    def write_dir(self, directory, top):
        for name, node in self.list(directory).items():
            path = f'{top}/{name}'
            if node.kind == stat.S_IFDIR:
                os.mkdir(path)
                self.write_dir(node, path)
                os.chmod(path, node.mode)
            elif node.kind == stat.S_IFLNK:
                os.symlink(node.target, path)
            elif node.kind == stat.S_IFREG:
                self.write_file(node, path)
                if name.endswith('.map') and name[:-4] in self.list(directory):
                    self.maps.append((path, self.list(directory)[name[:-4]],
                                      self.bytes(node) or node.start()))

    def write_file(self, node, path):
        content = self.bytes(node)
        if content is None:
            shutil.copy2(node.file, path)
            return
        with open(path, 'wb') as f:
            f.write(content)
        os.chmod(path, self.mode(node))

    def mode(self, node):
        mode = node.mode
        for i in node.changes:
            if i < self.cut and self.log.entries[i].mode is not None:
                mode = self.log.entries[i].mode
        return mode

    def write_map(self, path, blob, content):
        """A map names the inode of its blob, which is another one now."""
        if len(content) < MAP_HEADER or blob.number is None or \
           int.from_bytes(content[MAP_INO], 'little') != blob.number:
            return
        st = os.stat(path[:-4])
        content = bytearray(content)
        content[MAP_DEV] = st.st_dev.to_bytes(8, 'little')
        content[MAP_INO] = st.st_ino.to_bytes(8, 'little')
        with open(path, 'wb') as f:
            f.write(content)
