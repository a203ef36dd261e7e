/*
 * datamount verify: read every byte of a version from its repository, or
 * compare a directory with the version that is pinned for it.
 *
 * What the local cache holds was right when it came, and would hide what has
 * happened to the repository since; so the bytes go through a cache that is
 * empty at first, is emptied now and then, and is removed at the end.
 */
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cache/base/digest.h"
#include "cache/base/err.h"
#include "cache/base/io.h"
#include "cache/base/lock.h"
#include "cache/cache.h"
#include "cache/net/origin.h"
#include "fs/cmd/commands.h"
#include "fs/cmd/compare.h"
#include "fs/cmd/config.h"
#include "fs/cmd/crew.h"
#include "fs/cmd/look.h"
#include "fs/cmd/pin.h"
#include "fs/publish/copy.h"
#include "fs/source/source.h"

enum {
	READ_BYTES = 1 << 20,
	READ_THREADS = 8,
	KEEP_BYTES = 512 << 20, /* in the temporary cache, about */
	REMOVE_TRIES = 100,     /* others may just be making a file */
};

struct check {
	/* immutable while the crew works */
	struct version *version;
	const char *temp; /* the cache to be emptied, or NULL */
	bool raw;

	/* atomic */
	uint64_t files, objects, bytes, unkept;

	/* guarded by mu, as is stdout */
	struct dm_mutex mu;
	uint64_t damaged;

	/* of the thread that walks */
	uint64_t dirs, total_bytes;
	struct crew *crew;
	struct progress *progress;
	struct dm_buf path;
};

/* One file to be read. */
struct reading {
	struct check *check;
	struct version_node node;
	size_t path_size;
	char path[];
};

static bool
is_damage(const struct dm_err *err)
{
	return err->code == DM_CORRUPT || err->code == DM_NOTFOUND;
}

static void
report(struct check *c, const char *path, size_t size, const struct dm_err *err)
{
	dm_lock(&c->mu);
	c->damaged++;
	if (c->raw) {
		(void)fwrite(path, 1, size, stdout);
		(void)putchar('\0');
	} else {
		look_print_name(path, size);
		(void)fputs(": ", stdout);
		(void)fputs(err->text, stdout);
		(void)putchar('\n');
	}
	(void)fflush(stdout); /* main looks at stdout */
	dm_unlock(&c->mu);
}

/* Empty the temporary cache when enough went through it. */
static void
drop_cached(struct check *c, uint64_t bytes)
{
	struct cache_usage freed;
	struct dm_err ignored = { 0 };
	uint64_t unkept;

	if (c->temp == NULL)
		return;
	unkept = __atomic_add_fetch(&c->unkept, bytes, __ATOMIC_RELAXED);
	if (unkept < KEEP_BYTES || unkept - bytes >= KEEP_BYTES)
		return;
	__atomic_store_n(&c->unkept, 0, __ATOMIC_RELAXED);
	/* If it cannot be emptied it grows, and a full disk is no error. */
	if (cache_clear(c->temp, &freed, &ignored) < 0)
		return;
}

static int
read_all(struct check *c, const struct version_node *node, char *buf,
    struct digest_hasher *h, struct dm_err *err)
{
	uint64_t off;
	size_t n;

	for (off = 0; off < node->size; off += n) {
		if (version_read(c->version, node, buf, READ_BYTES, off, &n,
			NULL, err) < 0)
			return -1;
		digest_hasher_add(h, buf, n);
		__atomic_add_fetch(&c->bytes, n, __ATOMIC_RELAXED);
		drop_cached(c, n);
	}
	return 0;
}

/* Every chunk is checked as it is read; of the whole file, the digest. */
static int
read_file(struct check *c, const struct version_node *node, char *buf,
    struct digest_hasher *h, struct dm_err *err)
{
	struct digest want, is;
	uint64_t chunks, cached;
	int rc = read_all(c, node, buf, h, err);

	digest_hasher_get(h, &is);
	if (rc < 0 || version_digest(c->version, node, &want, NULL, err) < 0 ||
	    version_file_state(c->version, node, &chunks, &cached, NULL, err) <
		0)
		return -1;
	if (!digest_equal(&want, &is))
		return dm_fail(err, DM_CORRUPT,
		    "its chunks are right, but the file's digest is another");
	__atomic_add_fetch(&c->files, 1, __ATOMIC_RELAXED);
	__atomic_add_fetch(&c->objects, chunks, __ATOMIC_RELAXED);
	return 0;
}

static int
do_reading(void *job, struct dm_err *err)
{
	struct reading *r = job;
	struct digest_hasher *h = digest_hasher_new();
	char *buf = malloc(READ_BYTES);
	int rc = -1;

	if (buf == NULL || h == NULL)
		(void)dm_fail(err, DM_NOMEM, "read a file");
	else
		rc = read_file(r->check, &r->node, buf, h, err);
	free(buf);
	digest_hasher_free(h);
	if (rc == 0)
		return 0;
	if (!is_damage(err))
		return dm_wrap(err, "%s", r->path);
	report(r->check, r->path, r->path_size, err);
	return 0;
}

static int
add_reading(struct check *c, const struct version_node *node,
    struct dm_err *err)
{
	struct reading *r = calloc(1, sizeof(*r) + c->path.size + 1);

	if (r == NULL)
		return dm_fail(err, DM_NOMEM, "read a file");
	r->check = c;
	r->node = *node;
	r->path_size = c->path.size;
	memcpy(r->path, c->path.data, c->path.size);
	progress_update(c->progress,
	    __atomic_load_n(&c->files, __ATOMIC_RELAXED),
	    __atomic_load_n(&c->bytes, __ATOMIC_RELAXED), c->total_bytes);
	return crew_add(c->crew, r, err);
}

static int check_dir(struct check *c, const struct version_node *dir,
    struct dm_err *err);

/* NOLINTNEXTLINE(misc-no-recursion) */
static int
check_entry(struct check *c, const struct look_entry *e, struct dm_err *err)
{
	size_t size = c->path.size;
	int rc = look_path_push(&c->path, e->name, e->name_len, err);

	if (rc == 0 && e->node.kind == TREE_DIR)
		rc = check_dir(c, &e->node, err);
	else if (rc == 0 && e->node.kind != TREE_SYMLINK)
		rc = add_reading(c, &e->node, err);
	look_path_pop(&c->path, size);
	return rc;
}

/* A directory that cannot be read is damage, and its neighbours are looked at
 * all the same. */
/* NOLINTNEXTLINE(misc-no-recursion) */
static int
check_dir(struct check *c, const struct version_node *dir, struct dm_err *err)
{
	struct look_entry *e;
	struct look_dir d;
	int rc;

	c->dirs++;
	look_dir_init(&d, c->version, dir);
	while ((rc = look_dir_next(&d, &e, err)) == 0 && e != NULL) {
		rc = check_entry(c, e, err);
		if (rc < 0)
			break;
	}
	look_dir_release(&d);
	/* Entries report their own damage: this is the directory's. */
	if (rc < 0 && is_damage(err)) {
		report(c, c->path.size > 0 ? c->path.data : "/",
		    c->path.size > 0 ? c->path.size : 1, err);
		rc = 0;
	}
	return rc;
}

static int
check_tree(struct check *c, struct dm_err *err)
{
	struct version_node root;
	struct dm_err late = { 0 };
	int rc;

	version_root(c->version, &root);
	c->total_bytes = root.size;
	if (crew_open(&c->crew, READ_THREADS, do_reading, free, err) < 0)
		return -1;
	rc = check_dir(c, &root, err);
	if (crew_close(c->crew, rc < 0, &late) < 0 && rc == 0) {
		*err = late;
		rc = -1;
	}
	return rc;
}

static int
verify(struct look_name *l, const struct cmd_args *a, const char *temp,
    struct dm_err *err)
{
	struct check c = { .version = l->look.version,
		.temp = temp,
		.raw = cmd_flag(a, "null"),
		.path = DM_BUF(DM_PATH_MAX) };
	bool quiet = cmd_flag(a, "quiet");
	char bytes[CMD_BYTES_TEXT];
	int rc;

	dm_mutex_init(&c.mu, DM_RANK_REPORT);
	c.progress = progress_new("verify", quiet);
	rc = check_tree(&c, err);
	progress_free(c.progress);
	dm_buf_release(&c.path);
	dm_mutex_destroy(&c.mu);
	if (rc < 0)
		return -1;
	if (!quiet)
		(void)fprintf(stderr,
		    "read %llu files, %llu directories: %llu objects, %s; "
		    "%llu damaged\n",
		    (unsigned long long)c.files, (unsigned long long)c.dirs,
		    (unsigned long long)c.objects, cmd_bytes(bytes, c.bytes),
		    (unsigned long long)c.damaged);
	return c.damaged > 0 ? CMD_DAMAGE : CMD_DONE;
}

/* ---- a directory on disk ---- */

static void
differs(void *arg, const struct dm_buf *path, const char *what)
{
	struct dm_err err = { .code = DM_CORRUPT };

	(void)snprintf(err.text, sizeof(err.text), "%s", what);
	report(arg, path->data, path->size, &err);
}

/* Compare the directory with the version that was pinned for it. */
static int
compare_pinned(struct look *l, const struct source_file *pin,
    const struct cmd_args *a, struct dm_err *err)
{
	DM_AUTO(dm_closep) int fd = -1;
	struct check c = { .raw = cmd_flag(a, "null") };
	struct compare cmp = { .version = l->version,
		.differs = differs,
		.arg = &c,
		.path = DM_BUF(DM_PATH_MAX) };
	struct version_node dir;
	char bytes[CMD_BYTES_TEXT];
	int rc;

	if (look_path(l->version, pin->path, &dir, err) < 0)
		return -1;
	fd = open(a->operands[0], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return dm_fail_errno(err, "%s", a->operands[0]);
	dm_mutex_init(&c.mu, DM_RANK_REPORT);
	rc = compare_dir(&cmp, &dir, fd, err);
	dm_mutex_destroy(&c.mu);
	dm_buf_release(&cmp.path);
	if (rc < 0)
		return -1;
	if (!cmd_flag(a, "quiet"))
		(void)fprintf(stderr, "compared %llu files, %s; %llu differ\n",
		    (unsigned long long)cmp.files, cmd_bytes(bytes, cmp.bytes),
		    (unsigned long long)c.damaged);
	return c.damaged > 0 ? CMD_DAMAGE : CMD_DONE;
}

static int
verify_dir(const struct pin_place *place, const struct cmd_args *a,
    struct dm_err *err)
{
	struct source_file pin;
	struct session s;
	struct look l;
	char hex[DIGEST_HEX + 1];
	bool found = false;
	int rc;

	if (pin_read(place->source, &pin, &found, err) < 0)
		return -1;
	if (!found)
		return dm_fail(err, DM_NOTFOUND,
		    "%s is no repository, and no %s says what should be in "
		    "it",
		    a->operands[0], place->source);
	if (pin_absolute(place->source, &pin, err) < 0 ||
	    (pin.repository[0][0] == '/' &&
		pin_check_owner(pin.repository[0], err) < 0) ||
	    session_open(&s, a, pin.repository[0], err) < 0)
		return -1;
	digest_hex(&pin.commit, hex);
	rc = look_open(&l, s.repo, hex, true, err);
	if (rc == 0) {
		rc = compare_pinned(&l, &pin, a, err);
		look_close(&l);
	}
	session_close(&s);
	return rc;
}

/* An operand without @ that is a directory and no repository is a copy or a
 * mount of what the file beside it pins. */
static bool
is_copy(const char *operand)
{
	char file[PATH_MAX];
	struct stat st;
	int n = snprintf(file, sizeof(file), "%s/datamount", operand);

	return strchr(operand, '@') == NULL && n < PATH_MAX &&
	    stat(operand, &st) == 0 && S_ISDIR(st.st_mode) &&
	    access(file, F_OK) < 0;
}

/* ---- the temporary cache ---- */

static int
remove_one(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
	(void)st;
	(void)flag;
	(void)ftw;
	(void)remove(path); /* what stays is seen at the top */
	return 0;
}

/* What cannot be removed stays. */
static void
remove_temp(const char *temp)
{
	/* NOLINTNEXTLINE(concurrency-mt-unsafe): it changes no directory */
	(void)nftw(temp, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static void
stop_signals(sigset_t *set)
{
	(void)sigemptyset(set);
	(void)sigaddset(set, SIGINT);
	(void)sigaddset(set, SIGTERM);
	(void)sigaddset(set, SIGHUP);
}

/* Remove the temporary cache, under the hands of those who fill it, and let the
 * signal end all: they may wait for an origin that says nothing. */
static void *
await_signal(void *temp)
{
	sigset_t set;
	int signal_no;

	stop_signals(&set);
	if (sigwait(&set, &signal_no) != 0)
		return NULL;
	for (int i = 0; i < REMOVE_TRIES && access(temp, F_OK) == 0; i++)
		remove_temp(temp);
	(void)signal(signal_no, SIG_DFL);
	(void)pthread_sigmask(SIG_UNBLOCK, &set, NULL);
	(void)kill(getpid(), signal_no);
	return NULL;
}

static int
make_temp(char out[PATH_MAX], struct dm_err *err)
{
	const char *tmp = secure_getenv("TMPDIR");
	int n = snprintf(out, PATH_MAX, "%s/datamount-verify-XXXXXX",
	    tmp != NULL && tmp[0] == '/' ? tmp : "/var/tmp");

	if (n >= PATH_MAX)
		return dm_fail(err, DM_INVALID, "TMPDIR is too long");
	if (mkdtemp(out) == NULL)
		return dm_fail_errno(err, "create a directory like %s", out);
	return 0;
}

/* Make the temporary cache, before other threads are started: they are not to
 * have the signals. */
static int
open_temp(char temp[PATH_MAX], struct dm_err *err)
{
	pthread_t thread;
	sigset_t set;

	stop_signals(&set);
	(void)pthread_sigmask(SIG_BLOCK, &set, NULL);
	if (make_temp(temp, err) < 0)
		return -1;
	if (pthread_create(&thread, NULL, await_signal, temp) != 0) {
		remove_temp(temp);
		return dm_fail(err, DM_NOMEM, "start a thread");
	}
	(void)pthread_detach(thread);
	return 0;
}

/* The command's arguments with --cache TEMP in front. */
static void
with_cache(struct cmd_args *out, const struct cmd_args *a, const char *temp)
{
	const struct cmd_option *o = a->cmd->options;
	const int room = sizeof(out->given) / sizeof(out->given[0]);

	while (strcmp(o->name, "cache") != 0)
		o++;
	*out = *a;
	if (out->ngiven == room)
		out->ngiven--;
	memmove(out->given + 1, out->given,
	    (size_t)out->ngiven * sizeof(out->given[0]));
	out->given[0].option = o;
	out->given[0].value = temp;
	out->ngiven++;
}

/* ---- repair ---- */

static void
show_repair(void *arg, uint64_t packs, uint64_t bytes)
{
	progress_update(arg, packs, bytes, 0);
}

static void
no_ref(void *arg, const struct ref_line *ref)
{
	(void)arg;
	(void)ref;
}

/* Which commit does the operand name, and in which folder? */
static int
find_damaged(const struct cmd_args *a, char folder[PATH_MAX],
    struct digest *commit, struct dm_err *err)
{
	struct source_name name;
	struct resolved is;
	struct session s;
	int rc = 0;

	if (config_name_parse(&name, a->operands[0], err) < 0 ||
	    session_open(&s, a, name.repo, err) < 0)
		return -1;
	if (origin_folder(s.repo->origin) == NULL)
		rc = dm_fail(err, DM_INVALID,
		    "only a folder can be repaired, not %s",
		    origin_name(s.repo->origin));
	else
		rc = repo_resolve(s.repo, name.ref, &is, err);
	if (rc == 0) {
		*commit = is.commit;
		(void)snprintf(folder, PATH_MAX, "%s",
		    origin_folder(s.repo->origin));
	}
	session_close(&s);
	return rc;
}

static int
repair_from(const struct cmd_args *a, const char *mirror, struct dm_err *err)
{
	struct copy_options o = { .progress = show_repair, .moved = no_ref };
	char folder[PATH_MAX], bytes[CMD_BYTES_TEXT];
	struct copy_result r = { 0 };
	struct source_name name;
	struct digest commit;
	struct session s;
	uint64_t left, seconds;
	int rc;

	if (cmd_number(a, "timeout", false, CMD_TIMEOUT_S, &seconds, err) < 0 ||
	    find_damaged(a, folder, &commit, err) < 0 ||
	    config_name_parse(&name, mirror, err) < 0 ||
	    session_open(&s, a, name.repo, err) < 0)
		return -1;
	o.from = s.repo->origin;
	o.to = folder;
	o.timeout_ms = seconds * 1000;
	o.arg = progress_new("repair", cmd_flag(a, "quiet"));
	rc = repo_identify(s.repo, err);
	if (rc == 0)
		rc = copy_repair(&o, &commit, &r, &left, err);
	progress_free(o.arg);
	session_close(&s);
	if (rc == 0 && !cmd_flag(a, "quiet"))
		(void)fprintf(stderr,
		    "%llu packs, %s, and %llu commits were repaired; %llu "
		    "could not be\n",
		    (unsigned long long)r.packs, cmd_bytes(bytes, r.bytes),
		    (unsigned long long)r.commits, (unsigned long long)left);
	return rc;
}

static int
run_verify(int argc, char **argv, struct dm_err *err)
{
	struct look_name l;
	struct cmd_args a, b;
	static char temp[PATH_MAX]; /* of this process; see await_signal() */
	struct pin_place place;
	int rc;

	if (cmd_parse(&a, &cmd_verify, argc, argv, 1, 1, err) < 0)
		return -1;
	if (is_copy(a.operands[0])) {
		if (cmd_value(&a, "repair-from") != NULL)
			return dm_fail(err, DM_INVALID,
			    "--repair-from mends a repository, and %s is none",
			    a.operands[0]);
		if (pin_place(&place, a.operands[0], NULL, err) < 0)
			return -1;
		return verify_dir(&place, &a, err);
	}
	if (cmd_value(&a, "repair-from") != NULL &&
	    repair_from(&a, cmd_value(&a, "repair-from"), err) < 0)
		return -1;
	b = a;
	if (cmd_value(&a, "cache") == NULL && !cmd_flag(&a, "cached")) {
		if (open_temp(temp, err) < 0)
			return -1;
		with_cache(&b, &a, temp);
	}
	rc = look_name_open_alone(&l, &b, a.operands[0], err);
	if (rc == 0) {
		rc = verify(&l, &a, temp[0] != '\0' ? temp : NULL, err);
		look_name_close(&l);
	}
	if (temp[0] != '\0')
		remove_temp(temp);
	return rc;
}

static const struct cmd_option options[] = {
	{ "cached", 0, NULL,
	    "take what the local cache has from there, not the repository" },
	{ "repair-from", 0, "URL",
	    "first fetch damaged and missing packs of a folder from there" },
	{ "null", 'z', NULL, "only paths, as they are, each ended by a NUL" },
	CMD_SESSION_OPTIONS,
	{ 0 },
};

const struct cmd cmd_verify = {
	.name = "verify",
	.args = "REPO@REF | DIR",
	.help =
	    "read a whole version, or compare DIR with its pin: name damage",
	.options = options,
	.run = run_verify,
};
