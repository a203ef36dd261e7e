/* URLs from .source files and from redirects, and paths below them. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "cache/base/buf.h"
#include "cache/base/err.h"
#include "cache/net/address.h"
#include "cache/net/url.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A URL that was taken is taken again, and is the same then. */
static void
try_url(const char *text)
{
	struct dm_buf joined = DM_BUF((size_t)1 << 16);
	struct dm_err err = { 0 };
	struct url u, again;

	if (url_parse(&u, text, &err) < 0)
		return;
	if (url_parse(&again, u.root, &err) < 0 ||
	    strcmp(u.root, again.root) != 0 || strcmp(u.host, again.host) != 0)
		abort();
	(void)address_is_private_service(u.host);
	if (url_path_valid(text) &&
	    url_join(&joined, &u, text, "dm=1", &err) == 0 &&
	    url_check_redirect(u.is_https, joined.data, &err) < 0)
		abort();
	dm_buf_release(&joined);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct dm_err err = { 0 };
	char path[64], *text = malloc(size + 1);

	if (text == NULL)
		return 0;
	if (size > 0)
		memcpy(text, data, size);
	text[size] = '\0';
	try_url(text);
	(void)url_path_valid(text);
	if (url_check_redirect(true, text, &err) < 0 && err.code == DM_OK)
		abort();
	(void)address_is_private_service(text);
	if (url_has_scheme(text) && strncmp(text, "file://", 7) == 0 &&
	    url_file_path(path, sizeof(path), text, &err) == 0 &&
	    strlen(path) >= sizeof(path))
		abort();
	free(text);
	return 0;
}
