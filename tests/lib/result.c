#include "tests/lib/result.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

void
result_add(const char *name, uint64_t tried, uint64_t found, uint64_t seed)
{
	const char *path = getenv("DM_RESULTS");
	int fd;

	if (path == NULL)
		return;
	fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
	if (fd < 0 ||
	    dprintf(fd,
		"{\"name\": \"%s\", \"tried\": %" PRIu64 ", \"found\": %" PRIu64
		", \"seed\": %" PRIu64 "}\n",
		name, tried, found, seed) < 0) {
		perror(path);
		abort();
	}
	close(fd);
}
