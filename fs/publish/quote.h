/* fs/publish/quote.h - paths as part of a one-line message. */
#ifndef DM_PUBLISH_QUOTE_H
#define DM_PUBLISH_QUOTE_H

enum { QUOTE_TEXT = 300 };

/* Write path with control bytes as \n, \t or \xHH; the beginning of a long
 * one becomes "...".  Returns out. */
const char *quote_path(char out[QUOTE_TEXT], const char *path);

#endif
