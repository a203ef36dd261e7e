#include "fs/mount/attr.h"

#include <string.h>
#include <sys/stat.h>

#include "fs/mount/worker.h"

enum { ATTR_DIR_SIZE = 4096, ATTR_BLOCK = 4096, ATTR_SECTOR = 512 };

static mode_t
mode_of(enum tree_kind kind)
{
	switch (kind) {
	case TREE_EXEC:
		return S_IFREG | 0555;
	case TREE_DIR:
		return S_IFDIR | 0555;
	case TREE_SYMLINK:
		return S_IFLNK | 0777;
	case TREE_FILE:
		break;
	}
	return S_IFREG | 0444;
}

void
attr_fill(const struct worker *w, const struct version_node *node,
    struct stat *out)
{
	uint64_t size = node->kind == TREE_DIR ? ATTR_DIR_SIZE : node->size;

	memset(out, 0, sizeof(*out));
	out->st_ino = node->ino;
	out->st_mode = mode_of(node->kind);
	out->st_nlink = node->kind == TREE_DIR ? 2 : 1;
	out->st_uid = w->start.uid;
	out->st_gid = w->start.gid;
	out->st_size = (off_t)size;
	out->st_blksize = ATTR_BLOCK;
	if (node->kind == TREE_FILE || node->kind == TREE_EXEC)
		out->st_blocks =
		    (blkcnt_t)((size + ATTR_SECTOR - 1) / ATTR_SECTOR);
	out->st_mtim.tv_sec = (time_t)w->commit.time;
	out->st_ctim = out->st_mtim;
	out->st_atim = out->st_mtim;
}

void
attr_entry(const struct worker *w, const struct version_node *node,
    struct fuse_entry_param *out)
{
	memset(out, 0, sizeof(*out));
	out->ino = node->ino;
	out->attr_timeout = ATTR_TIMEOUT;
	out->entry_timeout = ATTR_TIMEOUT;
	attr_fill(w, node, &out->attr);
}
