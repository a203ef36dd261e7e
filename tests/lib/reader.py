#!/usr/bin/env python3
"""A second reader of datamount repositories, written from
datamount-repository(5) alone.

usage: reader.py verify REPO REF        check every byte of a version
       reader.py export REPO REF DIR    the same, and write it to DIR

REPO is a folder, REF a branch, a tag or a commit's id.  Prints one line; exits
0 if all is as the page says, else 1.  Needs the zstd program.
"""

import hashlib
import os
import re
import struct
import subprocess
import sys

DATA, TREE, CHUNKS, WHERE = 1, 2, 3, 4
FILE, EXEC, DIR, LINK = 1, 2, 3, 4
MIB = 1 << 20
ZERO = bytes(32)
WINDOW = 16 * MIB  # of plain bytes: what one run of zstd decodes


class Bad(Exception):
    """The repository is not as the page says."""


def check(good, *what):
    if not good:
        raise Bad(' '.join(str(w) for w in what))


def sha256(data):
    return hashlib.sha256(data).digest()


def read_file(path, limit=None):
    try:
        with open(path, 'rb') as f:
            data = f.read() if limit is None else f.read(limit + 1)
    except OSError as e:
        raise Bad(f'{path}: {e.strerror}') from e
    check(limit is None or len(data) <= limit, path, 'is too large')
    return data


# ---- text ----

def number(text, most):
    check(re.fullmatch('0|[1-9][0-9]{0,19}', text), 'bad number', text)
    check(int(text) <= most, 'number too large', text)
    return int(text)


def an_id(text):
    check(re.fullmatch('[0-9a-f]{64}', text), 'bad id', text)
    return bytes.fromhex(text)


def clean(data, multiline=False):
    """UTF-8 without control characters."""
    try:
        text = data.decode('utf-8')
    except UnicodeDecodeError as e:
        raise Bad('not UTF-8') from e
    allowed = '\n\t' if multiline else ''
    for c in text:
        control = ord(c) < 0x20 or 0x7f <= ord(c) < 0xa0
        check(not control or c in allowed, 'control character')
    return text


def ref_name(name):
    check(re.fullmatch('[A-Za-z0-9][A-Za-z0-9._/-]{0,199}', name),
          'bad ref name', name)
    for part in name.split('/'):
        check(part and part[0] != '.' and part[-1] != '.', 'bad ref', name)
    check('..' not in name and not name.endswith(('.lock', '.tmp')),
          'bad ref name', name)
    check(not re.fullmatch('[0-9A-Fa-f]{8,64}', name), 'ref is an id', name)
    return name


TIME_MAX = 253402300799
SEQUENCE_MAX = 2**63 - 1


class Lines:
    """The lines of a text, taken from its front."""

    def __init__(self, data):
        self.rest = data

    def take(self, key):
        """The value of the next line if that is its key, else None."""
        line, newline, rest = self.rest.partition(b'\n')
        start = key.encode() + b' '
        if not newline or not line.startswith(start):
            return None
        self.rest = rest
        return clean(line[len(start):])

    def need(self, key):
        value = self.take(key)
        check(value is not None, 'line', key, 'is missing')
        return value


class Commit:
    def __init__(self, data):
        lines = Lines(data)
        check(lines.need('format') == '1', 'unknown format of a commit')
        self.tree = an_id(lines.need('tree'))
        self.level = number(lines.need('level'), 3)
        self.entries = number(lines.need('entries'), 2**48)
        self.files = number(lines.need('files'), self.entries)
        self.bytes = number(lines.need('bytes'),
                            2**62 if self.files else 0)
        at = lines.need('at').split(' ')
        check(len(at) == 4, 'bad at')
        self.pack = an_id(at[0])
        self.dir_off = number(at[1], 2**62)
        self.dir_len = number(at[2], 2**32 - 1)
        self.ordinal = number(at[3], 2**32 - 1)
        check(self.dir_len > 0, 'bad at')
        self.parents = []
        while (value := lines.take('parent')) is not None:
            self.parents.append(an_id(value))
        check(len(self.parents) <= 16, 'too many parents')
        check(len(set(self.parents)) == len(self.parents), 'doubled parent')
        self.time = number(lines.need('time'), TIME_MAX)
        author = lines.take('author')
        check(author is None or 1 <= len(author.encode()) <= 512,
              'bad author')
        self.read_keys(lines)
        check(lines.rest.startswith(b'\n'), 'unknown line in a commit')
        self.message = clean(lines.rest[1:], multiline=True)
        check(len(lines.rest) - 1 <= 64 * 1024, 'message too long')

    @staticmethod
    def read_keys(lines):
        names = []
        while lines.rest.startswith(b'x-'):
            line, _, lines.rest = lines.rest.partition(b'\n')
            found = re.fullmatch('x-([a-z0-9-]{1,64}) (.+)', clean(line))
            check(found, 'bad free key')
            names.append(found[1])
        check(len(names) <= 64, 'too many free keys')
        check(all(a < b for a, b in zip(names, names[1:])), 'keys disordered')


# ---- packs ----

class Pack:
    def __init__(self, repo, pack_id, dir_off, dir_len):
        name = pack_id.hex()
        self.path = os.path.join(repo, 'packs', name[:2], name)
        try:
            with open(self.path, 'rb') as f:
                size = f.seek(0, 2)
                check(size == dir_off + dir_len + 16, name, 'has another size')
                f.seek(dir_off)
                directory = f.read(dir_len)
                trailer = f.read(16)
        except OSError as e:
            raise Bad(f'{self.path}: {e.strerror}') from e
        check(trailer == struct.pack('<II', dir_len, 0) + b'DMpacke1',
              name, 'has a bad trailer')
        check(sha256(directory) == pack_id, name, 'is not its id')
        self.records = []
        self.decode(directory)
        check(self.end == dir_off, name, 'begins its directory elsewhere')
        self.windows = {}  # number of a window: its objects by ordinal

    def decode(self, directory):
        magic, flags, count = struct.unpack_from('<8sII', directory)
        check(magic == b'DMpackd1' and flags == 0, 'bad pack directory')
        check(1 <= count <= 2**20 and len(directory) == 16 + 56 * count,
              'bad length of a pack directory')
        plain = stored = 0
        for record in struct.iter_unpack('<32sQQBB6s', directory[16:]):
            oid, plain_end, stored_end, kind, codec, zero = record
            size, room = plain_end - plain, stored_end - stored
            check(zero == bytes(6) and DATA <= kind <= WHERE, 'bad record')
            check(1 <= size <= (16 if kind == DATA else 4) * MIB,
                  'bad size of an object')
            check(codec in (0, 1), 'unknown codec')
            check(room == size if codec == 0 else 1 <= room < size,
                  'bad stored size')
            self.records.append((oid, kind, codec, size, stored, room,
                                 plain // WINDOW))
            plain, stored = plain_end, stored_end
        check(plain <= 16 << 30, 'pack too large')
        self.end = stored

    def read(self, ordinal, kind, oid):
        check(ordinal < len(self.records), 'ordinal beyond the pack')
        record = self.records[ordinal]
        check(record[:2] == (oid, kind), 'object', oid.hex(),
              'is not where it is said to be')
        number_of = record[6]
        if number_of not in self.windows:
            while len(self.windows) > 1:
                self.windows.pop(next(iter(self.windows)))
            self.windows[number_of] = self.load(ordinal)
        data = self.windows[number_of][ordinal]
        check(sha256(data) == oid, 'object', oid.hex(), 'is damaged')
        return data

    def load(self, ordinal):
        """Decode the window of an object: frames end to end are one stream
        for zstd."""
        window = self.records[ordinal][6]
        first = last = ordinal
        while first > 0 and self.records[first - 1][6] == window:
            first -= 1
        while last < len(self.records) and self.records[last][6] == window:
            last += 1
        begin = self.records[first][4]
        end = self.records[last - 1][4] + self.records[last - 1][5]
        with open(self.path, 'rb') as f:
            f.seek(begin)
            stored = f.read(end - begin)
        plain = {}
        frames = []
        for i in range(first, last):
            _, _, codec, _, off, room, _ = self.records[i]
            data = stored[off - begin:off - begin + room]
            if codec == 0:
                plain[i] = data
            else:
                frames.append((i, data))
        if frames:
            self.unpack(frames, plain)
        return plain

    def unpack(self, frames, plain):
        run = subprocess.run(['zstd', '-dcq'], check=False,
                             input=b''.join(data for _, data in frames),
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        check(run.returncode == 0, self.path, 'has a damaged frame')
        off = 0
        for i, _ in frames:
            size = self.records[i][3]
            plain[i] = run.stdout[off:off + size]
            off += size
        check(off == len(run.stdout), self.path, 'has a frame of another size')


# ---- structured objects ----

def header(data, kind):
    check(len(data) >= 16, 'object cut short')
    magic, k, level, zero, count, heap = struct.unpack_from('<4sBBHII', data)
    check(magic == b'DMo1' and k == kind and zero == 0, 'bad header')
    return level, count, heap


class Where:
    """Where the children of an object lie: a list of (pack, ordinal), pack
    None for the same pack, or the whole row None for nowhere."""

    def __init__(self, data, runs):
        shape, count, heap = header(data, WHERE)
        npacks, zero = struct.unpack_from('<II', data, 16)
        size = 16 if runs else 8
        check(shape == int(runs) and heap == 0 and zero == 0, 'bad where')
        check(count <= 16384 and npacks <= count, 'bad where')
        check(len(data) == 24 + 48 * npacks + size * count, 'bad where')
        packs = list(struct.iter_unpack('<32sQII', data[24:24 + 48 * npacks]))
        check(all(a[0] < b[0] for a, b in zip(packs, packs[1:])),
              'packs disordered')
        check(all(p[1] <= 2**62 and p[2] > 0 and p[3] == 0 for p in packs),
              'bad place of a directory')
        self.packs = [None] + [p[:3] for p in packs]
        self.used = set()
        self.rows = []
        body = data[24 + 48 * npacks:]
        if runs:
            self.read_runs(body)
        else:
            for row in struct.iter_unpack('<II', body):
                self.add(*row)
        check(len(self.used - {0}) == npacks, 'pack that no row names')

    def add(self, pack, ordinal):
        if pack == 2**32 - 1:
            check(ordinal == 0, 'place of nothing')
            self.rows.append(None)
            return
        check(pack < len(self.packs), 'unknown pack')
        self.used.add(pack)
        self.rows.append((self.packs[pack], ordinal))

    def read_runs(self, body):
        last = None
        for first, n, pack, ordinal in struct.iter_unpack('<IIII', body):
            check(first == len(self.rows) and n > 0, 'bad run')
            check(first + n <= 16384 and ordinal + n < 2**32, 'bad run')
            check((pack, ordinal) != last, 'runs that could be one')
            for i in range(n):
                self.add(pack, ordinal + i)
            last = (pack, ordinal + n)
        check(self.rows, 'empty where')


class Totals:
    def __init__(self, children=0, entries=0, files=0, nbytes=0):
        self.children = children
        self.entries = entries
        self.files = files
        self.bytes = nbytes

    def key(self):
        return self.children, self.entries, self.files, self.bytes

    def add(self, other):
        self.children += other.children
        self.entries += other.entries
        self.files += other.files
        self.bytes += other.bytes


def name_valid(name):
    return (1 <= len(name) <= 255 and name not in (b'.', b'..') and
            b'/' not in name and b'\0' not in name)


class Entry:
    """A record of a page or index."""

    def __init__(self, name, kind, how, size, oid, covers, target=None):
        self.name = name
        self.kind = kind  # 0: a page
        self.how = how
        self.size = size
        self.id = oid
        self.covers = covers
        self.target = target

    def heap(self):
        return len(self.name) + len(self.target or b'')


class Tree:
    def __init__(self, data):
        self.level, count, heap = header(data, TREE)
        check(self.level <= 3, 'bad level')
        check(count <= (8192 if self.level == 0 else 2048), 'too many records')
        check(self.level == 0 or count > 0, 'empty index')
        check(heap <= 2 * MIB, 'heap too large')
        size = 64 if self.level == 0 else 80
        check(len(data) == 48 + size * count + heap, 'bad size of a tree')
        self.totals = Totals(*struct.unpack_from('<QQQQ', data, 16))
        self.heap = data[48 + size * count:]
        self.off = 0
        self.sums = Totals()
        self.entries = []
        form = '<IHBBQQQ32s' if self.level == 0 else '<IHHQQQQQ32s'
        records = list(struct.iter_unpack(form, data[48:48 + size * count]))
        for i, record in enumerate(records):
            after = records[i + 1] if i + 1 < count else None
            entry = (self.page_record if self.level == 0 else
                     self.index_record)(record, after)
            check(not self.entries or self.entries[-1].name < entry.name,
                  'names disordered')
            covers = entry.covers
            check(covers.files <= covers.entries and
                  (covers.files or not covers.bytes), 'impossible sum')
            self.sums.add(covers)
            self.entries.append(entry)
        check(self.off == heap, 'gap in a heap')
        check(self.sums.key() == self.totals.key(), 'wrong totals')
        check(self.totals.children <= 2**32 and
              self.totals.entries <= 2**48 and
              self.totals.bytes <= 2**62, 'totals too large')

    def take(self, off, size):
        check(off == self.off and off + size <= len(self.heap), 'bad name')
        self.off += size
        return self.heap[off:off + size]

    def page_record(self, record, after):
        off, name_len, kind, how, size, before, files, oid = record
        name = self.take(off, name_len)
        check(name_valid(name), 'bad name')
        check(before == self.sums.entries, 'bad before')
        covered = (after[5] if after else self.totals.entries) - before
        check(covered >= 1, 'bad before')
        target = None
        if kind in (FILE, EXEC):
            check(covered == 1 and files == 1 and size <= 2**50, 'bad file')
            check(how == 0 and (oid == ZERO) == (size == 0), 'bad file')
        elif kind == DIR:
            check(how <= 3 and files <= covered - 1 and oid != ZERO,
                  'bad directory')
        else:
            check(kind == LINK, 'unknown kind')
            check(covered == 1 and (how, files, oid) == (0, 0, ZERO),
                  'bad symlink')
            check(1 <= size <= 4095, 'bad symlink')
            target = self.take(self.off, size)
            check(b'\0' not in target, 'bad symlink')
        covers = Totals(1, covered, files, 0 if kind == LINK else size)
        return Entry(name, kind, how, size, oid, covers, target)

    def index_record(self, record, after):
        off, name_len, zero, children, before, files, nbytes, zero8, oid = \
            record
        name = self.take(off, name_len)
        check(name_valid(name) and zero == 0 and zero8 == 0, 'bad record')
        check(children == self.sums.children and before == self.sums.entries,
              'bad sums before')
        covers = Totals((after[3] if after else self.totals.children) -
                        children,
                        (after[4] if after else self.totals.entries) - before,
                        files, nbytes)
        check(1 <= covers.children <= covers.entries, 'empty child')
        check(oid != ZERO, 'bad id')
        return Entry(name, 0, self.level - 1, nbytes, oid, covers)


class ChunkList:
    def __init__(self, data):
        self.level, count, heap = header(data, CHUNKS)
        check(self.level <= 3 and heap == 0 and 1 <= count <= 16384,
              'bad chunk list')
        check(len(data) == 64 + 40 * count, 'bad size of a chunk list')
        self.size, self.chunks, self.whole = \
            struct.unpack_from('<QQ32s', data, 16)
        each = 16384**self.level
        check((count - 1) * each < self.chunks <= count * each,
              'bad number of chunks')
        self.records = []  # size, chunks, id
        begin = 0
        for i, (end, oid) in enumerate(struct.iter_unpack('<Q32s', data[64:])):
            chunks = each if i + 1 < count else self.chunks - i * each
            check(chunks <= end - begin <= chunks * 2 * MIB, 'bad end')
            check(oid != ZERO, 'bad id')
            self.records.append((end - begin, chunks, oid))
            begin = end
        check(begin == self.size <= 2**50, 'wrong size of a chunk list')


# ---- rules of cutting ----

def splits(level, count, heap, entry, paged):
    """Does a new object begin before entry?"""
    if count == 0:
        return False
    if heap + entry.heap() > 2 * MIB:
        return True
    if not paged:
        return False
    if count >= (8192 if level == 0 else 2048):
        return True
    if count < (1024 if level == 0 else 128):
        return False
    value = struct.unpack_from('<Q', sha256(entry.name), 8 * level)[0]
    return value % (2048 if level == 0 else 512) == 0


def check_pages(levels):
    """levels[k] lists the objects of level k of one directory, each the list
    of its entries."""
    paged = sum(len(page) for page in levels[0]) > 4096
    for level, pages in enumerate(levels):
        for i, page in enumerate(pages):
            heap = 0
            for n, entry in enumerate(page):
                check(not splits(level, n, heap, entry, paged or level > 0),
                      'page ends too late')
                heap += entry.heap()
            if i + 1 < len(pages):
                check(splits(level, len(page), heap, pages[i + 1][0],
                             paged or level > 0), 'page ends too early')
    check(len(levels[-1]) == 1, 'several objects at the top')
    check(len(levels) == 1 or len(levels[-1][0]) >= 2, 'index of one page')


GEAR = [struct.unpack_from('<Q', sha256(b'datamount gear' + bytes([b])))[0]
        for b in range(256)]


def cut(data):
    """The length of the first chunk of data."""
    n = len(data)
    if n <= 131072:
        return n
    h, gear, mask = 0, GEAR, 2**64 - 1
    end = min(n, 2097152)
    middle = min(end, 524288)
    for bits, first, last in ((21, 131072, middle), (17, middle, end)):
        limit = 1 << (64 - bits)
        for i, b in enumerate(data[first:last], first):
            h = (2 * h + gear[b]) & mask
            if h < limit:
                return i + 1
    return end


# ---- the whole ----

class Version:
    def __init__(self, repo, commit, out=None):
        self.repo = repo
        self.commit = commit
        self.out = out  # where to write it, or None
        self.packs = {}
        self.recent = []

    def pack(self, pack_id, dir_off, dir_len):
        pack = self.packs.get(pack_id)
        if pack is None:
            pack = self.packs[pack_id] = Pack(self.repo, pack_id, dir_off,
                                              dir_len)
        check(pack.end == dir_off, 'directory is elsewhere')
        check(16 + 56 * len(pack.records) == dir_len, 'directory is elsewhere')
        if pack not in self.recent:
            self.recent.append(pack)
            if len(self.recent) > 4:
                self.recent.pop(0).windows = {}
        return pack

    def follow(self, pack, row, kind, oid):
        """The pack and ordinal of a row, and the object there."""
        check(row is not None, 'child', oid.hex(), 'lies nowhere')
        place, ordinal = row
        if place is not None:
            pack = self.pack(*place)
        return pack, ordinal, pack.read(ordinal, kind, oid)

    def where(self, pack, ordinal, runs):
        check(ordinal + 1 < len(pack.records), 'object without where')
        oid, kind = pack.records[ordinal + 1][:2]
        check(kind == WHERE, 'object without where')
        return Where(pack.read(ordinal + 1, WHERE, oid), runs)

    def run(self):
        c = self.commit
        pack = self.pack(c.pack, c.dir_off, c.dir_len)
        data = pack.read(c.ordinal, TREE, c.tree)
        if self.out is not None:
            try:
                os.mkdir(self.out)
            except OSError as e:
                raise Bad(f'{self.out}: {e.strerror}') from e
        totals = self.directory(pack, c.ordinal, data, c.level, [])
        check((totals.entries, totals.files, totals.bytes) ==
              (c.entries, c.files, c.bytes), 'wrong totals of the commit')

    def directory(self, pack, ordinal, data, level, path):
        check(len(path) <= 128, 'tree too deep')
        levels = [[] for _ in range(level + 1)]
        totals = self.page(pack, ordinal, data, level, levels, path)
        check_pages(levels)
        return totals

    def page(self, pack, ordinal, data, level, levels, path):
        tree = Tree(data)
        check(tree.level == level, 'object of another level')
        rows = self.where(pack, ordinal, False).rows
        check(len(rows) == len(tree.entries), 'where of another size')
        levels[level].append(tree.entries)
        for entry, row in zip(tree.entries, rows):
            if entry.kind != 0:
                self.entry(pack, entry, row, path + [entry.name])
                continue
            p, o, child = self.follow(pack, row, TREE, entry.id)
            totals = self.page(p, o, child, level - 1, levels, path)
            check(totals.key() == entry.covers.key(), 'wrong totals')
            check(levels[level - 1][-1][0].name == entry.name,
                  'another first name')
        return tree.totals

    def target(self, path):
        return os.path.join(os.fsencode(self.out), *path)

    def entry(self, pack, entry, row, path):
        check(len(b'/'.join(path)) <= 4095, 'path too long')
        try:
            if entry.kind == DIR:
                self.subdirectory(pack, entry, row, path)
            elif entry.kind == LINK:
                check(row is None, 'symlink with an object')
                if self.out is not None:
                    os.symlink(entry.target, self.target(path))
            else:
                self.file(pack, entry, row, path)
        except Bad as e:
            if hasattr(e, 'path'):
                raise
            e.path = b'/'.join(path)
            raise

    def subdirectory(self, pack, entry, row, path):
        if self.out is not None:
            os.mkdir(self.target(path))
        p, o, data = self.follow(pack, row, TREE, entry.id)
        totals = self.directory(p, o, data, entry.how, path)
        check((totals.entries + 1, totals.files, totals.bytes) ==
              (entry.covers.entries, entry.covers.files, entry.covers.bytes),
              'wrong totals of a directory')

    def file(self, pack, entry, row, path):
        out = None
        if self.out is not None:
            mode = 0o777 if entry.kind == EXEC else 0o666
            out = os.fdopen(os.open(self.target(path), os.O_WRONLY |
                                    os.O_CREAT | os.O_EXCL, mode), 'wb')
        if entry.size == 0:
            check(row is None, 'empty file with an object')
        elif entry.size <= MIB:
            _, _, data = self.follow(pack, row, DATA, entry.id)
            check(len(data) == entry.size, 'file of another size')
            if out:
                out.write(data)
        else:
            self.large_file(pack, entry, row, out)
        if out:
            out.close()

    def large_file(self, pack, entry, row, out):
        p, o, data = self.follow(pack, row, CHUNKS, entry.id)
        top = ChunkList(data)
        check(top.size == entry.size, 'file of another size')
        check(top.level == 0 or len(top.records) > 1, 'index of one list')
        whole = hashlib.sha256()
        ahead = b''  # bytes that await their cut
        cuts = []
        for chunk in self.chunks(p, o, top):
            whole.update(chunk)
            if out:
                out.write(chunk)
            cuts.append(len(chunk))
            ahead += chunk
            while len(ahead) >= 2 * MIB:
                ahead = self.check_cut(ahead, cuts)
        while ahead:
            ahead = self.check_cut(ahead, cuts)
        check(whole.digest() == top.whole, 'file is not its digest')

    @staticmethod
    def check_cut(ahead, cuts):
        size = cut(ahead)
        check(size == cuts.pop(0), 'chunk is cut elsewhere')
        return ahead[size:]

    def chunks(self, pack, ordinal, chunk_list):
        rows = self.where(pack, ordinal, chunk_list.level == 0).rows
        check(len(rows) == len(chunk_list.records), 'where of another size')
        for (size, chunks, oid), row in zip(chunk_list.records, rows):
            kind = DATA if chunk_list.level == 0 else CHUNKS
            p, o, data = self.follow(pack, row, kind, oid)
            if kind == DATA:
                check(len(data) == size, 'chunk of another size')
                yield data
                continue
            child = ChunkList(data)
            check(child.level == chunk_list.level - 1 and
                  (child.size, child.chunks, child.whole) ==
                  (size, chunks, ZERO), 'list is not what its index says')
            yield from self.chunks(p, o, child)


def load_commit(repo, oid):
    name = oid.hex()
    data = read_file(os.path.join(repo, 'commits', name[:2], name), 128 * 1024)
    check(sha256(data) == oid, 'commit', name, 'is not its id')
    return Commit(data)


def read_ref(repo, path):
    lines = Lines(read_file(os.path.join(repo, path), 1024))
    commit = an_id(lines.need('commit'))
    sequence = number(lines.need('sequence'), SEQUENCE_MAX)
    time = number(lines.need('time'), TIME_MAX)
    check(sequence >= 1 and lines.rest == b'', 'bad ref', path)
    return commit, sequence, time


def resolve(repo, ref):
    if re.fullmatch('[0-9a-f]{64}', ref):
        return bytes.fromhex(ref)
    ref_name(ref)
    for kind in ('heads', 'tags'):
        if os.path.isfile(os.path.join(repo, 'refs', kind, ref)):
            return read_ref(repo, f'refs/{kind}/{ref}')[0]
    raise Bad(f'no ref {ref}')


def list_refs(repo):
    """Every ref's name below refs, in the order of refs/all."""
    found = []
    for kind in ('heads', 'tags'):
        top = os.path.join(repo, 'refs', kind)
        names = []
        for place, _, files in os.walk(top):
            names += [os.path.relpath(os.path.join(place, f), top)
                      for f in files if not f.endswith('.tmp')]
        found += [f'{kind}/{n}' for n in sorted(names, key=os.fsencode)]
    return found


def check_all(repo):
    names = []
    for line in read_file(os.path.join(repo, 'refs/all')).splitlines():
        name, oid, sequence, time = clean(line).split(' ')
        ref_name(name.partition('/')[2])
        said = (an_id(oid), number(sequence, SEQUENCE_MAX),
                number(time, TIME_MAX))
        check(said == read_ref(repo, 'refs/' + name), 'refs/all lies on', name)
        names.append(name)
    check(names == list_refs(repo), 'refs/all is not all')


def subject(message):
    data = message.partition('\n')[0].replace('\t', ' ').encode()[:100]
    return data.decode('utf-8', 'ignore')


def check_log(repo):
    seen = set()
    for line in read_file(os.path.join(repo, 'refs/log')).split(b'\n')[:-1]:
        oid, parents, time, branch, text = clean(line).split(' ', 4)
        commit = load_commit(repo, an_id(oid))
        said = [] if parents == '-' else [an_id(p) for p in parents.split(',')]
        check(said == commit.parents and all(p in seen for p in said),
              'refs/log lies on the parents of', oid)
        check(number(time, TIME_MAX) == commit.time and
              text == subject(commit.message), 'refs/log lies on', oid)
        ref_name(branch)
        check(an_id(oid) not in seen, 'refs/log doubles', oid)
        seen.add(an_id(oid))


def read(repo, ref, out=None):
    text = read_file(os.path.join(repo, 'datamount'), 1024)
    check(re.fullmatch(b'datamount repository 1\nid [0-9a-f]{32}\n', text),
          'not a repository')
    check_all(repo)
    check_log(repo)
    commit = load_commit(repo, resolve(repo, ref))
    for parent in commit.parents:
        load_commit(repo, parent)
    version = Version(repo, commit, out)
    version.run()
    print(f'ok: {commit.entries} entries, {commit.files} files, '
          f'{commit.bytes} bytes in {len(version.packs)} packs')


def main(args):
    sys.setrecursionlimit(10000)
    if not (args[:1] == ['verify'] and len(args) == 3 or
            args[:1] == ['export'] and len(args) == 4):
        print(__doc__.strip(), file=sys.stderr)
        return 2
    try:
        read(*args[1:])
    except Bad as e:
        path = getattr(e, 'path', None)
        print('bad:', e, 'in ' + repr(path) if path else '')
        return 1
    except (ValueError, struct.error) as e:
        print('bad:', e)
        return 1
    return 0


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
