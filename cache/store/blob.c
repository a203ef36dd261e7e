/*
 * One blob.
 *
 * Verified bits hold for the data file as it was: `signature` is what fstat
 * said after our last own write.  All own writes happen under the lock, each
 * between two fstats, so a change that is not ours is seen either by a reader
 * (pread, then fstat) or by the next writer; then all bits are dropped and
 * `dropped` counts up.  A reader compares that count too: without, a reader
 * that was slow between pread and fstat could take the signature of a write of
 * ours that came behind a foreign one for that of the bytes it read.
 *
 * What is not seen is a change between the two fstats of a write of ours, and
 * one in the same tick of the file system's clock.  No datamount makes wrong
 * ones; another program of this user could.
 */
#include "cache/store/blob.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "cache/base/buf.h"
#include "cache/base/clock.h"
#include "cache/base/err.h"
#include "cache/base/io.h"
#include "cache/base/lock.h"
#include "cache/pack/pack_dir.h"
#include "cache/store/around.h"
#include "cache/store/directory.h"
#include "cache/store/files.h"
#include "cache/store/hashing.h"
#include "cache/store/shelf.h"

enum {
	PAGE = 4096,    /* what a file system rounds to, about */
	PROVE_FEW = 16, /* small pieces */
};

struct blob {
	/* immutable */
	struct digest key;
	struct shelf *shelf;

	/* atomic */
	_Atomic uint64_t signature; /* of the data file; written under mu */
	_Atomic uint64_t dropped;   /* times that verified was cleared */
	_Atomic uint64_t finished;
	_Atomic bool used, touched;
	_Atomic bool has_files;
	_Atomic unsigned lent;
	struct around_blob around;
	_Atomic size_t memory; /* of the directory */
	/* one bit a piece; made once, under mu, when the layout is known */
	_Atomic(_Atomic uint64_t *) verified;

	struct dm_mutex mu; /* guards all below */
	struct files *files;
	struct directory *dir;
	uint32_t pieces; /* of the layout; 0 not known */
	uint64_t size;
};

struct blob *
blob_new(struct shelf *s, const struct digest *key)
{
	struct blob *b = calloc(1, sizeof(*b));

	if (b == NULL)
		return NULL;
	b->key = *key;
	b->shelf = s;
	dm_mutex_init(&b->mu, DM_RANK_BLOB);
	return b;
}

void
blob_free(struct blob *b)
{
	if (b == NULL)
		return;
	files_put(b->files);
	directory_put(b->dir);
	free(atomic_load(&b->verified));
	dm_mutex_destroy(&b->mu);
	free(b);
}

const struct digest *
blob_key(const struct blob *b)
{
	return &b->key;
}

/* ---- verified bits ---- */

static void
drop_verified_locked(struct blob *b)
{
	_Atomic uint64_t *bits = atomic_load(&b->verified);

	atomic_fetch_add(&b->dropped, 1);
	for (uint32_t i = 0; bits != NULL && i < (b->pieces + 63) / 64; i++)
		atomic_store(&bits[i], 0);
}

static bool
is_verified(struct blob *b, uint32_t n)
{
	_Atomic uint64_t *bits = atomic_load(&b->verified);

	return bits != NULL && (atomic_load(&bits[n / 64]) >> n % 64 & 1) != 0;
}

static void
set_verified_locked(struct blob *b, uint32_t n, bool verified)
{
	_Atomic uint64_t *bits = atomic_load(&b->verified);
	uint64_t bit = (uint64_t)1 << n % 64;

	if (n >= b->pieces)
		return;
	if (bits == NULL) {
		if (!verified)
			return;
		bits = calloc((b->pieces + 63) / 64, sizeof(*bits));
		if (bits == NULL)
			return; /* then it is hashed again */
		atomic_store(&b->verified, bits);
	}
	if (verified)
		atomic_fetch_or(&bits[n / 64], bit);
	else
		atomic_fetch_and(&bits[n / 64], ~bit);
}

/* ---- open files ---- */

/* The file is not as we left it, or is not the one that we left. */
static void
note_signature_locked(struct blob *b, uint64_t signature)
{
	if (signature == atomic_load(&b->signature))
		return;
	drop_verified_locked(b);
	atomic_store(&b->signature, signature);
}

static void
files_drop_locked(struct blob *b)
{
	if (b->files == NULL)
		return;
	files_put(dm_steal(&b->files));
	atomic_store(&b->has_files, false);
	shelf_hold(b->shelf, -1, 0);
}

/* Borrow the open files; with create, ones that can be written. */
static struct files *
borrow(struct blob *b, bool create)
{
	struct files *f;
	bool unlinked;
	int error = 0;

	dm_lock(&b->mu);
	if (b->files != NULL && create && b->files->map < 0)
		files_drop_locked(b);
	if (b->files == NULL && b->pieces > 0) {
		b->files =
		    files_open(b->shelf, &b->key, create, b->pieces, b->size);
		error = errno;
		if (b->files != NULL) {
			note_signature_locked(b,
			    shelf_signature(b->files->data, &unlinked));
			atomic_store(&b->has_files, true);
			shelf_hold(b->shelf, 1, 0);
		}
	}
	f = b->files == NULL ? NULL : files_get(b->files);
	dm_unlock(&b->mu);
	errno = error;
	return f;
}

struct files *
blob_files(struct blob *b)
{
	struct files *f = borrow(b, true);

	return f != NULL ? f : files_open(b->shelf, &b->key, true, 0, 0);
}

/* Has somebody else changed the file?  Then nothing is verified.  False: f is
 * not, or no longer, the blob's file. */
static bool
look_locked(struct blob *b, const struct files *f)
{
	bool unlinked;
	uint64_t signature;

	if (b->files != f)
		return false;
	signature = shelf_signature(f->data, &unlinked);
	note_signature_locked(b, signature);
	if (!unlinked && signature != 0)
		return true;
	files_drop_locked(b);
	return false;
}

/* ---- the directory ---- */

static void
set_memory_locked(struct blob *b, size_t memory)
{
	size_t old = atomic_exchange(&b->memory, memory);

	shelf_hold(b->shelf, 0, (int64_t)memory - (int64_t)old);
}

static void
directory_keep(struct blob *b, struct directory *d)
{
	struct directory *old;

	dm_lock(&b->mu);
	old = b->dir;
	b->dir = directory_get(d);
	b->pieces = directory_count(d);
	b->size = directory_plain_size(d);
	set_memory_locked(b, directory_memory(d));
	dm_unlock(&b->mu);
	directory_put(old);
}

struct directory *
blob_directory(struct blob *b)
{
	struct directory *d = NULL;

	dm_lock(&b->mu);
	if (b->dir != NULL)
		d = directory_get(b->dir);
	dm_unlock(&b->mu);
	if (d != NULL)
		return d;
	d = directory_load(b->shelf, &b->key);
	if (d != NULL)
		directory_keep(b, d);
	return d;
}

int
blob_directory_make(struct blob *b, void *data, size_t size,
    struct directory **out, struct dm_err *err)
{
	if (directory_make(out, b->shelf, &b->key, data, size, err) < 0)
		return -1;
	directory_keep(b, *out);
	return 0;
}

/* ---- reading ---- */

enum got { HERE, ABSENT, CHANGED };

static void
drop_piece(struct blob *b, const struct files *f, const struct blob_piece *p)
{
	shelf_count_bad(b->shelf);
	dm_lock(&b->mu);
	set_verified_locked(b, p->n, false);
	if (f->map >= 0)
		(void)files_claim(f, p->n, false); /* only a claim */
	dm_unlock(&b->mu);
}

/* Read a whole piece and hash it. */
static bool
read_and_hash(const struct files *f, const struct blob_piece *p, void *data)
{
	struct digest is;

	if (dm_pread_full(f->data, data, p->size, p->off) != (ssize_t)p->size)
		return false;
	digest_of(&is, data, p->size);
	return digest_equal(&is, &p->id);
}

/* Have the kernel read what lies around a piece, if that may serve. */
static void
read_around(struct blob *b, const struct files *f, const struct blob_piece *p)
{
	uint32_t now = (uint32_t)(dm_now_ms() / 1000) + 1;
	uint64_t from, n;

	if (around_due(shelf_around(b->shelf), &b->around, p->off, p->size, now,
		&from, &n) &&
	    files_claims_one(f, p->n))
		(void)posix_fadvise(f->data, (off_t)from, (off_t)n,
		    POSIX_FADV_WILLNEED);
}

/* The bytes are their own proof; the map is asked only when they fail. */
static enum got
read_small(struct blob *b, const struct files *f, const struct blob_piece *p,
    const struct hashing_span *want)
{
	uint8_t part[BLOB_SMALL];
	void *data = want->size == p->size ? want->buf : part;

	read_around(b, f, p);
	if (!read_and_hash(f, p, data)) {
		if (!files_claims_one(f, p->n))
			return ABSENT;
		/* Perhaps it has come in between. */
		if (!read_and_hash(f, p, data)) {
			drop_piece(b, f, p);
			return ABSENT;
		}
	}
	if (data == part)
		memcpy(want->buf, part + want->off, want->size);
	return HERE;
}

static enum got
read_verified(struct blob *b, const struct files *f, const struct blob_piece *p,
    const struct hashing_span *want)
{
	uint64_t dropped = atomic_load(&b->dropped);
	bool unlinked, same;

	if (!is_verified(b, p->n))
		return ABSENT;
	if (dm_pread_full(f->data, want->buf, want->size, p->off + want->off) !=
	    (ssize_t)want->size)
		return ABSENT;
	if (shelf_signature(f->data, &unlinked) == atomic_load(&b->signature) &&
	    atomic_load(&b->dropped) == dropped)
		return HERE;
	/* Perhaps a write of ours is under way: behind the lock it is not. */
	dm_lock(&b->mu);
	same = look_locked(b, f) && atomic_load(&b->dropped) == dropped;
	dm_unlock(&b->mu);
	return same ? HERE : CHANGED;
}

/* Of those who want a piece, one hashes it.  HERE: we; else somebody has, or
 * the file has changed.  *further: the piece before it was used in this run. */
static enum got
begin_hash(struct blob *b, struct files *f, struct hashing_one *one,
    uint64_t *dropped, bool *further)
{
	enum got got = CHANGED;

	dm_lock(&b->mu);
	hashing_wait(&f->hashing, one, &b->mu);
	if (!is_verified(b, one->n) && look_locked(b, f)) {
		hashing_begin(&f->hashing, one);
		*dropped = atomic_load(&b->dropped);
		*further = one->n > 0 &&
		    (is_verified(b, one->n - 1) ||
			hashing_has(&f->hashing, one->n - 1));
		got = HERE;
	}
	dm_unlock(&b->mu);
	return got;
}

static void
end_hash(struct blob *b, struct files *f, const struct hashing_one *one,
    bool good, uint64_t dropped)
{
	dm_lock(&b->mu);
	if (good && look_locked(b, f) && atomic_load(&b->dropped) == dropped)
		set_verified_locked(b, one->n, true);
	hashing_end(&f->hashing, one);
	dm_unlock(&b->mu);
}

/* The first use in this run: read all of it, and hash it. */
static enum got
hash_first(struct blob *b, struct files *f, const struct blob_piece *p,
    const struct hashing_span *want)
{
	struct digest_hasher *h = digest_hasher_new();
	struct hashing_one one = { .n = p->n };
	struct hashing_span all = *want;
	enum got got = ABSENT;
	uint64_t dropped = 0;

	if (h != NULL)
		got = begin_hash(b, f, &one, &dropped, &all.further);
	if (got == HERE) {
		if (!hashing_read(f->data, p, h, &all)) {
			drop_piece(b, f, p);
			got = ABSENT;
		}
		end_hash(b, f, &one, got == HERE, dropped);
	}
	digest_hasher_free(h);
	return got;
}

static enum got
read_first(struct blob *b, struct files *f, const struct blob_piece *p,
    const struct hashing_span *want)
{
	return files_claims_one(f, p->n) ? hash_first(b, f, p, want) : ABSENT;
}

static enum got
read_once(struct blob *b, const struct blob_piece *p,
    const struct hashing_span *want)
{
	struct files *f = borrow(b, false);
	enum got got;

	if (f == NULL)
		return ABSENT;
	if (p->size <= BLOB_SMALL) {
		got = read_small(b, f, p, want);
	} else {
		got = read_verified(b, f, p, want);
		if (got == ABSENT)
			got = read_first(b, f, p, want);
	}
	files_put(f);
	return got;
}

bool
blob_read(struct blob *b, const struct blob_piece *p, uint32_t off, void *buf,
    uint32_t size)
{
	const struct hashing_span want = {
		.off = off, .size = size, .buf = buf
	};
	enum got got = CHANGED;

	for (int i = 0; i < 3 && got == CHANGED; i++)
		got = read_once(b, p, &want);
	return got == HERE;
}

/* ---- all of it ---- */

/* Hash a piece that is not known to be good. */
static bool
prove_piece(struct blob *b, struct files *f, struct directory *dir, uint32_t n,
    bool hash)
{
	const struct hashing_span nothing = { .size = 0 };
	uint8_t small[BLOB_SMALL];
	struct pack_object o;
	struct blob_piece p;
	enum got got;

	if (!directory_objects(dir, n, 1, &o) ||
	    (!hash && o.plain_size > BLOB_SMALL))
		return false;
	p = (struct blob_piece){
		.id = o.id, .off = o.plain_off, .size = o.plain_size, .n = n
	};
	if (p.size <= BLOB_SMALL)
		return read_and_hash(f, &p, small);
	got = hash_first(b, f, &p, &nothing);
	return got == HERE || (got == CHANGED && is_verified(b, n));
}

static bool
prove_pieces(struct blob *b, struct files *f, struct directory *dir, bool hash)
{
	unsigned few = 0;

	for (uint32_t n = 0; n < directory_count(dir); n++)
		if (!is_verified(b, n) &&
		    ((++few > PROVE_FEW && !hash) ||
			!prove_piece(b, f, dir, n, hash)))
			return false;
	return true;
}

/* A descriptor of its own: what holds it keeps no lock of ours. */
int
blob_prove(struct blob *b, struct directory *dir, enum blob_prove how,
    uint64_t *state)
{
	struct files *f = borrow(b, false);
	bool same = false, unlinked;
	uint64_t dropped = 0;
	int fd = -1;

	if (f == NULL)
		return -1;
	dm_lock(&b->mu);
	if (look_locked(b, f) && b->pieces == directory_count(dir)) {
		same = true;
		dropped = atomic_load(&b->dropped);
	}
	dm_unlock(&b->mu);
	if (same &&
	    (how == BLOB_AS_IT_IS || prove_pieces(b, f, dir, how == BLOB_HASH)))
		fd = shelf_get(b->shelf, &b->key, SHELF_BLOB, false);
	dm_lock(&b->mu);
	same =
	    fd >= 0 && look_locked(b, f) && atomic_load(&b->dropped) == dropped;
	*state = atomic_load(&b->signature);
	dm_unlock(&b->mu);
	files_put(f);
	if (same && shelf_signature(fd, &unlinked) == *state)
		return fd;
	dm_closep(&fd);
	return -1;
}

void
blob_lend(struct blob *b, bool begin)
{
	if (begin)
		atomic_fetch_add(&b->lent, 1);
	else
		atomic_fetch_sub(&b->lent, 1);
}

/* ---- writing ---- */

/* Pieces that follow each other in the blob. */
struct run {
	const struct blob_piece *piece;
	const void *const *data;
	uint32_t n;
	uint64_t size;
};

static int
pwrite_run(int fd, const struct run *r)
{
	struct iovec iov[BLOB_RUN];

	for (uint32_t i = 0; i < r->n; i++)
		iov[i] = (struct iovec){
			.iov_base = (void *)(uintptr_t)r->data[i],
			.iov_len = r->piece[i].size,
		};
	return dm_pwritev_full(fd, iov, (int)r->n, r->piece->off, true);
}

/* The write itself, and what must surround it.  -1 with errno. */
static int
write_locked(struct blob *b, const struct files *f, const struct run *r)
{
	bool unlinked;
	int rc, error;

	for (uint32_t i = 0; i < r->n; i++)
		set_verified_locked(b, r->piece[i].n, false);
	rc = pwrite_run(f->data, r);
	error = errno;
	atomic_store(&b->signature, shelf_signature(f->data, &unlinked));
	if (rc < 0) {
		errno = error;
		return -1;
	}
	for (uint32_t i = 0; i < r->n; i++)
		if (r->piece[i].size > BLOB_SMALL)
			set_verified_locked(b, r->piece[i].n, true);
	return files_claim_run(f, r->piece->n, r->n);
}

static uint64_t
disk_space(const struct files *f)
{
	struct stat st;

	return fstat(f->data, &st) < 0 ? 0 : (uint64_t)st.st_blocks * 512;
}

/* What a write may take at most: whole pages, and one of the map. */
static uint64_t
space_for(const struct run *r)
{
	return ((r->piece->off + r->size + PAGE - 1) / PAGE -
		   r->piece->off / PAGE + 1) *
	    PAGE;
}

/* The write, of what was taken for it.  1; -1 with errno; *used says how much
 * of the space it took. */
static int
write_counted_locked(struct blob *b, const struct files *f, const struct run *r,
    uint64_t *used)
{
	uint64_t before = disk_space(f), after;
	int rc = write_locked(b, f, r) < 0 ? -1 : 1;
	int error = errno;

	after = disk_space(f);
	*used =
	    (after > before ? after - before : 0) + (before == 0 ? PAGE : 0);
	errno = error;
	return rc;
}

/* 1: written; 0: the file was exchanged, try again; -1 with errno, which is 0
 * if there is no room. */
static int
write_once(struct blob *b, const struct run *r)
{
	struct files *f = borrow(b, true);
	uint64_t space = space_for(r), used = 0;
	int rc = 0, error;

	if (f == NULL)
		return -1;
	if (!shelf_take(b->shelf, space, disk_space(f))) {
		files_put(f);
		errno = 0;
		return -1;
	}
	dm_lock(&b->mu);
	if (look_locked(b, f) && f->map < 0) {
		errno = EIO;
		rc = -1;
	} else if (b->files == f) {
		rc = write_counted_locked(b, f, r, &used);
	}
	error = errno;
	dm_unlock(&b->mu);
	shelf_used(b->shelf, space, used);
	files_put(f);
	errno = error;
	return rc;
}

/* False: there is no room for so much. */
static bool
write_run(struct blob *b, const struct run *r)
{
	int rc = 0;

	if (!shelf_writable(b->shelf))
		return true;
	for (int i = 0; i < 3 && rc == 0; i++)
		rc = write_once(b, r);
	if (rc > 0)
		shelf_worked(b->shelf);
	else if (rc < 0 && errno != 0)
		shelf_failed(b->shelf, errno, "cannot store a piece");
	return rc >= 0 || errno != 0;
}

/* Up to the first piece that there is no room for. */
static bool
write_singly(struct blob *b, const struct run *r)
{
	bool room = true;

	for (uint32_t i = 0; room && i < r->n; i++)
		room = write_run(b,
		    &(struct run){
			.piece = &r->piece[i],
			.data = &r->data[i],
			.n = 1,
			.size = r->piece[i].size,
		    });
	return room;
}

void
blob_write(struct blob *b, const struct blob_piece *p, const void *data)
{
	blob_write_run(b, p, &data, 1);
}

void
blob_write_run(struct blob *b, const struct blob_piece *p,
    const void *const *data, uint32_t n)
{
	for (uint32_t i = 0; i < n;) {
		struct run r = { .piece = &p[i], .data = &data[i] };

		do {
			r.size += p[i].size;
			r.n++;
			i++;
		} while (i < n && r.n < BLOB_RUN && p[i].n == p[i - 1].n + 1 &&
		    p[i].off == p[i - 1].off + p[i - 1].size);
		if (!write_run(b, &r) && (r.n == 1 || !write_singly(b, &r)))
			return;
	}
}

void
blob_claims(struct blob *b, uint32_t first, uint32_t n, uint8_t *out)
{
	struct files *f = borrow(b, false);

	if (f != NULL)
		files_claims(f, first, n, out);
	else
		memset(out, 0, n);
	files_put(f);
}

/* ---- blobs of one piece: no map, no directory ---- */

bool
blob_whole_read(struct blob *b, struct dm_buf *out)
{
	DM_AUTO(dm_closep)
	int fd = shelf_get(b->shelf, &b->key, SHELF_BLOB, false);
	struct blob_piece p = { .id = b->key };
	size_t before = out->size;
	struct dm_err err;
	struct stat st;
	void *data;

	if (fd < 0 || fstat(fd, &st) < 0 || st.st_size <= 0 ||
	    (uint64_t)st.st_size > out->max - out->size ||
	    st.st_size > OBJECT_DATA_MAX)
		return false;
	p.size = (uint32_t)st.st_size;
	data = dm_buf_extend(out, p.size, &err);
	if (data == NULL)
		return false;
	if (read_and_hash(&(struct files){ .data = fd }, &p, data))
		return true;
	out->size = before;
	shelf_count_bad(b->shelf);
	return false;
}

void
blob_whole_write(struct blob *b, const void *data, size_t size)
{
	if (!shelf_writable(b->shelf))
		return;
	if (shelf_replace(b->shelf, &b->key, SHELF_BLOB, data, size) == 0)
		shelf_worked(b->shelf);
	else if (errno != 0)
		shelf_failed(b->shelf, errno, "cannot store a file");
}

/* ---- for the table of blobs ---- */

uint64_t
blob_finished(const struct blob *b)
{
	return atomic_load(&b->finished);
}

void
blob_finish(struct blob *b)
{
	atomic_fetch_add(&b->finished, 1);
}

void
blob_use(struct blob *b)
{
	if (!atomic_load_explicit(&b->used, memory_order_relaxed))
		atomic_store_explicit(&b->used, true, memory_order_relaxed);
	blob_touch(b);
}

bool
blob_was_used(struct blob *b)
{
	return atomic_exchange(&b->used, false);
}

bool
blob_was_touched(struct blob *b)
{
	return atomic_exchange(&b->touched, false) || atomic_load(&b->lent) > 0;
}

void
blob_touch(struct blob *b)
{
	if (!atomic_load_explicit(&b->touched, memory_order_relaxed))
		atomic_store_explicit(&b->touched, true, memory_order_relaxed);
}

bool
blob_has_files(const struct blob *b)
{
	return atomic_load(&b->has_files);
}

size_t
blob_memory(const struct blob *b)
{
	return atomic_load(&b->memory);
}

void
blob_cool(struct blob *b, bool files, bool directory)
{
	struct directory *d = NULL;

	dm_lock(&b->mu);
	if (files)
		files_drop_locked(b);
	if (directory) {
		d = dm_steal(&b->dir);
		set_memory_locked(b, 0);
	}
	dm_unlock(&b->mu);
	directory_put(d);
}

void
blob_sweep(struct blob *b)
{
	dm_lock(&b->mu);
	if (b->files != NULL)
		(void)look_locked(b, b->files);
	dm_unlock(&b->mu);
}
