/* fs/publish/libarchive.h - libarchive, loaded when the first tar is read. */
#ifndef DM_PUBLISH_LIBARCHIVE_H
#define DM_PUBLISH_LIBARCHIVE_H

#include <archive.h>
#include <archive_entry.h>

struct dm_err;

/*
 * It brings nine libraries along (XML, Unicode, C++, ...), which nothing but
 * `commit -` needs.  If the program were linked with it, each run of it would
 * load them all: on a machine that has just started a fifth of the time from
 * `datamount mount` to the first byte.
 */
#define LIBARCHIVE(_)                        \
	_(archive_entry_filetype)            \
	_(archive_entry_hardlink)            \
	_(archive_entry_mode)                \
	_(archive_entry_pathname)            \
	_(archive_entry_size)                \
	_(archive_entry_symlink)             \
	_(archive_error_string)              \
	_(archive_filter_bytes)              \
	_(archive_read_data_block)           \
	_(archive_read_data_skip)            \
	_(archive_read_free)                 \
	_(archive_read_new)                  \
	_(archive_read_next_header)          \
	_(archive_read_open)                 \
	_(archive_read_support_filter_bzip2) \
	_(archive_read_support_filter_gzip)  \
	_(archive_read_support_filter_xz)    \
	_(archive_read_support_filter_zstd)  \
	_(archive_read_support_format_tar)   \
	_(archive_set_error)

#define LIBARCHIVE_MEMBER(name) __typeof__(name) *(name);

/* Its functions, by their own names. */
struct libarchive {
	LIBARCHIVE(LIBARCHIVE_MEMBER)
};

/* The same for all, and never unloaded.  NULL: DM_NOTFOUND, the library is not
 * installed, or is another one. */
const struct libarchive *libarchive_load(struct dm_err *err);

#endif
