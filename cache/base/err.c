/*
 * Errors: a code to act on, a text to read.
 *
 * A wrap that does not fit loses the end of its context, never the cause.
 */
#define DM_ERR_C
#include "cache/base/err.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void
dm_err_flatten(char *text)
{
	unsigned char *c = (unsigned char *)text;

	for (; *c != '\0'; c++) {
		if (c[0] == 0xc2 && (c[1] & 0xe0) == 0x80)
			*c++ = '?';
		else if (*c >= ' ' && *c != 0x7f)
			continue;
		*c = '?';
	}
}

int
dm_fail(struct dm_err *err, enum dm_code code, const char *fmt, ...)
{
	va_list ap;

	assert(code != DM_OK);
	err->code = code;
	va_start(ap, fmt);
	(void)vsnprintf(err->text, sizeof(err->text), fmt, ap);
	va_end(ap);
	dm_err_flatten(err->text);
	return -1;
}

static enum dm_code
code_of_errno(int e)
{
	switch (e) {
	case ENOENT:
	case ENOTDIR:
		return DM_NOTFOUND;
	case EACCES:
	case EPERM:
		return DM_DENIED;
	case ENOSPC:
	case EDQUOT:
		return DM_NOSPACE;
	case ENOMEM:
		return DM_NOMEM;
	case EINVAL:
	case ENAMETOOLONG:
	case ELOOP:
		return DM_INVALID;
	default:
		return DM_IO;
	}
}

int
dm_fail_errno(struct dm_err *err, const char *fmt, ...)
{
	int e = errno;
	char context[DM_ERR_TEXT];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(context, sizeof(context), fmt, ap);
	va_end(ap);
	errno = e;
	err->code = code_of_errno(e);
	(void)snprintf(err->text, sizeof(err->text), "%.380s: %m", context);
	dm_err_flatten(err->text);
	return -1;
}

int
dm_wrap(struct dm_err *err, const char *fmt, ...)
{
	char cause[DM_ERR_TEXT], context[DM_ERR_TEXT];
	size_t n = strlen(err->text), room;
	va_list ap;

	assert(err->code != DM_OK);
	memcpy(cause, err->text, n + 1);
	va_start(ap, fmt);
	(void)vsnprintf(context, sizeof(context), fmt, ap);
	va_end(ap);
	room = sizeof(err->text) - n - 1;
	if (room <= 2)
		return -1;
	if (strlen(context) > room - 2)
		context[room - 2] = '\0';
	(void)snprintf(err->text, sizeof(err->text), "%s: ", context);
	dm_err_flatten(err->text);
	memcpy(err->text + strlen(err->text), cause, n + 1);
	return -1;
}

int
dm_err_errno(const struct dm_err *err)
{
	switch (err->code) {
	case DM_OFFLINE:
		return ETIMEDOUT;
	case DM_DENIED:
		return EACCES;
	case DM_CANCELLED:
		return EINTR;
	case DM_NOMEM:
		return ENOMEM;
	case DM_INVALID:
		return EINVAL;
	case DM_OK:
	case DM_NOTFOUND:
	case DM_CORRUPT:
	case DM_NOSPACE:
	case DM_AGAIN:
	case DM_STALE:
	case DM_REDO:
	case DM_IO:
		break;
	}
	return EIO;
}
