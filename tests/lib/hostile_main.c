/*
 * hostile DIR - write a repository in which nearly everything is a lie that
 * its ids do not show: what a publisher might sign who means harm.
 *
 * In the root: "good" and "large", files; and for each kind of lie a directory
 * of that name with the files "x" and "y" (whose content is their name), or a
 * file.  Prints "dir NAME" or "file NAME" for each.  Whoever reads x of such a
 * directory, or such a file, must fail; all others must not notice.  Where
 * "where" is in the name, a hint lies: then a file may also be read as it
 * should be, x or the content of "large".
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cache/base/err.h"
#include "tests/lib/maker.h"

enum { KINDS_MAX = 64, LARGE = 3 << 20, CHUNK = 1 << 20 };

/* Where things are in a page of two files with names of a byte each. */
enum {
	TOTALS = 16,
	RECORDS = 48,
	KIND = RECORDS + 6,
	HOW = RECORDS + 7,
	SIZE = RECORDS + 8,
	BEFORE = RECORDS + 64 + 16,
	ID = RECORDS + 32,
	HEAP = RECORDS + 2 * 64,
	/* in a list of chunks */
	LIST_CHUNKS = 24,
	LIST_RECORDS = 64,
};

static struct maker_entry entries[KINDS_MAX], kids[KINDS_MAX][2];
static size_t n;
static char large[LARGE];

static struct maker_entry *
add_dir(const char *name)
{
	struct maker_entry *e = &entries[n], *k = kids[n];

	(void)snprintf(e->name, sizeof(e->name), "%s", name);
	(void)printf("dir %s\n", name);
	e->kind = TREE_DIR;
	e->kids = k;
	e->nkids = 2;
	for (int i = 0; i < 2; i++) {
		k[i].kind = TREE_FILE;
		k[i].name[0] = i == 0 ? 'x' : 'y';
		k[i].data = k[i].name;
		k[i].size = 1;
	}
	n++;
	return e;
}

static struct maker_entry *
add_file(const char *name, const char *data, size_t size)
{
	struct maker_entry *e = &entries[n++];

	(void)snprintf(e->name, sizeof(e->name), "%s", name);
	(void)printf("file %s\n", name);
	e->kind = TREE_FILE;
	e->data = data;
	e->size = size;
	e->chunk = CHUNK;
	return e;
}

static void
spoil(struct maker_entry *e, size_t at, const char *bytes, size_t size)
{
	e->spoil_at = at;
	e->spoil = bytes;
	e->spoil_size = size;
}

/* What the parent says of a directory, and where it lies. */
static void
lies_of_parents(void)
{
	static const char *const wheres[] = { [MAKER_SHORT] = "where-short",
		[MAKER_LONG] = "where-long",
		[MAKER_SHAPE] = "where-shape",
		[MAKER_ASIDE] = "where-aside" };
	struct maker_entry *e;

	add_dir("more-entries")->more_entries = 1;
	add_dir("fewer-files")->more_files = -1;
	e = add_dir("more-files");
	e->more_entries = 1;
	e->more_files = 1;
	add_dir("more-bytes")->more_size = 1;
	add_dir("bytes-overflow")->more_size = INT64_MAX / 4;
	add_dir("higher-level")->more_level = 1;
	for (int i = MAKER_SHORT; i <= MAKER_ASIDE; i++)
		add_dir(wheres[i])->where = (enum maker_where)i;
}

static void
lies_of_pages(void)
{
	static const struct {
		const char *name;
		size_t at;
		const char *bytes;
		size_t size;
	} all[] = {
		{ "name-slash", HEAP, "/", 1 },
		{ "name-dot", HEAP, ".", 1 },
		{ "name-nul", HEAP, "\0", 1 },
		{ "name-twice", HEAP + 1, "x", 1 },
		{ "name-order", HEAP + 1, "a", 1 },
		{ "name-outside", RECORDS, "\xff\xff\xff\x7f", 4 },
		{ "name-long", RECORDS + 4, "\xff\xff", 2 },
		{ "kind-unknown", KIND, "\x09", 1 },
		{ "kind-directory", KIND, "\x03", 1 },
		{ "kind-link", KIND, "\x04", 1 },
		{ "how-unknown", HOW, "\x07", 1 },
		{ "size-overflow", SIZE, "\xff\xff\xff\xff\xff\xff\xff\x7f",
		    8 },
		{ "sum-wrong", BEFORE, "\x05", 1 },
		{ "magic-other", 0, "DMo2", 4 },
		{ "kind-of-object", 4, "\x03", 1 },
		{ "level-high", 5, "\x03", 1 },
		{ "reserved", 6, "\x01", 1 },
		{ "count-more", 8, "\x03", 1 },
		{ "count-huge", 8, "\xff\xff\xff\xff", 4 },
		{ "heap-huge", 12, "\xff\xff\xff\xff", 4 },
		{ "totals", TOTALS, "\x03", 1 },
		{ "id-of-nothing", ID, "\x01\x02\x03\x04", 4 },
	};

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		spoil(add_dir(all[i].name), all[i].at, all[i].bytes,
		    all[i].size);
}

static void
lies_of_files(void)
{
	struct maker_entry *e;

	spoil(add_file("bytes-other", "what it should be", 17), 3, "XX", 2);
	add_file("size-more", "seven..", 7)->more_size = 1;
	add_file("size-less", "eight...", 8)->more_size = -1;
	add_file("size-of-list", "nine....", 8)->more_size = 2 << 20;
	add_file("list-size", large, LARGE)->more_size = 1;
	add_file("list-where-short", large, LARGE)->where = MAKER_SHORT;
	add_file("list-where-long", large, LARGE)->where = MAKER_LONG;
	add_file("list-where-shape", large, LARGE)->where = MAKER_SHAPE;
	add_file("list-where-aside", large, LARGE)->where = MAKER_ASIDE;
	e = add_file("list-count", large, LARGE);
	spoil(e, 8, "\xff\xff\xff", 3);
	e = add_file("list-chunks", large, LARGE);
	spoil(e, LIST_CHUNKS, "\x09", 1);
	e = add_file("list-order", large, LARGE);
	spoil(e, LIST_RECORDS, "\0\0\0\0\0\0\0\0", 8);
	e = add_file("list-end", large, LARGE);
	spoil(e, LIST_RECORDS + 80, "\xff", 1);
	e = add_file("list-chunk-id", large, LARGE);
	spoil(e, LIST_RECORDS + 8, "\1\2\3", 3);
}

int
main(int argc, char **argv)
{
	struct maker_entry root = { .kind = TREE_DIR, .kids = entries };
	struct maker_entry *good;
	struct dm_err err = { 0 };
	struct digest id;
	struct commit c;

	if (argc != 2)
		return 2;
	for (size_t i = 0; i < LARGE; i++)
		large[i] = (char)((i * 2654435761U) >> 13);
	good = &entries[n++];
	(void)snprintf(good->name, sizeof(good->name), "good");
	good->kind = TREE_FILE;
	good->data = "good\n";
	good->size = 5;
	good = &entries[n++];
	*good = (struct maker_entry){ .name = "large",
		.kind = TREE_FILE,
		.data = large,
		.size = LARGE,
		.chunk = CHUNK };
	lies_of_parents();
	lies_of_pages();
	lies_of_files();
	root.nkids = n;
	if (maker_write(argv[1], &root, 0, 0, &id, &c, &err) < 0) {
		(void)fprintf(stderr, "hostile: %s\n", err.text);
		return 1;
	}
	return 0;
}
