/* fs/publish/packer.h - objects go into packs, each once. */
#ifndef DM_PUBLISH_PACKER_H
#define DM_PUBLISH_PACKER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cache/base/attr.h"
#include "cache/base/digest.h"
#include "cache/pack/pack_dir.h"
#include "fs/publish/object_index.h"

struct dm_err;
struct folder;
struct marks;
struct pack_name;

/*
 * Three packs are open at a time: one of small files, one of the chunks of a
 * large file, one of structured objects.  An object that the repository or an
 * open pack has is not stored again.  Full packs become durable in the order
 * in which they filled, by a thread of their own; then the index learns of
 * them.
 *
 * A `where` names packs by their ids, which are known only when they are
 * finished.  So structured objects wait in a queue, in order, until the data
 * packs that they speak of are finished; when too many bytes wait, the small
 * pack is finished early.
 *
 * Threads: one at a time, but packer_known from any.
 */
struct packer;

/* A row of a structured object's where, before it is encoded.  Data lie at a
 * place; that of a structured child, which comes first, is looked up by its id
 * when the object is written, and so may be that of data.  What is not there
 * then is DM_REDO. */
enum {
	PLACE_NONE = UINT32_MAX,      /* .pack: there is no object */
	PLACE_BY_ID = UINT32_MAX - 1, /* .pack: to be looked up */
};

enum packer_kind { PACKER_SMALL, PACKER_FILE, PACKER_STRUCT, PACKER_PACKS };

/* ix is borrowed. */
int packer_open(struct packer **out, const char *packs_dir,
    struct object_index *ix, struct dm_err *err) DM_MUST_CHECK;
void packer_close(struct packer *p);

/*
 * gc was at work in this repository.  It keeps a pack while anything in it is
 * needed; so a tree or list may be there whose children are gone.  From now on
 * one counts as found only if all below it is found too, in packs that are not
 * marked.  Both are borrowed.
 */
int packer_distrust(struct packer *p, struct folder *f,
    const struct marks *marked, struct dm_err *err) DM_MUST_CHECK;

/* Has a finished pack this object?  Any thread. */
int packer_known(struct packer *p, const struct digest *id,
    enum object_kind kind, bool *found, struct dm_err *err) DM_MUST_CHECK;

/* Where is it, in a finished or an open pack? */
int packer_find(struct packer *p, const struct digest *id,
    enum object_kind kind, struct place *at, bool *found,
    struct dm_err *err) DM_MUST_CHECK;

/* Append a data object to the small or the file pack, unless it is there.
 * o: id, sizes and codec; stored_size 0: packer_known said that it is.
 * *stored may be taken over: then it is NULL. */
int packer_data(struct packer *p, enum packer_kind which,
    const struct pack_object *o, void **stored, struct place *at,
    struct dm_err *err) DM_MUST_CHECK;

/* The large file has ended: so does its pack. */
int packer_file_end(struct packer *p, struct dm_err *err) DM_MUST_CHECK;

/* Queue a structured object of data, with one row a child (of a chunk list of
 * level 0: a chunk).  data and rows are copied. */
struct packer_struct {
	enum object_kind kind;
	uint8_t level;
	struct digest id;
	const void *data;
	size_t size;
	const struct place *rows;
	uint32_t nrows;
	bool root; /* of a version: what is mounted is fetched with its pack's
		    * directory, so that stays small */
};
int packer_structure(struct packer *p, const struct packer_struct *s,
    struct dm_err *err) DM_MUST_CHECK;

/* Finish every pack. */
int packer_finish(struct packer *p, struct dm_err *err) DM_MUST_CHECK;

/* Under the publishers' lock, before a ref moves: is every pack that was
 * spoken of or written still there, and none of the former marked?  (DM_REDO.)
 * Marks on the latter are taken out of m; *changed says whether there were
 * some. */
int packer_settle(struct packer *p, struct marks *m, bool *changed,
    struct dm_err *err) DM_MUST_CHECK;

/* The pack of a place; only of finished packs. */
int packer_pack(struct packer *p, const struct place *at, struct pack_name *out,
    struct dm_err *err) DM_MUST_CHECK;

struct packer_counts {
	uint64_t stored; /* bytes added to the repository */
	uint64_t packs;
};
void packer_counts(const struct packer *p, struct packer_counts *out);

#endif
