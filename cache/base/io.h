/* cache/base/io.h - whole reads and writes, and files that appear whole. */
#ifndef DM_BASE_IO_H
#define DM_BASE_IO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "cache/base/attr.h"

struct dm_buf;
struct dm_err;
struct iovec;

/* Loop until size bytes went through or the file ended; interrupted calls are
 * repeated.  Both return the bytes done (reads: less only at the end of the
 * file), or -1 with errno. */
ssize_t dm_pread_full(int fd, void *data, size_t size, uint64_t off);
ssize_t dm_read_full(int fd, void *data, size_t size);
int dm_pwrite_full(int fd, const void *data, size_t size, uint64_t off);
int dm_write_full(int fd, const void *data, size_t size);

/* The same with n parts, which are spent, whether it fails or not.  Not cached:
 * they are not read again soon; the kernel begins at once to write them to
 * disk, and from Linux 6.14 on forgets them when they are there.  Whole pages
 * are best: of one that it has forgotten, it must read the rest. */
int dm_pwritev_full(int fd, struct iovec *part, int n, uint64_t off,
    bool cached);

/* Append the file's bytes to out, whose max bounds them.  A file that does
 * not exist is *found = false.  dirfd as in openat(2). */
int dm_file_read(int dirfd, const char *path, struct dm_buf *out, bool *found,
    struct dm_err *err) DM_MUST_CHECK;

/* Make path hold exactly data: a temporary name beside it, fsync, rename,
 * fsync of the directory.  Readers see the old or the new file; a crash
 * leaves one of them. */
int dm_file_replace(int dirfd, const char *path, const void *data, size_t size,
    mode_t mode, struct dm_err *err) DM_MUST_CHECK;

/* mkdir -p; directories that exist are fine. */
int dm_mkdirs(const char *path, mode_t mode, struct dm_err *err) DM_MUST_CHECK;

/* The same, and what is made is there after a power cut, too. */
int dm_mkdirs_lasting(const char *path, mode_t mode,
    struct dm_err *err) DM_MUST_CHECK;

/* Make the names that lead to an open directory last, up to the root of its
 * file system, whoever made them: he may have been killed before he did. */
int dm_names_sync(int dirfd, struct dm_err *err) DM_MUST_CHECK;

/* For DM_AUTO: close a descriptor that is not -1; free a malloc'ed pointer. */
void dm_closep(int *fd);
void dm_freep(void *p);

#endif
