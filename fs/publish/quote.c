#include "fs/publish/quote.h"

#include <stdio.h>
#include <string.h>

enum { PATH_SHOWN = 70 }; /* each byte may become four */

const char *
quote_path(char out[QUOTE_TEXT], const char *path)
{
	size_t size = strlen(path), n = 0;

	if (size > PATH_SHOWN) {
		path += size - PATH_SHOWN;
		n = (size_t)snprintf(out, QUOTE_TEXT, "...");
	}
	for (; *path != '\0'; path++) {
		unsigned char c = (unsigned char)*path;

		if (c == '\n' || c == '\t')
			n += (size_t)snprintf(out + n, QUOTE_TEXT - n, "\\%c",
			    c == '\n' ? 'n' : 't');
		else if (c < ' ' || c == 0x7f)
			n += (size_t)snprintf(out + n, QUOTE_TEXT - n,
			    "\\x%02x", c);
		else
			out[n++] = (char)c;
	}
	out[n] = '\0';
	return out;
}
