/* fs/format/chunker.h - where a large file is cut: FastCDC. */
#ifndef DM_FORMAT_CHUNKER_H
#define DM_FORMAT_CHUNKER_H

#include <stddef.h>
#include <stdint.h>

/* The length of the first chunk of data, of which size > 0 bytes are there:
 * at least CHUNK_MAX of them, unless the file ends behind them.  Pure; any
 * thread.  See datamount-repository(5): the cuts are part of the format. */
size_t chunker_cut(const uint8_t *data, size_t size);

#endif
