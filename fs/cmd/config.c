/*
 * What is configured.
 *
 * A repository is looked up by its URL, not by the name it was called by: so
 * what is said about it also holds for a mount from its .source file.
 */
#include "fs/cmd/config.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cache/base/buf.h"
#include "cache/base/err.h"
#include "cache/base/io.h"
#include "cache/cache.h"
#include "fs/cmd/cmd.h"

enum { USER, SYSTEM, FILES };

static struct {
	bool loaded;
	struct part {
		char path[PATH_MAX];
		char *text; /* items borrow it */
		struct config_file file;
	} parts[FILES];
} config;

/* One item, and the file it is in; or NULL. */
struct found {
	const struct config_item *item;
	const struct part *part;
};

/* ---- the files ---- */

static const char *
absolute(const char *variable)
{
	const char *value = secure_getenv(variable);

	return value != NULL && value[0] == '/' ? value : NULL;
}

static int
find_files(struct dm_err *err)
{
	const char *config_home = absolute("XDG_CONFIG_HOME");
	const char *home = absolute("HOME");
	const char *system = secure_getenv("DATAMOUNT_CONFIG_SYSTEM");
	int n = 0, m;

	if (config_home != NULL)
		n = snprintf(config.parts[USER].path, PATH_MAX,
		    "%s/datamount/config", config_home);
	else if (home != NULL)
		n = snprintf(config.parts[USER].path, PATH_MAX,
		    "%s/.config/datamount/config", home);
	m = snprintf(config.parts[SYSTEM].path, PATH_MAX, "%s",
	    system != NULL ? system : "/etc/datamount.conf");
	if (n >= PATH_MAX || m >= PATH_MAX)
		return dm_fail(err, DM_INVALID,
		    "the path of the configuration file is too long");
	return 0;
}

/* Whoever may write the file decides what is mounted and where it is kept. */
static int
check_trust(const char *path, const struct stat *st, struct dm_err *err)
{
	if (!S_ISREG(st->st_mode))
		return dm_fail(err, DM_INVALID, "%s: not a file", path);
	if (st->st_uid != 0 && st->st_uid != geteuid())
		return dm_fail(err, DM_DENIED,
		    "%s belongs to user %u, neither to you nor to root: chown "
		    "or remove it",
		    path, (unsigned)st->st_uid);
	if ((st->st_mode & (S_IWGRP | S_IWOTH)) != 0)
		return dm_fail(err, DM_DENIED,
		    "%s can be written by others: chmod go-w it", path);
	return 0;
}

static int
read_part(struct part *p, int fd, struct dm_err *err)
{
	struct stat st;
	ssize_t n;

	if (fstat(fd, &st) < 0)
		return dm_fail_errno(err, "%s", p->path);
	if (check_trust(p->path, &st, err) < 0)
		return -1;
	p->text = malloc(CONFIG_MAX + 1);
	if (p->text == NULL)
		return dm_fail(err, DM_NOMEM, "configuration");
	n = dm_read_full(fd, p->text, CONFIG_MAX + 1);
	if (n < 0)
		return dm_fail_errno(err, "%s", p->path);
	if (config_file_decode(&p->file, p->text, (size_t)n, err) < 0)
		return dm_wrap(err, "%s", p->path);
	return 0;
}

static int
load_part(struct part *p, struct dm_err *err)
{
	DM_AUTO(dm_closep) int fd = -1;
	int rc;

	if (p->path[0] == '\0')
		return 0;
	fd = open(p->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0) {
		struct stat st;

		if (stat(p->path, &st) < 0)
			return 0; /* also where a directory bars the way */
		return dm_fail_errno(err, "%s", p->path);
	}
	rc = read_part(p, fd, err);
	if (rc < 0) {
		free(p->text);
		p->text = NULL;
	}
	return rc;
}

int
config_load(struct dm_err *err)
{
	if (config.loaded)
		return 0;
	if (find_files(err) < 0)
		return -1;
	for (int i = 0; i < FILES; i++)
		if (config.parts[i].text == NULL &&
		    load_part(&config.parts[i], err) < 0)
			return -1;
	config.loaded = true;
	return 0;
}

/* ---- looking up ---- */

static bool
same(struct text a, struct text b)
{
	return a.size == b.size && memcmp(a.data, b.data, a.size) == 0;
}

/* The first item of a key in a file, of that repository if the key has one. */
static const struct config_item *
find_in(const struct part *p, enum config_key key, struct text name)
{
	for (size_t i = 0; i < p->file.n; i++)
		if (p->file.items[i].key == key &&
		    same(p->file.items[i].name, name))
			return &p->file.items[i];
	return NULL;
}

static struct found
find(enum config_key key)
{
	const struct text none = { "", 0 };

	for (int i = 0; i < FILES; i++) {
		const struct part *p = &config.parts[i];
		const struct config_item *item = find_in(p, key, none);

		if (item != NULL)
			return (struct found){ item, p };
	}
	return (struct found){ NULL, NULL };
}

/* The url of the section of that name: the user's hides the system's. */
static struct found
find_name(struct text name)
{
	for (int i = 0; i < FILES; i++) {
		const struct part *p = &config.parts[i];
		const struct config_item *item =
		    find_in(p, CONFIG_REPOSITORY_URL, name);

		if (item != NULL)
			return (struct found){ item, p };
	}
	return (struct found){ NULL, NULL };
}

/* The slash that a ref must not stand without: https://host/@main. */
static const char *
missing_slash(struct text url)
{
	struct text scheme;

	if (!text_cut(&scheme, &url, ':') || !text_skip(&url, "//"))
		return "";
	return memchr(url.data, '/', url.size) != NULL ? "" : "/";
}

/* Are they the same but for slashes at the end? */
static bool
same_url(const char *a, const char *b)
{
	size_t n = strlen(a), m = strlen(b);

	while (n > 1 && a[n - 1] == '/')
		n--;
	while (m > 1 && b[m - 1] == '/')
		m--;
	return n == m && memcmp(a, b, n) == 0;
}

/* A URL as the command line would have it: a folder without needless slashes,
 * no %40. */
static int
normal(char out[SOURCE_URL_MAX + 1], const struct config_item *item,
    struct dm_err *err)
{
	struct source_name name;
	char text[SOURCE_URL_MAX + 1];

	memcpy(text, item->value.data, item->value.size);
	text[item->value.size] = '\0';
	if (source_name_parse(&name, text, err) < 0)
		return -1;
	memcpy(out, name.repo, sizeof(name.repo));
	return 0;
}

/* The url of the section for a repository; its item is NULL if there is none.
 */
static int
find_repository(struct found *out, const char *repo, struct dm_err *err)
{
	char url[SOURCE_URL_MAX + 1];

	*out = (struct found){ NULL, NULL };
	for (int i = 0; repo != NULL && i < FILES; i++) {
		const struct part *p = &config.parts[i];

		for (size_t k = 0; k < p->file.n; k++) {
			const struct config_item *item = &p->file.items[k];

			if (item->key != CONFIG_REPOSITORY_URL ||
			    find_name(item->name).item != item)
				continue;
			if (normal(url, item, err) < 0)
				return dm_wrap(err, "%s: line %u", p->path,
				    item->line);
			if (same_url(url, repo)) {
				*out = (struct found){ item, p };
				return 0;
			}
		}
	}
	return 0;
}

/* The item of key own in the section of a repository, or else of general. */
static struct found
choose(struct found repository, enum config_key own, enum config_key general)
{
	const struct config_item *item = NULL;

	if (repository.item != NULL)
		item = find_in(repository.part, own, repository.item->name);
	return item != NULL ? (struct found){ item, repository.part } :
			      find(general);
}

/* ---- short names ---- */

static struct found
find_short_name(const char *text, size_t *size)
{
	struct text name = { text, strcspn(text, "@") };

	*size = name.size;
	return config_name_valid(name) ? find_name(name) :
					 (struct found){ NULL, NULL };
}

int
config_is_short_name(const char *text, bool *found, struct dm_err *err)
{
	size_t size;

	if (config_load(err) < 0)
		return -1;
	*found = find_short_name(text, &size).item != NULL;
	return 0;
}

int
config_expand(char **out, const char *text, struct dm_err *err)
{
	struct found f;
	size_t size;

	if (config_load(err) < 0)
		return -1;
	f = find_short_name(text, &size);
	if (f.item == NULL)
		*out = strdup(text);
	else if (asprintf(out, "%.*s%s%s", (int)f.item->value.size,
		     f.item->value.data, missing_slash(f.item->value),
		     text + size) < 0)
		*out = NULL;
	return *out != NULL ? 0 : dm_fail(err, DM_NOMEM, "repository name");
}

int
config_name_parse(struct source_name *out, const char *text, struct dm_err *err)
{
	DM_AUTO(dm_freep) char *expanded = NULL;

	if (config_expand(&expanded, text, err) < 0)
		return -1;
	return source_name_parse(out, expanded, err);
}

/* ---- options ---- */

static bool
cache_is_in_environment(void)
{
	const char *value = secure_getenv("DATAMOUNT_CACHE");

	return value != NULL && value[0] != '\0';
}

/* The daemon works in another directory: make it absolute. */
static int
given_cache_dir(char out[PATH_MAX], const char *given, struct dm_err *err)
{
	char cwd[PATH_MAX] = "";

	if (given[0] == '\0')
		return cmd_usage(err, "--cache DIR: no such path");
	if (given[0] != '/' && getcwd(cwd, sizeof(cwd)) == NULL)
		return dm_fail_errno(err, "find the working directory");
	if (snprintf(out, PATH_MAX, "%s%s%s", cwd, cwd[0] != '\0' ? "/" : "",
		given) >= PATH_MAX)
		return dm_fail(err, DM_INVALID, "%.100s...: path too long",
		    given);
	return 0;
}

static int
find_cache_dir(char out[PATH_MAX], const char **why, const char *given,
    struct found configured, struct dm_err *err)
{
	*why = NULL;
	if (given != NULL)
		return given_cache_dir(out, given, err);
	if (configured.item == NULL || cache_is_in_environment())
		return cache_dir_default(out, PATH_MAX, why, err);
	(void)snprintf(out, PATH_MAX, "%.*s", (int)configured.item->value.size,
	    configured.item->value.data);
	return 0;
}

static uint64_t
number(struct found f, uint64_t fallback)
{
	return f.item != NULL ? f.item->number : fallback;
}

static int
set_cache_size(struct config_options *out, const struct cmd_args *a,
    struct dm_err *err)
{
	const char *value = cmd_value(a, "cache-size");

	out->cache_size = number(find(CONFIG_CACHE_SIZE), 0);
	if (value != NULL && strcmp(value, "default") == 0) {
		out->cache_size = 0;
		return 0;
	}
	return cmd_number(a, "cache-size", true, out->cache_size,
	    &out->cache_size, err);
}

static int
set_symlinks(struct config_options *out, const struct cmd_args *a,
    struct dm_err *err)
{
	const char *value = cmd_value(a, "symlinks");

	out->all_symlinks = number(find(CONFIG_MOUNT_SYMLINKS), 0) != 0;
	if (value == NULL)
		return 0;
	out->all_symlinks = strcmp(value, "all") == 0;
	if (!out->all_symlinks && strcmp(value, "inside") != 0)
		return cmd_usage(err, "%s: --symlinks is all or inside, not %s",
		    a->cmd->name, value);
	return 0;
}

static int
set_io(struct config_options *out, const struct cmd_args *a, struct dm_err *err)
{
	const char *value = cmd_value(a, "io");

	out->io = (enum mount_io)number(find(CONFIG_MOUNT_IO), MOUNT_IO_AUTO);
	if (value == NULL || mount_io_parse(&out->io, value))
		return 0;
	return cmd_usage(err, "%s: --io is auto, daemon or passthrough, not %s",
	    a->cmd->name, value);
}

int
config_options(struct config_options *out, const struct cmd_args *a,
    const char *repo, struct dm_err *err)
{
	struct found section;
	uint64_t seconds;

	*out = (struct config_options){ 0 };
	if (config_load(err) < 0 || find_repository(&section, repo, err) < 0)
		return -1;
	seconds = number(choose(section, CONFIG_REPOSITORY_TIMEOUT,
			     CONFIG_NETWORK_TIMEOUT),
	    CMD_TIMEOUT_S);
	out->memory = number(choose(section, CONFIG_REPOSITORY_MEMORY,
				 CONFIG_CACHE_MEMORY),
	    0);
	out->allow_other = cmd_flag(a, "allow-other") ||
	    number(find(CONFIG_MOUNT_ALLOW_OTHER), 0) != 0;
	if (cmd_number(a, "timeout", false, seconds, &seconds, err) < 0 ||
	    cmd_number(a, "memory", true, out->memory, &out->memory, err) < 0 ||
	    set_cache_size(out, a, err) < 0 || set_symlinks(out, a, err) < 0 ||
	    set_io(out, a, err) < 0)
		return -1;
	out->timeout_ms = seconds * 1000;
	return find_cache_dir(out->cache_dir, &out->cache_why,
	    cmd_value(a, "cache"),
	    choose(section, CONFIG_REPOSITORY_CACHE_DIR, CONFIG_CACHE_DIR),
	    err);
}

int
config_cache_dir(char out[PATH_MAX], const struct cmd_args *a,
    struct dm_err *err)
{
	const char *why;

	if (config_load(err) < 0)
		return -1;
	return find_cache_dir(out, &why, cmd_value(a, "cache"),
	    find(CONFIG_CACHE_DIR), err);
}

int
config_mirrors(struct source_file *pin, struct dm_err *err)
{
	struct found f;

	if (config_load(err) < 0 ||
	    find_repository(&f, pin->repository[0], err) < 0)
		return -1;
	for (size_t i = 0; f.item != NULL && i < f.part->file.n; i++) {
		const struct config_item *item = &f.part->file.items[i];

		if (item->key != CONFIG_REPOSITORY_MIRROR ||
		    !same(item->name, f.item->name))
			continue;
		/* The decoder counted them. */
		if (normal(pin->repository[pin->nrepositories], item, err) < 0)
			return dm_wrap(err, "%s: line %u", f.part->path,
			    item->line);
		pin->nrepositories++;
	}
	return 0;
}

/* ---- listing ---- */

struct lister {
	int (*each)(void *arg, const struct config_setting *s,
	    struct dm_err *err);
	void *arg;
};

static int
list_item(const struct lister *l, struct found f, struct dm_err *err)
{
	DM_AUTO(dm_freep)
	char *value = strndup(f.item->value.data, f.item->value.size);
	struct config_setting s = {
		.value = value, .file = f.part->path, .line = f.item->line
	};

	if (value == NULL)
		return dm_fail(err, DM_NOMEM, "configuration");
	(void)snprintf(s.key, sizeof(s.key), "%s%s%.*s.%s",
	    config_section_names[f.item->section],
	    f.item->name.size > 0 ? "." : "", (int)f.item->name.size,
	    f.item->name.data, config_key_names[f.item->key]);
	return l->each(l->arg, &s, err);
}

static int
list_general(const struct lister *l, enum config_key key,
    enum config_section section, const char *built_in, struct dm_err *err)
{
	struct config_setting s = { .value = built_in };
	struct found f = find(key);

	if (f.item != NULL)
		return list_item(l, f, err);
	(void)snprintf(s.key, sizeof(s.key), "%s.%s",
	    config_section_names[section], config_key_names[key]);
	return l->each(l->arg, &s, err);
}

static int
list_cache_dir(const struct lister *l, struct dm_err *err)
{
	struct config_setting s = { .key = "cache.dir" };
	struct found f = find(CONFIG_CACHE_DIR);
	const char *why = NULL;
	char dir[PATH_MAX];

	if (f.item != NULL && !cache_is_in_environment())
		return list_item(l, f, err);
	if (cache_dir_default(dir, sizeof(dir), &why, err) < 0)
		return -1;
	s.value = dir;
	if (cache_is_in_environment())
		s.variable = "DATAMOUNT_CACHE";
	return l->each(l->arg, &s, err);
}

/* Root's mounts can always be read by others. */
static int
list_allow_other(const struct lister *l, struct dm_err *err)
{
	static const struct config_setting always = {
		.key = "mount.allow-other", .value = "yes"
	};

	if (geteuid() == 0)
		return l->each(l->arg, &always, err);
	return list_general(l, CONFIG_MOUNT_ALLOW_OTHER, CONFIG_MOUNT, "no",
	    err);
}

static int
list_repositories(const struct lister *l, const struct part *p,
    struct dm_err *err)
{
	for (size_t i = 0; i < p->file.n; i++) {
		const struct config_item *item = &p->file.items[i];

		if (item->section == CONFIG_REPOSITORY &&
		    find_name(item->name).part == p &&
		    list_item(l, (struct found){ item, p }, err) < 0)
			return -1;
	}
	return 0;
}

int
config_each(int (*each)(void *arg, const struct config_setting *s,
		struct dm_err *err),
    void *arg, struct dm_err *err)
{
	const struct lister l = { each, arg };

	if (config_load(err) < 0 || list_cache_dir(&l, err) < 0 ||
	    list_general(&l, CONFIG_CACHE_MEMORY, CONFIG_CACHE, "256M", err) <
		0 ||
	    list_general(&l, CONFIG_CACHE_SIZE, CONFIG_CACHE, "default", err) <
		0 ||
	    list_general(&l, CONFIG_NETWORK_TIMEOUT, CONFIG_NETWORK, "300",
		err) < 0 ||
	    list_allow_other(&l, err) < 0 ||
	    list_general(&l, CONFIG_MOUNT_SYMLINKS, CONFIG_MOUNT, "inside",
		err) < 0 ||
	    list_general(&l, CONFIG_MOUNT_IO, CONFIG_MOUNT, "auto", err) < 0)
		return -1;
	for (int i = 0; i < FILES; i++)
		if (list_repositories(&l, &config.parts[i], err) < 0)
			return -1;
	return 0;
}
