/* fs/format/limits.h - the numbers that datamount-repository(5) fixes. */
#ifndef DM_FORMAT_LIMITS_H
#define DM_FORMAT_LIMITS_H

#include <stdint.h>

enum {
	DM_NAME_MAX = 255,    /* bytes of an entry's name */
	DM_PATH_MAX = 4095,   /* bytes of a path in a version */
	DM_DEPTH_MAX = 128,   /* directories above an entry */
	DM_TARGET_MAX = 4095, /* bytes of a symlink's target */
	DM_MESSAGE_MAX = 64 << 10,
	DM_SOURCE_MAX = 64 << 10,  /* bytes of a .source file */
	DM_COMMIT_MAX = 128 << 10, /* bytes of a commit */
	DM_REF_MAX = 1024,         /* bytes of a ref file */
	DM_REF_NAME_MAX = 200,     /* bytes of a ref's name */
	DM_LEVEL_MAX = 3,          /* of a tree or chunk list */

	DM_SMALL_FILE_MAX = 1 << 20, /* larger files have a chunk list */

	TREE_PAGE_SOLE = 4096, /* a directory of at most so many is one page */
	TREE_PAGE_MIN = 1024,
	TREE_PAGE_MAX = 8192,
	TREE_PAGE_MOD = 2048,
	TREE_HEAP_MAX = 2 << 20, /* bytes of names and targets of a page */
	TREE_INDEX_MIN = 128,
	TREE_INDEX_MAX = 2048,
	TREE_INDEX_MOD = 512,

	CHUNK_MIN = 128 << 10,
	CHUNK_NORMAL = 512 << 10,
	CHUNK_MAX = 2 << 20,
	CHUNK_PAGE = 16384, /* chunks of a list page, children of an index */
};

#define DM_FILE_MAX ((uint64_t)1 << 50) /* bytes of a file */
#define DM_DIR_ENTRIES_MAX ((uint64_t)1 << 32)
#define DM_ENTRIES_MAX ((uint64_t)1 << 48) /* entries of a version */
#define DM_BYTES_MAX ((uint64_t)1 << 62)   /* bytes of a version */
#define DM_TIME_MAX UINT64_C(253402300799) /* the year 9999 ends */

#endif
