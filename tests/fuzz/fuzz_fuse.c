/*
 * The worker's operations against a plain model of the same tree, without a
 * kernel: this is the kernel.  A socket pair stands for /dev/fuse; requests go
 * into slots, as the worker's readers put them there, and are run here, those
 * that park as the worker's runners would.  The bytes of the input choose what
 * is asked, in which order, how many requests are under way at once, and when
 * the cache is emptied or damaged, the version opened anew, the repository's
 * packs gone and back, the worker lost and another put in its place.
 *
 * The tree is made and published once, below TMPDIR or /tmp.
 */
#include "tests/fuzz/fuzz.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <linux/fuse.h>
#include <sched.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cache/base/clock.h"
#include "cache/base/io.h"
#include "cache/base/log.h"
#include "cache/net/origin.h"
#include "fs/format/ref.h"
#include "fs/mount/mount.h"
#include "fs/mount/passthrough.h"
#include "fs/mount/worker.h"
#include "fs/publish/publish.h"

enum {
	NODES_MAX = 800,
	READ_MAX = 128 << 10, /* of one request: fits the socket */
	FLIGHT_MAX = 6,       /* requests under way */
	STEPS_MAX = 40,
	REPLY_MAX = READ_MAX + 4096,
};

/* ---- the model ---- */

/* In pre-order, so that entry i has the number i + 1. */
struct node {
	char name[256], *path;
	enum tree_kind kind;
	uint64_t size;
	const char *target;
	bool refused;           /* the link leaves the tree */
	unsigned parent, below; /* entries below */
	struct digest digest;
};

static struct node nodes[NODES_MAX];
static unsigned nnodes;
static char home[64];
static bool away;   /* packs are gone */
static bool faulty; /* they were, since the last request was answered */

static unsigned char
byte_of(unsigned i, uint64_t off)
{
	return (unsigned char)((off * 2654435761U + i * 40503U) >> 13);
}

static unsigned
enter(unsigned parent, const char *name, enum tree_kind kind, uint64_t size)
{
	struct node *n = &nodes[nnodes];

	assert(nnodes < NODES_MAX);
	(void)snprintf(n->name, sizeof(n->name), "%s", name);
	n->kind = kind;
	n->size = size;
	n->parent = parent;
	if (asprintf(&n->path, "%s%s%s",
		nnodes == 0 ? home : nodes[parent].path,
		nnodes == 0 ? "/" : "/", nnodes == 0 ? "d" : name) < 0)
		abort();
	return nnodes++;
}

static void
leave(unsigned dir)
{
	nodes[dir].below = nnodes - dir - 1;
}

static void
add_link(unsigned dir, const char *name, const char *target, bool refused)
{
	unsigned i = enter(dir, name, TREE_SYMLINK, strlen(target));

	nodes[i].target = target;
	nodes[i].refused = refused;
}

/* Names ascend by bytes in each directory. */
static void
plant(void)
{
	static const uint64_t sizes[] = { 0, 1, 4095, 4096, 4097, 70000,
		1 << 20, (1 << 20) + 1, 3000001 };
	unsigned root = enter(0, "", TREE_DIR, 0), dir, sub;
	char name[256];

	dir = enter(root, "a", TREE_DIR, 0);
	for (unsigned i = 0; i < 400; i++) {
		(void)snprintf(name, sizeof(name), "%03u", i);
		(void)enter(dir, name, i % 5 == 0 ? TREE_EXEC : TREE_FILE,
		    i % 7 * 300);
	}
	leave(dir);
	(void)enter(root, "a.txt", TREE_FILE, 77);
	(void)enter(root, "a0", TREE_EXEC, 5);
	dir = enter(root, "b", TREE_DIR, 0);
	for (unsigned i = 0; i < 5; i++) {
		(void)snprintf(name, sizeof(name), "%u", i);
		sub = enter(dir, name, TREE_DIR, 0);
		for (unsigned k = 0; k < 20; k++) {
			(void)snprintf(name, sizeof(name), "x%02u", k);
			(void)enter(sub, name, TREE_FILE, k * 997 + i);
		}
		leave(sub);
	}
	leave(dir);
	leave(enter(root, "empty", TREE_DIR, 0));
	add_link(root, "l-in", "b/3/x07", false);
	add_link(root, "l-out", "../etc/passwd", true);
	add_link(root, "l-slash", "/etc/passwd", true);
	memset(name, 'n', 255);
	name[255] = '\0';
	(void)enter(root, name, TREE_FILE, 255);
	dir = enter(root, "sizes", TREE_DIR, 0);
	for (unsigned i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		(void)snprintf(name, sizeof(name), "%u", i);
		(void)enter(dir, name, TREE_FILE, sizes[i]);
	}
	leave(dir);
	(void)enter(root, "\xc3\xa4\xff", TREE_FILE, 3);
	leave(root);
}

static void
write_file(struct node *n, unsigned i)
{
	unsigned char *data = malloc(n->size + 1);
	int fd = open(n->path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC,
	    n->kind == TREE_EXEC ? 0755 : 0644);

	assert(data != NULL && fd >= 0);
	for (uint64_t off = 0; off < n->size; off++)
		data[off] = byte_of(i, off);
	digest_of(&n->digest, data, n->size);
	assert(dm_write_full(fd, data, n->size) == 0);
	(void)close(fd);
	free(data);
}

static void
write_tree(void)
{
	for (unsigned i = 0; i < nnodes; i++) {
		struct node *n = &nodes[i];

		if (n->kind == TREE_DIR)
			assert(mkdir(n->path, 0755) == 0);
		else if (n->kind == TREE_SYMLINK)
			assert(symlink(n->target, n->path) == 0);
		else
			write_file(n, i);
	}
}

/* Child number k of a directory, or 0: there are not so many. */
static unsigned
child(unsigned dir, uint64_t k)
{
	unsigned i = dir + 1, end = dir + nodes[dir].below;

	for (; i <= end && k > 0; k--)
		i += 1 + nodes[i].below;
	return i <= end ? i : 0;
}

static unsigned
find(unsigned dir, const char *name)
{
	for (unsigned i = dir + 1; i <= dir + nodes[dir].below;
	     i += 1 + nodes[i].below)
		if (strcmp(nodes[i].name, name) == 0)
			return i;
	return 0;
}

/* ---- the worker ---- */

static struct worker w;
static struct mount_spec spec;
static int kernel_end, worker_end;
static char repo[96];
static uint64_t next_unique = 2;

static int
remove_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
	(void)st;
	(void)at;
	return type == FTW_DP ? rmdir(path) : unlink(path);
}

static void
clean_up(void)
{
	version_close(w.version);
	cache_close(w.cache);
	net_close(w.net);
	origin_close(w.origin);
	(void)nftw(home, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static void
ignore_progress(void *arg, uint64_t files, uint64_t bytes)
{
	(void)arg;
	(void)files;
	(void)bytes;
}

static void
ignore_warning(void *arg, const char *text)
{
	(void)arg;
	(void)text;
}

static void
publish(void)
{
	static struct dm_buf text = DM_BUF(DM_COMMIT_MAX);
	char id[REPO_ID_HEX + 1], dir[96], path[256], hex[DIGEST_HEX + 1];
	struct publish_result r;
	bool found = false;
	struct dm_err err;
	struct publish_options opt = {
		.dir = dir,
		.repo = repo,
		.branch = "main",
		.message = "m",
		.time = 1445412000,
		.cache_dir = spec.cache_dir,
		.all_symlinks = true,
		.progress = ignore_progress,
		.warn = ignore_warning,
	};

	(void)snprintf(dir, sizeof(dir), "%s/d", home);
	(void)snprintf(repo, sizeof(repo), "%s/repo", home);
	MUST(publish_init(repo, id, &err));
	MUST(publish_commit(&opt, &r, &err));
	spec.pin.commit = r.commit;
	digest_hex(&r.commit, hex);
	(void)snprintf(path, sizeof(path), "%s/commits/%.2s/%s", repo, hex,
	    hex);
	MUST(dm_file_read(AT_FDCWD, path, &text, &found, &err));
	spec.commit = text.data;
	spec.commit_size = text.size;
	(void)snprintf(spec.pin.repository[0], sizeof(spec.pin.repository[0]),
	    "%s", repo);
	spec.pin.nrepositories = 1;
}

static void
open_version(void)
{
	static const struct version_options opt = { .pages = 1 << 16 };
	struct dm_err err;

	MUST(version_open(&w.version, w.cache, w.origin, &w.commit, &opt,
	    &err));
	version_root(w.version, &w.root);
}

static void
init_session(struct dm_err *err)
{
	struct {
		struct fuse_in_header h;
		struct fuse_init_in in;
	} init = {
		.h = { .len = sizeof(init), .opcode = FUSE_INIT, .unique = 1 },
		.in = { .major = FUSE_KERNEL_VERSION,
		    .minor = FUSE_KERNEL_MINOR_VERSION,
		    .max_readahead = READ_MAX,
		    .flags = UINT32_MAX & ~(uint32_t)FUSE_INIT_EXT },
	};
	struct fuse_buf buf = { .size = sizeof(init), .mem = &init };
	char reply[4096];

	MUST(worker_session(&w, err));
	fuse_session_process_buf(w.session, &buf);
	assert(recv(kernel_end, reply, sizeof(reply), 0) > 0);
}

/* As worker_main() does it. */
static void
set_up(void)
{
	static const struct net_options net;
	struct cache_options cache = { .dir = spec.cache_dir };
	struct dm_err err = { 0 };

	w.start.fuse_fd = dup(worker_end);
	assert(w.start.fuse_fd >= 0);
	MUST(task_pool_init(&w.pool, &w, &err));
	init_session(&err);
	MUST(net_open(&w.net, &net, &err));
	MUST(origin_open(&w.origin, w.net, repo, &err));
	MUST(cache_open(&w.cache, &cache, &err));
	open_version();
	MUST(opens_init(&w.opens, w.start.fuse_fd, w.start.shared, w.cache,
	    &err));
}

/* The worker is gone, and answers nothing any more. */
static void
lose(void)
{
	struct task_pool *p = &w.pool;
	unsigned waiting, woken;

	for (unsigned i = 0; i < atomic_load(&w.start.shared->nslots); i++)
		if (atomic_load(&p->tasks[i].state) != TASK_FREE)
			cache_wait_cancel(w.cache, &p->tasks[i].wait);
	do {
		woken = 0;
		dm_lock(&p->run_mu);
		waiting = p->parked;
		for (const struct task *t = p->head; t != NULL; t = t->next)
			woken++;
		dm_unlock(&p->run_mu);
	} while (woken < waiting && sched_yield() == 0);
	for (struct task *t = p->head, *next; t != NULL; t = next) {
		next = t->next;
		task_settle(t);
		fuse_reply_none(t->req);
	}
	fuse_session_destroy(w.session);
	opens_release(&w.opens);
	version_close(w.version);
	cache_close(w.cache);
	net_close(w.net);
	origin_close(w.origin);
	task_pool_release(p);
	w.pool = (struct task_pool){ 0 };
	memset(w.late, 0, sizeof(w.late));
	w.late_next = 0;
	atomic_store(&w.late_until_ms, 0);
}

static void
start(void)
{
	struct dm_err err = { 0 };
	int pair[2], room = 4 << 20;

	dm_log_setup(DM_LOG_ERROR, 0);
	(void)snprintf(home, sizeof(home), "%.40s/dm-fuzz.XXXXXX",
	    getenv("TMPDIR") != NULL ? getenv("TMPDIR") : "/tmp");
	assert(mkdtemp(home) != NULL);
	(void)atexit(clean_up);
	(void)snprintf(spec.cache_dir, sizeof(spec.cache_dir), "%s/cache",
	    home);
	plant();
	write_tree();
	publish();
	spec.io = MOUNT_IO_DAEMON;
	spec.timeout_ms = 60000;
	assert(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) ==
	    0);
	(void)setsockopt(pair[0], SOL_SOCKET, SO_SNDBUF, &room, sizeof(room));
	kernel_end = pair[1];
	worker_end = pair[0];
	w.start.spec = &spec;
	w.start.order_fd = -1;
	MUST(shared_new(&w.start.shared, &err));
	dm_mutex_init(&w.fault_mu, DM_RANK_WORKER);
	MUST(commit_decode(&w.commit, spec.commit, spec.commit_size, &err));
	w.threads[0].worker = &w;
	w.threads[0].buf = malloc(WORKER_IO_MAX);
	assert(w.threads[0].buf != NULL);
	set_up();
}

/* ---- the input ---- */

struct input {
	const uint8_t *at, *end;
};

static unsigned
take(struct input *in, unsigned below)
{
	unsigned n = 0;

	for (int i = 0; i < (below > 256 ? 2 : 1); i++)
		n = n << 8 | (in->at < in->end ? *in->at++ : 0U);
	return n % below;
}

static unsigned
take_node(struct input *in, enum tree_kind kind)
{
	unsigned i = take(in, nnodes);

	while (nodes[i].kind != kind)
		i = (i + 1) % nnodes;
	return i;
}

/* ---- requests ---- */

struct asked {
	uint64_t unique; /* 0: none */
	uint32_t opcode;
	unsigned node;
	uint64_t off;
	uint32_t size;
	char name[300];
	bool may_fail, may_be_cut; /* a fault; an interrupt */
	unsigned deaths;           /* of workers, by their own doing */
};

static struct asked flight[FLIGHT_MAX];

/* The last one that was answered at once.  A worker may be lost before it has
 * noted that: the next one answers again, and nobody hears it. */
static struct {
	uint64_t unique;
	unsigned slot;
} answered;
static uint64_t owed; /* what is answered again */

/* Put a request into a slot, and run it as far as it goes. */
static void
send_request(const struct asked *a, const void *in, size_t size)
{
	struct fuse_in_header h = {
		.len = (uint32_t)(sizeof(h) + size),
		.opcode = a->opcode,
		.unique = a->unique,
		.nodeid = a->node + 1,
	};
	struct shared *s = w.start.shared;
	unsigned slot;

	assert(task_take(&w.pool, &slot));
	if (atomic_load(&s->nslots) <= slot)
		atomic_store(&s->nslots, slot + 1);
	memcpy(s->slots[slot], &h, sizeof(h));
	memcpy(s->slots[slot] + sizeof(h), in, size);
	answered.unique = 0;
	if (worker_handle(&w.threads[0], slot)) {
		if (a->opcode != FUSE_FORGET && a->opcode != FUSE_INTERRUPT)
			answered.unique = a->unique;
		answered.slot = slot;
		task_give(&w.pool, slot);
	}
}

static void check(const struct asked *a, int error, const char *data,
    size_t size);

/* Take the answers that are there. */
static void
receive(void)
{
	static char reply[REPLY_MAX];
	struct fuse_out_header h;
	ssize_t n;

	while ((n = recv(kernel_end, reply, sizeof(reply), MSG_DONTWAIT)) > 0) {
		struct asked *a = flight;

		assert(n >= (ssize_t)sizeof(h));
		memcpy(&h, reply, sizeof(h));
		assert(h.len == (size_t)n);
		while (a < flight + FLIGHT_MAX && a->unique != h.unique)
			a++;
		if (a == flight + FLIGHT_MAX && h.unique == owed) {
			owed = 0;
			continue;
		}
		assert(a < flight + FLIGHT_MAX);
		check(a, -h.error, reply + sizeof(h), (size_t)n - sizeof(h));
		a->unique = 0;
	}
}

static unsigned
under_way(void)
{
	unsigned n = 0;

	receive();
	for (int i = 0; i < FLIGHT_MAX; i++)
		n += flight[i].unique != 0;
	return n;
}

/* Run what waits until no more than n requests are under way. */
static void
settle(unsigned n)
{
	while (under_way() > n || (n == 0 && owed != 0))
		assert(task_run_next(&w.pool, &w.threads[0]));
}

static void
ask(struct asked *a, const void *in, size_t size)
{
	struct asked *free_one = flight;

	settle(FLIGHT_MAX - 1);
	while (free_one->unique != 0)
		free_one++;
	a->unique = next_unique += 2;
	a->may_fail = faulty;
	*free_one = *a;
	send_request(a, in, size);
	receive();
}

/* ---- answers ---- */

static void
check_attr(unsigned i, const struct fuse_attr *attr)
{
	static const uint32_t modes[] = { [TREE_FILE] = S_IFREG | 0444,
		[TREE_EXEC] = S_IFREG | 0555,
		[TREE_DIR] = S_IFDIR | 0555,
		[TREE_SYMLINK] = S_IFLNK | 0777 };

	assert(attr->ino == i + 1 && attr->mode == modes[nodes[i].kind]);
	assert(nodes[i].kind == TREE_DIR || attr->size == nodes[i].size);
	assert(attr->mtime == 1445412000);
}

static void
check_entry(unsigned i, const struct fuse_entry_out *e)
{
	assert(e->nodeid == (i == 0 ? 0 : i + 1));
	if (i > 0)
		check_attr(i, &e->attr);
}

/* Entry k of a listing, dots included: its number, or 0 behind the end. */
static uint64_t
listed(unsigned dir, uint64_t k, const char **name)
{
	unsigned i;

	*name = k == 0 ? "." : "..";
	if (k < 2)
		return (k == 0 ? dir : nodes[dir].parent) + 1;
	i = child(dir, k - 2);
	*name = nodes[i].name;
	return i == 0 ? 0 : i + 1;
}

static void
check_list(const struct asked *a, const char *data, size_t size)
{
	bool plus = a->opcode == FUSE_READDIRPLUS;
	size_t head = plus ? offsetof(struct fuse_direntplus, dirent) : 0;
	uint64_t k = a->off, ino;
	const char *name;

	assert(size <= a->size);
	for (size_t at = 0; at < size; k++) {
		struct fuse_direntplus d = { 0 };

		ino = listed(a->node, k, &name);
		assert(ino != 0);
		assert(size - at >= head + FUSE_NAME_OFFSET + strlen(name));
		memcpy((char *)&d + offsetof(struct fuse_direntplus, dirent) -
			head,
		    data + at, head + FUSE_NAME_OFFSET);
		assert(d.dirent.off == k + 1 && d.dirent.ino == ino);
		assert(d.dirent.namelen == strlen(name));
		assert(memcmp(data + at + head + FUSE_NAME_OFFSET, name,
			   strlen(name)) == 0);
		if (plus && k >= 2)
			check_entry((unsigned)ino - 1, &d.entry_out);
		at += FUSE_DIRENT_ALIGN(head + FUSE_NAME_OFFSET +
		    d.dirent.namelen);
	}
	/* It ends where the directory does, or the room. */
	ino = listed(a->node, k, &name);
	assert(ino == 0 ||
	    size + FUSE_DIRENT_ALIGN(head + FUSE_NAME_OFFSET + strlen(name)) >
		a->size);
}

static void
check_read(const struct asked *a, const char *data, size_t size)
{
	uint64_t left =
	    a->off < nodes[a->node].size ? nodes[a->node].size - a->off : 0;

	assert(size == (left < a->size ? left : a->size));
	for (size_t i = 0; i < size; i++)
		assert((unsigned char)data[i] == byte_of(a->node, a->off + i));
}

static void
check_xattr(const struct asked *a, int error, const char *data, size_t size)
{
	enum tree_kind kind = nodes[a->node].kind;
	char hex[DIGEST_HEX + 1];

	if (strncmp(a->name, "user.", 5) != 0) {
		assert(error == EOPNOTSUPP);
		return;
	}
	if (strcmp(a->name, "user.datamount.digest") != 0 ||
	    (kind != TREE_FILE && kind != TREE_EXEC)) {
		assert(error == ENODATA || error == 0 || error == ERANGE);
		return;
	}
	digest_hex(&nodes[a->node].digest, hex);
	if (a->size == 0)
		assert(error == 0 &&
		    ((const struct fuse_getxattr_out *)(const void *)data)
			    ->size == DIGEST_HEX);
	else if (a->size < DIGEST_HEX)
		assert(error == ERANGE);
	else
		assert(error == 0 && size == DIGEST_HEX &&
		    memcmp(data, hex, size) == 0);
}

static void
check_done(const struct asked *a, int error, const char *data, size_t size)
{
	const struct node *n = &nodes[a->node];
	struct fuse_statfs_out st;

	switch (a->opcode) {
	case FUSE_LOOKUP:
		assert(size == sizeof(struct fuse_entry_out));
		check_entry(find(a->node, a->name), (const void *)data);
		break;
	case FUSE_GETATTR:
		check_attr(a->node,
		    &((const struct fuse_attr_out *)(const void *)data)->attr);
		break;
	case FUSE_READDIR:
	case FUSE_READDIRPLUS:
		check_list(a, data, size);
		break;
	case FUSE_READ:
		check_read(a, data, size);
		break;
	case FUSE_READLINK:
		assert(!n->refused && size == n->size &&
		    memcmp(data, n->target, size) == 0);
		break;
	case FUSE_STATFS:
		memcpy(&st, data, sizeof(st));
		assert(st.st.files == nnodes);
		break;
	default:
		assert(error != 0);
	}
}

/* What must fail, and with what; 0: it must not. */
static int
refusal(const struct asked *a)
{
	switch (a->opcode) {
	case FUSE_LOOKUP:
		return strlen(a->name) > 255 ? ENAMETOOLONG : 0;
	case FUSE_READLINK:
		return nodes[a->node].refused ? EACCES : 0;
	case FUSE_OPEN:
	case FUSE_OPENDIR:
	case FUSE_LISTXATTR:
	case FUSE_ACCESS:
		return ENOSYS;
	case FUSE_UNLINK:
	case FUSE_WRITE:
	case FUSE_REMOVEXATTR:
		return EROFS;
	case FUSE_RELEASE:
	default:
		return 0;
	}
}

static void
check(const struct asked *a, int error, const char *data, size_t size)
{
	int want = refusal(a);

	if (a->may_fail && (error == EIO || error == ETIMEDOUT))
		return;
	if (a->may_be_cut && error == EINTR)
		return;
	if (a->opcode == FUSE_GETXATTR) {
		check_xattr(a, error, data, size);
		return;
	}
	if (error != want)
		(void)fprintf(stderr, "request %u of %s: %d, not %d\n",
		    a->opcode, nodes[a->node].path, error, want);
	assert(error == want);
	if (error == 0 && a->opcode != FUSE_RELEASE)
		check_done(a, error, data, size);
}

/* ---- steps ---- */

static void
step_lookup(struct input *in)
{
	struct asked a = { .opcode = FUSE_LOOKUP,
		.node = take_node(in, TREE_DIR) };
	unsigned other = take(in, nnodes);

	switch (take(in, 6)) {
	case 0:
		(void)snprintf(a.name, sizeof(a.name), "%s", nodes[other].name);
		break;
	case 1:
		(void)snprintf(a.name, sizeof(a.name), ".git");
		break;
	case 2:
		(void)snprintf(a.name, sizeof(a.name), "%.1s",
		    nodes[other].name);
		break;
	case 3:
		memset(a.name, 'n', 255 + take(in, 2));
		break;
	default:
		if (nodes[a.node].below > 0)
			(void)snprintf(a.name, sizeof(a.name), "%s",
			    nodes[a.node + 1 + other % nodes[a.node].below]
				.name);
	}
	ask(&a, a.name, strlen(a.name) + 1);
}

static void
step_list(struct input *in)
{
	struct asked a = {
		.opcode = take(in, 2) == 0 ? FUSE_READDIR : FUSE_READDIRPLUS,
		.node = take_node(in, TREE_DIR),
	};
	struct fuse_read_in r = { 0 };

	a.off = take(in, nodes[a.node].below + 8);
	a.size = take(in, 4) == 0 ? take(in, 600) : 4096 * (1 + take(in, 16));
	r.offset = a.off;
	r.size = a.size;
	ask(&a, &r, sizeof(r));
}

static void
step_read(struct input *in)
{
	struct asked a = {
		.opcode = FUSE_READ,
		.node = take_node(in, take(in, 4) == 0 ? TREE_EXEC : TREE_FILE),
	};
	struct fuse_read_in r = { 0 };

	if (take(in, 3) == 0) /* a large one */
		a.node = nnodes - 2 - take(in, 4);
	a.off = (uint64_t)take(in, 3000) * nodes[a.node].size / 2900;
	a.size = take(in, 2) == 0 ? take(in, 5000) : READ_MAX;
	r.offset = a.off;
	r.size = a.size;
	ask(&a, &r, sizeof(r));
}

static void
step_xattr(struct input *in)
{
	static const char *const names[] = { "user.datamount.digest",
		"user.datamount.cached", "user.datamount.chunks",
		"user.datamount.commit", "user.datamount.error", "user.x",
		"security.capability", "user." };
	struct asked a = { .opcode = FUSE_GETXATTR, .node = take(in, nnodes) };
	const char *name = names[take(in, 8)];
	struct {
		struct fuse_getxattr_in in;
		char name[64];
	} x = { 0 };

	(void)snprintf(a.name, sizeof(a.name), "%s", name);
	a.size = take(in, 3) == 0 ? 0 : take(in, 100);
	x.in.size = a.size;
	(void)snprintf(x.name, sizeof(x.name), "%s", name);
	ask(&a, &x, sizeof(x.in) + strlen(x.name) + 1);
}

static void
step_other(struct input *in)
{
	static const uint32_t opcodes[] = { FUSE_GETATTR, FUSE_READLINK,
		FUSE_STATFS, FUSE_OPEN, FUSE_OPENDIR, FUSE_LISTXATTR,
		FUSE_ACCESS, FUSE_RELEASE, FUSE_WRITE, FUSE_UNLINK,
		FUSE_REMOVEXATTR };
	struct asked a = {
		.opcode = opcodes[take(in, sizeof(opcodes) / sizeof(uint32_t))],
		.node = take(in, nnodes),
	};
	char zeros[64] = { 0 };

	if (a.opcode == FUSE_READLINK)
		a.node = take_node(in, TREE_SYMLINK);
	if (a.opcode == FUSE_UNLINK || a.opcode == FUSE_REMOVEXATTR)
		zeros[0] = 'x';
	ask(&a, zeros, sizeof(zeros));
}

/* Nobody answers these. */
static void
step_forget(struct input *in)
{
	struct asked a = { .opcode = FUSE_FORGET, .node = take(in, nnodes) };
	struct fuse_forget_in f = { .nlookup = 1 + take(in, 256) };

	a.unique = next_unique += 2;
	send_request(&a, &f, sizeof(f));
}

static void
step_interrupt(struct input *in)
{
	struct asked a = { .opcode = FUSE_INTERRUPT },
		     *of = &flight[take(in, FLIGHT_MAX)];
	struct fuse_interrupt_in i = { .unique = of->unique };

	if (of->unique == 0)
		return;
	of->may_be_cut = true;
	a.unique = of->unique | 1;
	send_request(&a, &i, sizeof(i));
	receive();
}

/* ---- what happens to files meanwhile ---- */

static unsigned chosen, seen;
static bool damaging;

static int
harm_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
	int fd;

	(void)at;
	if (type != FTW_F || strstr(path, "/blobs/") == NULL ||
	    seen++ % 4 != chosen % 4)
		return 0;
	if (!damaging)
		return unlink(path);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	assert(fd >= 0);
	if (chosen % 8 < 4)
		assert(ftruncate(fd, st->st_size / 2) == 0);
	else
		assert(pwrite(fd, "damaged", 7, st->st_size / 3) == 7);
	return close(fd);
}

static void
step_harm(struct input *in)
{
	damaging = take(in, 2) == 0;
	chosen = take(in, 8);
	seen = 0;
	(void)nftw(spec.cache_dir, harm_one, 16, FTW_PHYS);
}

static void
set_faults(bool on)
{
	char packs[128], aside[128];

	if (on == away)
		return;
	(void)snprintf(packs, sizeof(packs), "%s/repo/packs", home);
	(void)snprintf(aside, sizeof(aside), "%s/repo/away", home);
	assert(rename(on ? packs : aside, on ? aside : packs) == 0);
	away = on;
	if (on)
		faulty = true;
	for (int i = 0; on && i < FLIGHT_MAX; i++)
		flight[i].may_fail = true;
}

static void
step_faults(struct input *in)
{
	bool on = take(in, 2) == 0;

	if (on == away)
		return;
	/* What was asked before they went may fail, also later. */
	if (!on)
		settle(0);
	set_faults(on);
	faulty = on;
}

static void
step_open_anew(void)
{
	settle(0);
	version_close(w.version);
	open_version();
}

/* Does the slot hold one that is under way? */
static struct asked *
held(unsigned slot)
{
	struct fuse_in_header h;

	memcpy(&h, w.start.shared->slots[slot], sizeof(h));
	for (int i = 0; i < FLIGHT_MAX; i++)
		if (h.unique != 0 && flight[i].unique == h.unique)
			return &flight[i];
	return NULL;
}

/* Nobody has noted that the last request was answered. */
static void
owe_again(void)
{
	struct fuse_in_header h;
	char *slot = w.start.shared->slots[answered.slot];

	memcpy(&h, slot, sizeof(h));
	if (h.unique != 0)
		return; /* another has the slot by now */
	owed = h.unique = answered.unique;
	memcpy(slot, &h, sizeof(h));
}

/* The worker is killed, or dies of what it was running, and another one goes
 * on with what is left. */
static void
step_restart(struct input *in)
{
	struct shared *s = w.start.shared;
	bool own_doing = take(in, 2) == 0;

	receive();
	lose();
	for (unsigned i = 0; i < atomic_load(&s->nslots); i++) {
		struct asked *a = held(i);

		/* one that three died of fails */
		if (a != NULL && own_doing && take(in, 2) == 0) {
			s->notes[i].begun = 1;
			a->may_fail |= ++a->deaths >= SHARED_DEATHS_MAX;
		}
	}
	if (answered.unique != 0 && owed == 0 && take(in, 2) == 0)
		owe_again();
	shared_bury(s, own_doing);
	set_up();
	worker_replay(&w.threads[0]);
	receive();
}

static void
step(struct input *in)
{
	switch (take(in, 32)) {
	case 0:
	case 1:
	case 2:
	case 3:
	case 4:
		step_lookup(in);
		break;
	case 5:
	case 6:
	case 7:
	case 8:
	case 9:
		step_list(in);
		break;
	case 10:
	case 11:
	case 12:
		step_xattr(in);
		break;
	case 13:
	case 14:
	case 15:
		step_other(in);
		break;
	case 16:
		step_forget(in);
		break;
	case 17:
		step_interrupt(in);
		break;
	case 18:
		step_harm(in);
		break;
	case 19:
		step_faults(in);
		break;
	case 20:
		step_open_anew();
		break;
	case 21:
		if (take(in, 4) > 0)
			settle(0);
		else
			step_restart(in);
		break;
	default:
		step_read(in);
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = { data, data + size };

	if (nnodes == 0)
		start();
	for (int i = 0; i < STEPS_MAX && in.at < in.end; i++)
		step(&in);
	settle(0);
	set_faults(false);
	faulty = false;
	return 0;
}
