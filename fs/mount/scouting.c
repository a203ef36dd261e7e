#include "fs/mount/scouting.h"

#include <string.h>

#include "fs/format/limits.h"
#include "fs/mount/scout.h"
#include "fs/version/version.h"

enum {
	ROW = 8,   /* files, before a reader is believed to go on */
	STEP = 8,  /* entries from one file to the next of a row */
	NEAR = 64, /* entries to where he may come to be seen again */
	SLICE = 256,
	BATCH_MOST = 32,
	BATCH_LEAST = 4,
	/* A lookup takes as long as to list 7 entries, measured: so listing
	 * all takes at most about as long as the lookups did. */
	LOOKUP_ENTRIES = 8,
	LOOKUPS_LEAST = 4,
	LIST_MOST = 1 << 16, /* entries: the kernel keeps a kilobyte of each */
};

void
scouting_init(struct scouting *s)
{
	memset(s, 0, sizeof(*s));
	dm_mutex_init(&s->mu, DM_RANK_VERSION);
}

void
scouting_release(struct scouting *s)
{
	dm_mutex_destroy(&s->mu);
}

/* The reader who comes from near the file, or a new one in place of the one
 * not seen for longest.  Those who are believed are seldom seen, since they
 * find most in the kernel: they go last. */
static struct scouting_reader *
reader_locked(struct scouting *s, uint64_t ino) DM_REQUIRES(s->mu)
{
	struct scouting_reader *oldest = &s->reader[0];

	for (int i = 0; i < SCOUTING_READERS; i++) {
		struct scouting_reader *r = &s->reader[i];

		if (r->used > 0 && ino + NEAR >= r->ino && ino <= r->ino + NEAR)
			return r;
		if (r->goes_on != oldest->goes_on ? !r->goes_on :
						    r->used < oldest->used)
			oldest = r;
	}
	*oldest = (struct scouting_reader){ 0 };
	return oldest;
}

static bool
is_mark(const struct scouting_reader *r, const struct version_node *file)
{
	return file->parent == r->dir &&
	    (file->number + 1 == r->marks[0] ||
		file->number + 1 == r->marks[1]);
}

static void
begin_row(struct scouting_reader *r, const struct version_node *file)
{
	*r = (struct scouting_reader){
		.first = file->ino, .ino = file->ino, .seen = 1, .used = r->used
	};
}

/* Several may read a row together: its files come in some other order. */
static void
note_behind(struct scouting_reader *r, const struct version_node *file)
{
	if (r->goes_on || file->ino == r->ino)
		return;
	if (file->ino < r->first)
		begin_row(r, file);
	else
		r->seen++;
}

/* Note that the reader has come to the file; false: nothing follows. */
static bool
advance(struct scouting_reader *r, const struct version_node *file)
{
	if (r->seen > 0 && file->ino <= r->ino) {
		note_behind(r, file);
		return false;
	}
	if (r->seen == 0 || (file->ino - r->ino > STEP && !is_mark(r, file)))
		begin_row(r, file);
	else
		r->seen++;
	r->ino = file->ino;
	/* Two of three at least, or too much would be read in vain. */
	if (r->seen >= ROW && 2 * (file->ino - r->first + 1) <= 3 * r->seen)
		r->goes_on = true;
	if (r->dir != file->parent) {
		r->dir = file->parent;
		r->next = r->marks[0] = r->marks[1] = 0;
	}
	if (r->next <= file->number)
		r->next = file->number + 1;
	return r->goes_on;
}

static uint64_t
batch_of(uint64_t size)
{
	uint64_t n = SCOUT_BYTES / (size == 0 ? 1 : size);

	if (n > BATCH_MOST)
		return BATCH_MOST;
	return n < BATCH_LEAST ? BATCH_LEAST : n;
}

unsigned
scouting_read(struct scouting *s, const struct version_node *file,
    struct scouting_plan out[SCOUTING_PLANS])
{
	uint64_t batch = batch_of(file->size);
	struct scouting_reader *r;
	unsigned n = 0;

	if (file->size > DM_SMALL_FILE_MAX)
		return 0;
	dm_lock(&s->mu);
	r = reader_locked(s, file->ino);
	r->used = ++s->uses;
	if (advance(r, file))
		while (r->next - (file->number + 1) <= batch) {
			out[n++] = (struct scouting_plan){ r->dir, r->next,
				batch, batch - 1 };
			r->next += batch;
			r->marks[0] = r->marks[1];
			r->marks[1] = r->next;
		}
	dm_unlock(&s->mu);
	return n;
}

static struct scouting_dir *
dir_locked(struct scouting *s, uint64_t ino) DM_REQUIRES(s->mu)
{
	/* Inodes of directories are as far apart as these have entries. */
	uint64_t set = (ino * 0x9e3779b97f4a7c15U >> 32) % SCOUTING_SETS;
	struct scouting_dir *oldest = s->dir[set];

	for (int i = 0; i < SCOUTING_WAYS; i++) {
		struct scouting_dir *d = &s->dir[set][i];

		if (d->ino == ino)
			return d;
		if (d->used < oldest->used)
			oldest = d;
	}
	*oldest = (struct scouting_dir){ .ino = ino };
	return oldest;
}

/* So many lookups before it is listed.  If the kernel has forgotten, they come
 * again; not at once. */
static uint64_t
patience(const struct scouting_dir *d)
{
	return d->ordered ? d->entries :
			    LOOKUPS_LEAST + d->entries / LOOKUP_ENTRIES;
}

bool
scouting_lookup(struct scouting *s, const struct version_node *dir,
    struct scouting_plan *out)
{
	struct scouting_dir *d;
	bool due;

	/* It has at most so many entries: those below it are counted, too. */
	if (dir->entries > LIST_MOST)
		return false;
	dm_lock(&s->mu);
	d = dir_locked(s, dir->ino);
	d->used = ++s->uses;
	d->entries = dir->entries;
	d->lookups++;
	due = d->lookups >= patience(d);
	if (due)
		*out = (struct scouting_plan){ dir->ino, d->next, SLICE, 0 };
	dm_unlock(&s->mu);
	return due;
}

void
scouting_listed(struct scouting *s, const struct scouting_plan *plan)
{
	struct scouting_dir *d;

	dm_lock(&s->mu);
	d = dir_locked(s, plan->dir);
	/* Else another thread ordered the same. */
	if (d->next == plan->first)
		d->next += plan->count;
	if (d->next >= d->entries) {
		d->next = d->lookups = 0;
		d->ordered = true;
	}
	dm_unlock(&s->mu);
}
