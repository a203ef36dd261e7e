/* cache/base/object.h - the kinds of object that packs hold. */
#ifndef DM_BASE_OBJECT_H
#define DM_BASE_OBJECT_H

/* As stored in pack directories and in the headers of structured objects
 * (all but data); see datamount-repository(5). */
enum object_kind {
	OBJECT_DATA = 1, /* a small file's bytes, or a chunk's */
	OBJECT_TREE =
	    2, /* tree page (level 0) or tree index (level 1 and up) */
	OBJECT_CHUNKS = 3, /* chunk list page or index, likewise */
	OBJECT_WHERE = 4,  /* where the children of the object before it lie */
};

enum {
	OBJECT_STRUCT_MAX = 4 << 20, /* bytes of a structured object */
	OBJECT_DATA_MAX = 16 << 20,  /* bytes of a data object */
};

#endif
