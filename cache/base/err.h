/* cache/base/err.h - the one error type of the program. */
#ifndef DM_BASE_ERR_H
#define DM_BASE_ERR_H

#include "cache/base/attr.h"

/*
 * A function that can fail returns 0, or -1 after filling the struct dm_err
 * that its caller passed last.  The struct lives on the caller's stack, owns
 * no memory and is never NULL.  On success it is left untouched.
 *
 * Absence is an answer, not an error: a lookup that finds nothing returns 0
 * and says so through a bool.
 */
enum dm_code {
	DM_OK,
	DM_INVALID,  /* nonsense from the user or a config file */
	DM_NOTFOUND, /* a thing that should exist does not */
	DM_CORRUPT,  /* bytes that do not match their digest or format */
	DM_OFFLINE,  /* the remote did not answer, retries included */
	DM_DENIED,   /* credentials or permissions */
	DM_NOSPACE,  /* local disk full */
	DM_NOMEM,
	DM_CANCELLED, /* interrupted, or unmounting */
	DM_AGAIN,     /* not here yet: the wait that was passed will be woken */
	DM_STALE,     /* somebody else moved it first: look again and retry */
	DM_REDO,      /* what it relied on is gone: begin anew at once */
	DM_IO,        /* local disk or database error */
};

#define DM_ERR_TEXT 512
struct dm_err {
	enum dm_code code;
	char text[DM_ERR_TEXT]; /* "outer: inner: cause" */
};

/* Each returns -1, so that a failure is reported and returned in one line. */
int dm_fail(struct dm_err *err, enum dm_code code, const char *fmt, ...)
    DM_PRINTF(3, 4);
int dm_fail_errno(struct dm_err *err, const char *fmt, ...) DM_PRINTF(2, 3);

/* Put "context: " before the text of an error that is already set. */
int dm_wrap(struct dm_err *err, const char *fmt, ...) DM_PRINTF(2, 3);

/*
 * Make "?" of the control characters in text (U+0000-001F, U+007F-009F), so
 * that a line stays one, and nothing that a name or a server put into it moves
 * a terminal's cursor.  The texts of errors are so from the beginning.
 */
void dm_err_flatten(char *text);

/* The errno a FUSE reply carries for this error.  The only such mapping. */
int dm_err_errno(const struct dm_err *err);

/* The analyser sees one file at a time: tell it what these return. */
#if defined(__clang_analyzer__) && !defined(DM_ERR_C)
#define dm_fail(...) (dm_fail(__VA_ARGS__), -1)
#define dm_fail_errno(...) (dm_fail_errno(__VA_ARGS__), -1)
#define dm_wrap(...) (dm_wrap(__VA_ARGS__), -1)
#endif

#endif
