/* cache: right bytes, fetched once, whatever happens to the disk. */
#include "tests/unit/cache_fixture.h"

#include <stdatomic.h>
#include <sys/statvfs.h>

#include "cache/store/index.h"

static void
test_a_second_read_asks_the_origin_nothing(void **state)
{
	struct fixture *f = *state;
	struct packed p = { .n = 20, .size = 10000, .seed = 1 };

	make_pack(f, &p);
	read_all(f, &p);
	assert_true(httpd_count(f->httpd, "/packs/*") <= 2);
	httpd_forget(f->httpd);
	read_all(f, &p);
	reopen(f);
	read_all(f, &p);
	assert_int_equal(httpd_count(f->httpd, "*"), 0);
}

static void
test_parts_of_large_objects_are_read(void **state)
{
	struct fixture *f = *state;
	struct packed p = { .n = 3, .size = 700000, .seed = 5 };

	make_pack(f, &p);
	for (int run = 0; run < 2; run++) {
		for (uint32_t off = 0; off < p.size; off += 131072) {
			uint32_t left = p.size - off;

			assert_int_equal(read_part(f, f->cache, &p, 1, off,
					     left < 131072 ? left : 131072,
					     NULL),
			    DM_OK);
		}
		reopen(f);
	}
	assert_int_equal(httpd_count(f->httpd, "/packs/*"), 2);
}

struct reader {
	struct fixture *f;
	struct packed *p;
	pthread_t thread;
	enum dm_code code;
};

static void *
reader_main(void *arg)
{
	struct reader *r = arg;

	r->code = read_whole(r->f, r->f->cache, r->p, 0);
	return NULL;
}

static void
test_eight_readers_of_one_cold_piece_cause_one_request(void **state)
{
	struct fixture *f = *state;
	struct packed p = { .n = 1, .size = 300000, .seed = 3 };
	struct reader r[8];

	make_pack(f, &p);
	OK(httpd_rule(f->httpd, "/packs/* 2 barrier=all", &err));
	for (int i = 0; i < 8; i++) {
		r[i] = (struct reader){ .f = f, .p = &p };
		assert_int_equal(pthread_create(&r[i].thread, NULL, reader_main,
				     &r[i]),
		    0);
	}
	OK(httpd_wait(f->httpd, "/packs/*", 2, &err));
	for (struct cache_counts n = { 0 }; n.waiting < 8;)
		cache_counts(f->cache, &n);
	httpd_release(f->httpd, "all");
	for (int i = 0; i < 8; i++) {
		pthread_join(r[i].thread, NULL);
		assert_int_equal(r[i].code, DM_OK);
	}
	/* the directory, the piece */
	assert_int_equal(httpd_count(f->httpd, "/packs/*"), 2);
}

/* ---- damage on disk ---- */

static void
cache_files(const struct fixture *f, void (*each)(const char *path))
{
	char command[160], line[512];
	FILE *list;

	(void)snprintf(command, sizeof(command), "find %s -type f", f->dir);
	list = popen(command, "r");
	assert_non_null(list);
	while (fgets(line, sizeof(line), list) != NULL) {
		line[strcspn(line, "\n")] = '\0';
		each(line);
	}
	(void)pclose(list);
}

static off_t
size_of(const char *path)
{
	struct stat st;

	return stat(path, &st) < 0 ? -1 : st.st_size;
}

/* Change the byte at off without leaving a trace but the ctime. */
static void
flip(const char *path, off_t off)
{
	int fd = open(path, O_RDWR);
	uint8_t byte = 0;

	assert_true(fd >= 0);
	assert_true(pread(fd, &byte, 1, off) >= 0);
	byte ^= 0x55;
	assert_int_equal(pwrite(fd, &byte, 1, off), 1);
	close(fd);
}

static void
use_folder(struct fixture *f)
{
	origin_close(f->origin);
	OK(origin_open(&f->origin, f->net, f->repo, &err));
}

static void
test_any_flipped_byte_of_the_cache_is_healed(void **state)
{
	static const char *const suffix[] = { "", ".map", ".dir" };
	struct fixture *f = *state;
	struct packed p = { .n = 4, .size = 300, .seed = 11 };
	char path[256];

	use_folder(f);
	make_pack(f, &p);
	read_all(f, &p);
	for (int i = 0; i < 3; i++) {
		cached_path(path, f, &p, suffix[i]);
		for (off_t off = 0; off < size_of(path); off++) {
			flip(path, off);
			reopen(f);
			read_all(f, &p);
		}
	}
}

static void
test_large_pieces_damaged_while_in_use_are_healed(void **state)
{
	struct fixture *f = *state;
	struct packed p = { .n = 3, .size = 200001, .seed = 21 };
	struct cache_counts n;
	char path[256];

	make_pack(f, &p);
	read_all(f, &p);
	cached_path(path, f, &p, "");
	for (uint32_t i = 0; i < 30; i++) {
		flip(path, (off_t)(i * 20011));
		read_all(f, &p);
	}
	cache_counts(f->cache, &n);
	assert_int_equal(n.bad_disk, 30);
}

static void
truncate_it(const char *path)
{
	assert_int_equal(truncate(path, size_of(path) / 2), 0);
}

static void
zero_it(const char *path)
{
	off_t size = size_of(path);

	assert_int_equal(truncate(path, 0), 0);
	assert_int_equal(truncate(path, size), 0);
}

static void
remove_it(const char *path)
{
	assert_int_equal(unlink(path), 0);
}

static void
link_it(const char *path)
{
	assert_int_equal(unlink(path), 0);
	assert_int_equal(symlink("/etc/passwd", path), 0);
}

static void
make_directory_of_it(const char *path)
{
	assert_int_equal(unlink(path), 0);
	assert_int_equal(mkdir(path, 0700), 0);
}

static void
make_fifo_of_it(const char *path)
{
	assert_int_equal(unlink(path), 0);
	assert_int_equal(mkfifo(path, 0600), 0);
}

static void
grow_it(const char *path)
{
	assert_int_equal(truncate(path, size_of(path) + 5000), 0);
}

static void
exchange_it(const char *path)
{
	char command[600];

	(void)snprintf(command, sizeof(command),
	    "cp %s %s.x && mv %s.x %s && head -c 9999 /dev/urandom |"
	    " dd of=%s conv=notrunc status=none ||"
	    " ! test -e %s", /* the cache itself renames a bad index */
	    path, path, path, path, path, path);
	assert_int_equal(system(command), 0);
}

static void
damage_and_read(struct fixture *f, const struct packed *p,
    void (*damage)(const char *path))
{
	for (int i = 0; i < 2; i++) {
		cache_files(f, damage);
		read_all(f, p); /* in the same run */
		reopen(f);
		read_all(f, p);
		cache_files(f, damage);
		reopen(f);
		read_all(f, p);
	}
}

static void
damage_both(struct fixture *f, void (*damage)(const char *path))
{
	struct packed small = { .n = 30, .size = 1000, .seed = 31 };
	struct packed large = { .n = 3, .size = 150000, .seed = 41 };

	make_pack(f, &small);
	make_pack(f, &large);
	read_all(f, &small);
	read_all(f, &large);
	damage_and_read(f, &small, damage);
	damage_and_read(f, &large, damage);
}

#define DAMAGED(name, damage)                 \
	static void test_##name(void **state) \
	{                                     \
		damage_both(*state, damage);  \
	}
DAMAGED(files_cut_short_are_fetched_again, truncate_it)
DAMAGED(files_of_zeros_are_fetched_again, zero_it)
DAMAGED(files_that_were_removed_are_fetched_again, remove_it)
DAMAGED(files_replaced_by_links_are_fetched_again, link_it)
DAMAGED(files_replaced_by_directories_are_fetched_again, make_directory_of_it)
DAMAGED(files_replaced_by_pipes_are_fetched_again, make_fifo_of_it)
DAMAGED(files_that_grew_are_harmless, grow_it)
DAMAGED(files_exchanged_for_others_are_fetched_again, exchange_it)

/* Where the count of the cache should be, and the index of it. */
static void
test_a_cache_whose_own_files_are_pipes_goes_on_storing(void **state)
{
	static const char *const own[] = { "usage", INDEX_FILE };
	struct fixture *f = *state;
	struct packed p = { .n = 30, .size = 1000, .seed = 51 };
	char path[256];
	struct stat st;

	cache_close(f->cache);
	for (size_t i = 0; i < sizeof(own) / sizeof(own[0]); i++) {
		(void)snprintf(path, sizeof(path), "%s/%s", f->dir, own[i]);
		(void)unlink(path); /* it may not be there yet */
		assert_int_equal(mkfifo(path, 0600), 0);
	}
	open_cache_at(f, &f->cache, 10000);
	make_pack(f, &p);
	read_all(f, &p);
	cached_path(path, f, &p, "");
	assert_true(size_of(path) == 30 * 1000);
	(void)snprintf(path, sizeof(path), "%s/usage", f->dir);
	assert_int_equal(lstat(path, &st), 0);
	assert_true(S_ISREG(st.st_mode));
}

static void
test_a_removed_cache_is_made_again(void **state)
{
	struct fixture *f = *state;
	struct packed p = { .n = 5, .size = 100000, .seed = 51 };
	char command[160], path[256];

	make_pack(f, &p);
	read_all(f, &p);
	(void)snprintf(command, sizeof(command), "rm -rf %s", f->dir);
	assert_int_equal(system(command), 0);
	read_all(f, &p);
	read_all(f, &p);
	cached_path(path, f, &p, "");
	assert_true(size_of(path) > 0);
}

static void
test_a_directory_that_cannot_be_removed_is_looked_at_few_times(void **state)
{
	struct fixture *f = *state;
	struct packed p = { .n = 3, .size = 2001, .seed = 75 };
	struct cache_counts counts;
	char path[256];

	make_pack(f, &p);
	cached_path(path, f, &p, ".dir/x");
	OK(dm_mkdirs(path, 0700, &err));
	read_all(f, &p);
	cache_counts(f->cache, &counts);
	assert_in_range(counts.bad_disk, 1, 20);
}

static void
test_damage_between_runs_is_found(void **state)
{
	struct fixture *f = *state;
	struct packed p = { .n = 2, .size = 100000, .seed = 61 };
	struct cache_counts n;
	char path[256];

	make_pack(f, &p);
	read_all(f, &p);
	cache_close(f->cache);
	cached_path(path, f, &p, "");
	flip(path, 100);
	open_cache_at(f, &f->cache, 10000);
	read_all(f, &p);
	cache_counts(f->cache, &n);
	assert_int_equal(n.bad_disk, 1);
}

/* ---- trouble with the disk ---- */

static void
test_a_tenth_of_the_disk_stays_free(void **state)
{
	struct fixture *f = *state;
	struct packed p = { .n = 40, .size = 100001, .seed = 71 };
	struct cache_counts n;
	char command[200];
	struct statvfs fs;

	if (geteuid() != 0)
		skip();
	make_pack(f, &p);
	(void)snprintf(command, sizeof(command),
	    "mount -t tmpfs -o size=1m,mode=700 none %s", f->dir);
	cache_close(f->cache);
	assert_int_equal(system(command), 0);
	open_cache_at(f, &f->cache, 10000);
	read_all(f, &p);
	cache_counts(f->cache, &n);
	assert_int_equal(statvfs(f->dir, &fs), 0);
	(void)snprintf(command, sizeof(command), "umount -l %s", f->dir);
	assert_int_equal(system(command), 0);
	assert_false(n.disk_broken);
	assert_true(fs.f_bavail * 10 >= fs.f_blocks);
}

static void
test_a_full_disk_slows_reads_but_fails_none(void **state)
{
	struct fixture *f = *state;
	struct packed p = { .n = 40, .size = 100001, .seed = 71 };
	struct packed small = { .n = 40, .size = 1000, .seed = 171 };
	/* more than there is: else a tenth of the disk stays free */
	struct cache_options opt = { .dir = f->dir, .limit = 1U << 30 };
	char command[200];
	struct cache_counts n;

	if (geteuid() != 0)
		skip();
	make_pack(f, &p);
	make_pack(f, &small);
	(void)snprintf(command, sizeof(command),
	    "mount -t tmpfs -o size=1m,mode=700 none %s", f->dir);
	cache_close(f->cache);
	assert_int_equal(system(command), 0);
	OK(cache_open(&f->cache, &opt, &err));
	read_all(f, &p);
	cache_counts(f->cache, &n);
	assert_true(n.disk_broken);
	read_all(f, &p);
	read_all(f, &small);
	(void)snprintf(command, sizeof(command), "umount -l %s", f->dir);
	assert_int_equal(system(command), 0);
	reopen(f);
	read_all(f, &p);
	cache_counts(f->cache, &n);
	assert_false(n.disk_broken);
}

static void
test_a_read_only_disk_slows_reads_but_fails_none(void **state)
{
	struct fixture *f = *state;
	struct packed p = { .n = 10, .size = 100001, .seed = 71 };
	struct packed more = { .n = 10, .size = 100001, .seed = 271 };
	char command[400];
	struct cache_counts n;

	if (geteuid() != 0)
		skip();
	make_pack(f, &p);
	make_pack(f, &more);
	assert_int_equal(read_whole(f, f->cache, &p, 0), DM_OK);
	cache_close(f->cache);
	(void)snprintf(command, sizeof(command),
	    "mount --bind %s %s && mount -o remount,ro,bind %s", f->dir, f->dir,
	    f->dir);
	assert_int_equal(system(command), 0);
	open_cache_at(f, &f->cache, 10000);
	httpd_forget(f->httpd);
	assert_int_equal(read_whole(f, f->cache, &p, 0), DM_OK);
	assert_int_equal(httpd_count(f->httpd, "*"), 0);
	read_all(f, &more);
	cache_counts(f->cache, &n);
	assert_true(n.disk_broken);
	cache_close(f->cache);
	(void)snprintf(command, sizeof(command), "umount -l %s", f->dir);
	assert_int_equal(system(command), 0);
	open_cache_at(f, &f->cache, 10000);
}

static void
test_a_cache_that_others_can_write_is_refused(void **state)
{
	struct fixture *f = *state;
	struct cache_options opt = { .dir = f->dir };
	struct cache *c;

	assert_int_equal(chmod(f->dir, 0770), 0);
	FAILS(DM_DENIED, "written by others", cache_open(&c, &opt, &err));
	assert_int_equal(chmod(f->dir, 0700), 0);
	if (geteuid() == 0) {
		assert_int_equal(chown(f->dir, 1, 0), 0);
		FAILS(DM_DENIED, "another user", cache_open(&c, &opt, &err));
		assert_int_equal(chown(f->dir, 0, 0), 0);
	}
	assert_int_equal(chmod(f->top, 0777), 0);
	FAILS(DM_DENIED, "anybody can write", cache_open(&c, &opt, &err));
	assert_int_equal(chmod(f->top, 0700), 0);
}

/* ---- the origin ---- */

static void
test_wrong_bytes_are_asked_for_again_past_caches(void **state)
{
	struct fixture *f = *state;
	struct packed p = { .n = 1, .size = 5001, .seed = 81 };
	DM_AUTO(dm_buf_release) struct dm_buf log = DM_BUF(1 << 20);

	make_pack(f, &p);
	OK(httpd_rule(f->httpd, "/packs/* 2-3 flip=10", &err));
	assert_int_equal(read_whole(f, f->cache, &p, 0), DM_OK);
	assert_int_equal(httpd_count(f->httpd, "/packs/*"), 4);
	OK(httpd_log(f->httpd, &log, &err));
	assert_non_null(strstr(log.data, "no-cache"));
	assert_non_null(strstr(log.data, "?dm="));
}

static void
test_bytes_that_stay_wrong_are_an_error_and_never_seen(void **state)
{
	struct fixture *f = *state;
	struct packed p = { .n = 3, .size = 5001, .seed = 81 };
	struct cache_counts n;

	make_pack(f, &p);
	OK(httpd_rule(f->httpd, "/packs/* 2- flip=10", &err));
	assert_int_equal(read_whole(f, f->cache, &p, 0), DM_CORRUPT);
	assert_int_equal(read_whole(f, f->cache, &p, 1), DM_OK);
	cache_counts(f->cache, &n);
	assert_int_equal(n.bad_origin, 3);
	httpd_clear(f->httpd);
	assert_int_equal(read_whole(f, f->cache, &p, 0), DM_OK);
}

static void
test_a_wrong_hint_is_an_error_for_its_reader_only(void **state)
{
	struct fixture *f = *state;
	struct packed p = { .n = 3, .size = 500, .seed = 91 }, lie;

	make_pack(f, &p);
	lie = p;
	lie.name.dir_off--;
	assert_int_equal(read_whole(f, f->cache, &lie, 0), DM_CORRUPT);
	lie = p;
	lie.name.dir_len = 7;
	assert_int_equal(read_whole(f, f->cache, &lie, 0), DM_CORRUPT);
	lie.name.dir_len = UINT32_MAX;
	assert_int_equal(read_whole(f, f->cache, &lie, 0), DM_CORRUPT);
	assert_int_equal(read_whole(f, f->cache, &p, 0), DM_OK);
	lie = p;
	lie.seed++; /* another object than the one there */
	assert_int_equal(read_whole(f, f->cache, &lie, 0), DM_CORRUPT);
	lie = p;
	lie.size++;
	assert_int_equal(read_whole(f, f->cache, &lie, 0), DM_CORRUPT);
	assert_int_equal(read_whole(f, f->cache, &p, 3), DM_CORRUPT);
}

static void
test_with_the_origin_down_cached_bytes_are_served(void **state)
{
	struct fixture *f = *state;
	struct packed p = { .n = 2, .size = 300001, .seed = 101 };
	uint64_t began;

	make_pack(f, &p);
	assert_int_equal(read_whole(f, f->cache, &p, 0), DM_OK);
	cache_close(f->cache);
	open_cache_at(f, &f->cache, 700);
	httpd_stop(f->httpd);
	f->httpd = NULL;
	assert_int_equal(read_whole(f, f->cache, &p, 0), DM_OK);
	began = dm_now_ms();
	assert_int_equal(read_whole(f, f->cache, &p, 1), DM_OFFLINE);
	assert_true(dm_now_ms() - began < 5000);
}

static void
test_a_stalled_origin_costs_no_more_than_the_deadline(void **state)
{
	struct fixture *f = *state;
	struct packed p = { .n = 2, .size = 300001, .seed = 101 };
	struct cache *c = NULL;
	uint64_t began;

	make_pack(f, &p);
	OK(httpd_rule(f->httpd, "/packs/* * stall=10", &err));
	open_cache_at(f, &c, 500);
	began = dm_now_ms();
	assert_int_equal(read_whole(f, c, &p, 1), DM_OFFLINE);
	assert_in_range(dm_now_ms() - began, 450, 5000);
	cache_close(c);
}

static void
test_a_missing_pack_is_not_found(void **state)
{
	struct fixture *f = *state;
	struct packed p = { .n = 2, .size = 3001, .seed = 111 };

	make_pack(f, &p);
	p.name.id = id_of(7);
	assert_int_equal(read_whole(f, f->cache, &p, 1), DM_NOTFOUND);
}

static void
test_a_server_without_ranges_will_do(void **state)
{
	struct fixture *f = *state;
	struct packed p = { .n = 20, .size = 3001, .seed = 111 };

	make_pack(f, &p);
	OK(httpd_rule(f->httpd, "/packs/* * norange", &err));
	read_all(f, &p);
}

static void
test_pieces_are_seen_before_their_range_ends(void **state)
{
	struct fixture *f = *state;
	struct packed p = { .n = 20, .size = 20000, .seed = 121 };

	make_pack(f, &p);
	/* the data come, but for the last byte */
	OK(httpd_rule(f->httpd, "/packs/* 2 stall=390000", &err));
	assert_int_equal(read_whole(f, f->cache, &p, 0), DM_OK);
	assert_int_equal(read_whole(f, f->cache, &p, 3), DM_OK);
	assert_int_equal(httpd_count(f->httpd, "/packs/*"), 2);
}

/* ---- waiting ---- */

static void
test_a_wait_is_woken_once_for_each_fetch(void **state)
{
	struct fixture *f = *state;
	struct packed p = { .n = 3, .size = 200001, .seed = 131 };
	struct waiter w = { 0 };

	make_pack(f, &p);
	cache_wait_init(&w.wait, note_wake, dm_deadline_ms(10000));
	assert_int_equal(read_part(f, f->cache, &p, 1, 5, 10, &w.wait),
	    DM_AGAIN);
	await(&w, 1); /* the directory */
	assert_int_equal(read_part(f, f->cache, &p, 1, 5, 10, &w.wait),
	    DM_AGAIN);
	await(&w, 2); /* the piece */
	assert_int_equal(read_part(f, f->cache, &p, 1, 5, 10, &w.wait), DM_OK);
	assert_int_equal(atomic_load(&w.woken), 2);
	cache_wait_release(&w.wait);
}

static void
test_a_cancelled_wait_is_woken_and_the_fetch_goes_on(void **state)
{
	struct fixture *f = *state;
	struct packed p = { .n = 3, .size = 2001, .seed = 131 };
	struct waiter w = { 0 };

	make_pack(f, &p);
	OK(httpd_rule(f->httpd, "/packs/* 1 barrier=b", &err));
	cache_wait_init(&w.wait, note_wake, dm_deadline_ms(10000));
	assert_int_equal(read_part(f, f->cache, &p, 1, 5, 10, &w.wait),
	    DM_AGAIN);
	cache_wait_cancel(f->cache, &w.wait);
	assert_int_equal(atomic_load(&w.woken), 1);
	cache_wait_cancel(f->cache, &w.wait);
	assert_int_equal(atomic_load(&w.woken), 1);
	assert_int_equal(read_part(f, f->cache, &p, 1, 5, 10, &w.wait),
	    DM_CANCELLED);
	cache_wait_release(&w.wait);
	httpd_release(f->httpd, "b");
	assert_int_equal(read_whole(f, f->cache, &p, 1), DM_OK);
	assert_int_equal(httpd_count(f->httpd, "/packs/*"), 2);
}

static void
test_a_wait_ends_at_its_own_deadline(void **state)
{
	struct fixture *f = *state;
	struct packed p = { .n = 3, .size = 2001, .seed = 131 };
	struct waiter soon = { 0 }, late = { 0 };
	uint64_t began = dm_now_ms();

	make_pack(f, &p);
	OK(httpd_rule(f->httpd, "/packs/* * barrier=b", &err));
	cache_wait_init(&soon.wait, note_wake, dm_deadline_ms(300));
	cache_wait_init(&late.wait, note_wake, dm_deadline_ms(9000));
	assert_int_equal(read_part(f, f->cache, &p, 1, 5, 10, &soon.wait),
	    DM_AGAIN);
	assert_int_equal(read_part(f, f->cache, &p, 1, 5, 10, &late.wait),
	    DM_AGAIN);
	await(&soon, 1);
	assert_in_range(dm_now_ms() - began, 290, 5000);
	assert_int_equal(read_part(f, f->cache, &p, 1, 5, 10, &soon.wait),
	    DM_OFFLINE);
	httpd_release(f->httpd, "b");
	await(&late, 1);
	cache_wait_release(&soon.wait);
	cache_wait_release(&late.wait);
	assert_int_equal(read_whole(f, f->cache, &p, 1), DM_OK);
}

static void
test_an_operation_of_many_pieces_ends_without_a_disk(void **state)
{
	struct fixture *f = *state;
	struct packed p = { .n = 9, .size = 30001, .seed = 141 };
	struct waiter w = { 0 };
	char command[160];
	enum dm_code code = DM_AGAIN;
	int rounds = 0;

	if (geteuid() != 0)
		skip();
	make_pack(f, &p);
	(void)snprintf(command, sizeof(command),
	    "mount -t tmpfs -o size=4k,nr_inodes=1,mode=700 none %s", f->dir);
	cache_close(f->cache);
	assert_int_equal(system(command), 0);
	open_cache_at(f, &f->cache, 10000);
	cache_wait_init(&w.wait, note_wake, dm_deadline_ms(10000));
	for (; code == DM_AGAIN && rounds < 100; rounds++) {
		await(&w, rounds);
		code = DM_OK;
		for (uint32_t i = 0; i < p.n && code == DM_OK; i++)
			code =
			    read_part(f, f->cache, &p, i, 0, p.size, &w.wait);
	}
	assert_int_equal(code, DM_OK);
	cache_wait_release(&w.wait);
	(void)snprintf(command, sizeof(command), "umount -l %s", f->dir);
	assert_int_equal(system(command), 0);
}

static void
test_closing_wakes_all_who_wait(void **state)
{
	struct fixture *f = *state;
	struct packed p = { .n = 1, .size = 2001, .seed = 151 };
	struct waiter w = { 0 };
	struct reader r = { .f = f, .p = &p };

	make_pack(f, &p);
	OK(httpd_rule(f->httpd, "/packs/* 1 barrier=b", &err));
	cache_wait_init(&w.wait, note_wake, dm_deadline_ms(10000));
	assert_int_equal(read_part(f, f->cache, &p, 0, 5, 10, &w.wait),
	    DM_AGAIN);
	assert_int_equal(pthread_create(&r.thread, NULL, reader_main, &r), 0);
	for (struct cache_counts n = { 0 }; n.waiting < 2;)
		cache_counts(f->cache, &n);
	cache_close(f->cache);
	f->cache = NULL;
	assert_int_equal(atomic_load(&w.woken), 1);
	pthread_join(r.thread, NULL);
	assert_int_equal(r.code, DM_CANCELLED);
	cache_wait_release(&w.wait);
	httpd_release(f->httpd, "b");
}

/* ---- several caches on one directory ---- */

struct crowd {
	struct fixture *f;
	struct packed *p;
	struct cache *cache;
	unsigned seed;
	pthread_t thread;
	unsigned bad;
};

static void *
crowd_main(void *arg)
{
	struct crowd *c = arg;
	unsigned x = c->seed;

	for (int i = 0; i < 400; i++) {
		x = x * 1664525U + 1013904223U;
		if (read_whole(c->f, c->cache, c->p, (x >> 16) % c->p->n) !=
		    DM_OK)
			c->bad++;
	}
	return NULL;
}

static void
test_two_caches_share_a_directory_while_it_is_cleared(void **state)
{
	struct fixture *f = *state;
	struct packed p = { .n = 30, .size = 80001, .seed = 161 };
	struct cache *other = NULL;
	struct cache_usage freed;
	struct cache_check check;
	struct crowd crowd[4];

	make_pack(f, &p);
	open_cache_at(f, &other, 10000);
	for (unsigned i = 0; i < 4; i++) {
		crowd[i] = (struct crowd){ .f = f,
			.p = &p,
			.cache = i % 2 == 0 ? f->cache : other,
			.seed = i };
		assert_int_equal(pthread_create(&crowd[i].thread, NULL,
				     crowd_main, &crowd[i]),
		    0);
	}
	for (int i = 0; i < 20; i++) {
		OK(cache_clear(f->dir, &freed, &err));
		OK(cache_fsck(f->dir, &check, NULL, NULL, &err));
	}
	for (int i = 0; i < 4; i++) {
		pthread_join(crowd[i].thread, NULL);
		assert_int_equal(crowd[i].bad, 0);
	}
	cache_close(other);
}

static void
test_what_one_cache_fetched_another_reads(void **state)
{
	struct fixture *f = *state;
	struct packed p = { .n = 6, .size = 80001, .seed = 161 };
	struct cache *other = NULL;

	make_pack(f, &p);
	open_cache_at(f, &other, 10000);
	read_all(f, &p);
	httpd_forget(f->httpd);
	for (uint32_t i = 0; i < p.n; i++)
		assert_int_equal(read_whole(f, other, &p, i), DM_OK);
	assert_int_equal(httpd_count(f->httpd, "*"), 0);
	cache_close(other);
}

/* ---- files, presence, prefetch ---- */

static void
test_a_file_is_fetched_once_and_healed(void **state)
{
	struct fixture *f = *state;
	DM_AUTO(dm_buf_release) struct dm_buf out = DM_BUF(1000);
	char path[256], hex[DIGEST_HEX + 1];
	struct digest id;

	digest_of(&id, "the commit\n", 11);
	digest_hex(&id, hex);
	(void)snprintf(path, sizeof(path), "%s/c", f->repo);
	OK(dm_file_replace(AT_FDCWD, path, "the commit\n", 11, 0600, &err));
	for (int i = 0; i < 2; i++)
		OK(cache_file(f->cache, f->origin, "c", &id, 5000, &out, &err));
	assert_int_equal(out.size, 22);
	assert_int_equal(httpd_count(f->httpd, "/c"), 1);
	(void)snprintf(path, sizeof(path), "%s/blobs/%.2s/%s", f->dir, hex,
	    hex);
	flip(path, 3);
	OK(cache_file(f->cache, f->origin, "c", &id, 5000, &out, &err));
	assert_string_equal(out.data, "the commit\nthe commit\nthe commit\n");
	assert_int_equal(httpd_count(f->httpd, "/c"), 2);
	OK(httpd_rule(f->httpd, "/c * flip=1", &err));
	assert_int_equal(unlink(path), 0);
	FAILS(DM_CORRUPT, "does not match",
	    cache_file(f->cache, f->origin, "c", &id, 5000, &out, &err));
	id = id_of(1);
	FAILS(DM_NOTFOUND, "",
	    cache_file(f->cache, f->origin, "d", &id, 5000, &out, &err));
}

static void
test_what_is_present_is_known_without_asking(void **state)
{
	struct fixture *f = *state;
	struct packed p = { .n = 3, .size = 200001, .seed = 170 };
	struct cache_place at;

	make_pack(f, &p);
	at = place_of(&p, 1);
	assert_int_equal(cache_present(f->cache, &at, p.size), 0);
	assert_int_equal(read_whole(f, f->cache, &p, 1), DM_OK);
	assert_int_equal(cache_present(f->cache, &at, p.size), p.size);
	at = place_of(&p, 2);
	assert_int_equal(cache_present(f->cache, &at, p.size), 0);
	at = place_of(&p, 99);
	assert_int_equal(cache_present(f->cache, &at, p.size), 0);
}

static void
test_a_lot_that_names_what_cannot_be_ends(void **state)
{
	struct fixture *f = *state;
	struct packed p = { .n = 3, .size = 200001, .seed = 185 };
	const uint32_t ordinal[] = { 0, UINT32_MAX };
	struct cache_lot lot = { .ordinal = ordinal, .n = 2 };
	struct dm_err err = { .code = DM_AGAIN };
	struct waiter w = { 0 };
	int rounds = 0;

	make_pack(f, &p);
	lot.at = place_of(&p, 0);
	cache_wait_init(&w.wait, note_wake, dm_deadline_ms(10000));
	for (; err.code == DM_AGAIN; rounds++) {
		await(&w, rounds);
		assert_int_equal(cache_bring(f->cache, f->origin, &lot, &w.wait,
				     &err),
		    -1);
	}
	assert_int_equal(err.code, DM_CORRUPT);
	assert_int_equal(read_whole(f, f->cache, &p, 0), DM_OK);
	cache_wait_release(&w.wait);
}

/* Until all of it has come; w has been told so often. */
static void
bring(struct fixture *f, struct cache_lot *lot, struct waiter *w, int told)
{
	struct dm_err err = { .code = DM_AGAIN };

	while (err.code == DM_AGAIN) {
		await(w, told++);
		if (cache_bring(f->cache, f->origin, lot, &w->wait, &err) == 0)
			return;
	}
	assert_int_equal(err.code, DM_OK);
}

static void
test_a_lot_waits_for_a_directory_that_another_process_fetches(void **state)
{
	struct fixture *f = *state;
	struct packed p = { .n = 3, .size = 200001, .seed = 187 };
	const uint32_t ordinal[] = { 0, 1, 2 };
	struct cache_lot lot = { .ordinal = ordinal, .n = 3 };
	struct flock all = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	struct waiter w = { 0 };
	char path[256];
	int fd;

	make_pack(f, &p);
	lot.at = place_of(&p, 0);
	cached_path(path, f, &p, "");
	*strrchr(path, '/') = '\0';
	OK(dm_mkdirs(path, 0700, &err));
	cached_path(path, f, &p, "");
	fd = open(path, O_RDWR | O_CREAT, 0600);
	assert_int_equal(fcntl(fd, F_OFD_SETLK, &all), 0);
	cache_wait_init(&w.wait, note_wake, dm_deadline_ms(10000));
	FAILS(DM_AGAIN, "not here",
	    cache_bring(f->cache, f->origin, &lot, &w.wait, &err));
	assert_int_equal(httpd_count(f->httpd, "/packs/*"), 0);
	assert_int_equal(close(fd), 0);
	bring(f, &lot, &w, 1);
	lot.at.ordinal = 2;
	assert_int_equal(cache_present(f->cache, &lot.at, p.size), p.size);
	cache_wait_release(&w.wait);
}

/* What a lot leaves between its requests, each reader asks for alone. */
static void
test_a_lot_leaves_nothing_between_its_requests(void **state)
{
	struct fixture *f = *state;
	struct packed p = { .n = 1000, .size = 30001, .seed = 189 };
	uint32_t ordinal[334], n = 0;
	struct cache_lot lot = { .ordinal = ordinal };
	struct waiter w = { 0 };

	make_pack(f, &p);
	for (uint32_t i = 2; i < p.n; i += 3)
		ordinal[n++] = i;
	lot.n = n;
	lot.at = place_of(&p, 2);
	cache_wait_init(&w.wait, note_wake, dm_deadline_ms(60000));
	bring(f, &lot, &w, 0);
	cache_wait_release(&w.wait);
	read_all(f, &p);
	/* its directory, and 15 MB of it in four parts */
	assert_int_equal(httpd_count(f->httpd, "/packs/*"), 1 + 4);
}

/* One of 33, neighbours of which are wanted later, or not. */
static void
test_a_thin_lot_brings_what_is_wanted_later(void **state)
{
	struct fixture *f = *state;
	struct packed p = { .n = 660, .size = 20001, .seed = 190 };
	uint32_t ordinal[20];
	struct cache_lot lot = { .ordinal = ordinal, .n = 10 };
	struct waiter w = { 0 };
	uint64_t before, end;

	make_pack(f, &p);
	for (uint32_t i = 0; i < 20; i++)
		ordinal[i] = 16 + 33 * i;
	lot.at = place_of(&p, 16);
	cache_wait_init(&w.wait, note_wake, dm_deadline_ms(60000));
	bring(f, &lot, &w, 0);
	before = httpd_count(f->httpd, "/packs/*");
	assert_true(before >= 10);
	lot = (struct cache_lot){
		.at = lot.at, .ordinal = ordinal + 10, .n = 10, .others = true
	};
	cache_wait_release(&w.wait);
	cache_wait_init(&w.wait, note_wake, dm_deadline_ms(60000));
	bring(f, &lot, &w, atomic_load(&w.woken));
	cache_wait_release(&w.wait);
	/* Those that the lot does not name may come a moment later. */
	end = dm_deadline_ms(10000);
	for (uint32_t i = ordinal[10]; i <= ordinal[19]; i++) {
		lot.at = place_of(&p, i);
		while (cache_present(f->cache, &lot.at, p.size) != p.size)
			assert_true(dm_now_ms() < end);
	}
	assert_true(httpd_count(f->httpd, "/packs/*") <= before + 3);
}

/* Neighbours of a few small ones are not what was asked for. */
static void
test_a_small_lot_brings_little_beside_it(void **state)
{
	struct fixture *f = *state;
	struct packed p = { .n = 100, .size = 2001, .seed = 189 };
	uint32_t ordinal[] = { 50, 51, 52, 53 };
	struct cache_lot lot = { .ordinal = ordinal, .n = 4 };
	struct waiter w = { 0 };
	unsigned present = 0;

	make_pack(f, &p);
	lot.at = place_of(&p, 50);
	cache_wait_init(&w.wait, note_wake, dm_deadline_ms(60000));
	bring(f, &lot, &w, 0);
	cache_wait_release(&w.wait);
	for (uint32_t i = 0; i < p.n; i++) {
		lot.at = place_of(&p, i);
		present += cache_present(f->cache, &lot.at, p.size) == p.size;
	}
	assert_in_range(present, 4, 10);
}

static void
test_a_sequential_reader_needs_few_requests(void **state)
{
	struct fixture *f = *state;
	struct packed p = { .n = 100, .size = 200001, .seed = 191 };

	make_pack(f, &p); /* half of 20 MB compresses well */
	read_all(f, &p);
	assert_true(httpd_count(f->httpd, "/packs/*") <= 8);
}

static void
test_a_sequential_reader_finds_what_was_fetched_ahead(void **state)
{
	struct fixture *f = *state;
	struct packed p = { .n = 100, .size = 200001, .seed = 195 };
	uint64_t end = dm_deadline_ms(10000);
	struct cache_place at;

	make_pack(f, &p);
	for (uint32_t i = 0; i < 8; i++)
		assert_int_equal(read_whole(f, f->cache, &p, i), DM_OK);
	for (at = place_of(&p, 30); cache_present(f->cache, &at, p.size) == 0;)
		assert_true(dm_now_ms() < end);
}

static void
test_a_pack_that_is_expected_is_there_when_it_is_read(void **state)
{
	struct fixture *f = *state;
	struct packed p = { .n = 100, .size = 100001, .seed = 197 };
	uint64_t end = dm_deadline_ms(10000);
	struct cache_place at;

	make_pack(f, &p);
	for (at = place_of(&p, 0); cache_present(f->cache, &at, p.size) == 0;) {
		cache_expect(f->cache, f->origin, &at);
		assert_true(dm_now_ms() < end);
	}
	assert_int_equal(httpd_count(f->httpd, "/packs/*"), 2);
	read_all(f, &p);
	assert_true(httpd_count(f->httpd, "/packs/*") <= 6);
}

static void
test_a_small_budget_of_memory_is_enough(void **state)
{
	struct fixture *f = *state;
	struct packed p = { .n = 10, .size = 2000001, .seed = 201 };
	struct cache_options opt = {
		.dir = f->dir, .memory = 1 << 20, .timeout_ms = 10000
	};

	make_pack(f, &p);
	cache_close(f->cache);
	OK(cache_open(&f->cache, &opt, &err));
	read_all(f, &p);
}

/* ---- upkeep ---- */

static void
test_fsck_finds_and_drops_what_is_damaged(void **state)
{
	struct fixture *f = *state;
	struct packed p = { .n = 5, .size = 80001, .seed = 211 };
	struct cache_check check;
	char path[256];

	make_pack(f, &p);
	read_all(f, &p);
	OK(cache_fsck(f->dir, &check, NULL, NULL, &err));
	assert_int_equal(check.blobs, 1);
	assert_int_equal(check.pieces, 5);
	assert_int_equal(check.bytes, 5 * 80001);
	assert_int_equal(check.bad, 0);
	cached_path(path, f, &p, "");
	flip(path, 80001 * 3);
	OK(cache_fsck(f->dir, &check, NULL, NULL, &err));
	assert_int_equal(check.bad, 1);
	OK(cache_fsck(f->dir, &check, NULL, NULL, &err));
	assert_int_equal(check.pieces, 4);
	assert_int_equal(check.bad, 0);
	cached_path(path, f, &p, ".dir");
	flip(path, 20);
	OK(cache_fsck(f->dir, &check, NULL, NULL, &err));
	assert_true(check.bad > 0);
	OK(cache_fsck(f->dir, &check, NULL, NULL, &err));
	assert_int_equal(check.blobs, 0);
	assert_int_equal(check.bad, 0);
	read_all(f, &p);
}

static void
test_fsck_removes_what_nothing_can_prove_without_alarm(void **state)
{
	struct fixture *f = *state;
	struct packed p = { .n = 5, .size = 80001, .seed = 211 };
	struct cache_check check;
	char path[256];

	make_pack(f, &p);
	read_all(f, &p);
	cached_path(path, f, &p, ".dir");
	assert_int_equal(unlink(path), 0);
	OK(cache_fsck(f->dir, &check, NULL, NULL, &err));
	assert_int_equal(check.bad, 0);
	cached_path(path, f, &p, "");
	assert_int_equal(access(path, F_OK), -1);
	read_all(f, &p);
}

static void
test_clear_empties_the_cache_under_its_users(void **state)
{
	struct fixture *f = *state;
	struct packed p = { .n = 5, .size = 80001, .seed = 221 };
	struct cache_usage u;

	make_pack(f, &p);
	read_all(f, &p);
	OK(cache_usage(f->dir, &u, &err));
	assert_int_equal(u.blobs, 1);
	assert_true(u.bytes >= 5 * 80001 && u.disk_free > 0);
	OK(cache_clear(f->dir, &u, &err));
	assert_int_equal(u.blobs, 1);
	assert_true(u.bytes >= 5 * 80001);
	OK(cache_usage(f->dir, &u, &err));
	assert_int_equal(u.blobs, 0);
	read_all(f, &p);
	OK(cache_usage(f->dir, &u, &err));
	assert_int_equal(u.blobs, 1);
}

static void
test_the_usual_directory_follows_the_environment(void **state)
{
	char dir[300];
	const char *why;

	(void)state;
	assert_int_equal(setenv("DATAMOUNT_CACHE", "/some/where", 1), 0);
	OK(cache_dir_default(dir, sizeof(dir), &why, &err));
	assert_string_equal(dir, "/some/where");
	assert_null(why);
	assert_int_equal(setenv("DATAMOUNT_CACHE", "some/where", 1), 0);
	FAILS(DM_INVALID, "absolute",
	    cache_dir_default(dir, sizeof(dir), &why, &err));
	assert_int_equal(unsetenv("DATAMOUNT_CACHE"), 0);
	FAILS(DM_INVALID, "too long", cache_dir_default(dir, 5, &why, &err));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) \
	cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
		T(test_a_second_read_asks_the_origin_nothing),
		T(test_parts_of_large_objects_are_read),
		T(test_eight_readers_of_one_cold_piece_cause_one_request),
		T(test_any_flipped_byte_of_the_cache_is_healed),
		T(test_large_pieces_damaged_while_in_use_are_healed),
		T(test_files_cut_short_are_fetched_again),
		T(test_files_of_zeros_are_fetched_again),
		T(test_files_that_were_removed_are_fetched_again),
		T(test_files_replaced_by_links_are_fetched_again),
		T(test_files_replaced_by_directories_are_fetched_again),
		T(test_files_replaced_by_pipes_are_fetched_again),
		T(test_files_that_grew_are_harmless),
		T(test_files_exchanged_for_others_are_fetched_again),
		T(test_a_cache_whose_own_files_are_pipes_goes_on_storing),
		T(test_a_removed_cache_is_made_again),
		T(test_a_directory_that_cannot_be_removed_is_looked_at_few_times),
		T(test_damage_between_runs_is_found),
		T(test_a_tenth_of_the_disk_stays_free),
		T(test_a_full_disk_slows_reads_but_fails_none),
		T(test_a_read_only_disk_slows_reads_but_fails_none),
		T(test_a_cache_that_others_can_write_is_refused),
		T(test_wrong_bytes_are_asked_for_again_past_caches),
		T(test_bytes_that_stay_wrong_are_an_error_and_never_seen),
		T(test_a_wrong_hint_is_an_error_for_its_reader_only),
		T(test_with_the_origin_down_cached_bytes_are_served),
		T(test_a_stalled_origin_costs_no_more_than_the_deadline),
		T(test_a_missing_pack_is_not_found),
		T(test_a_server_without_ranges_will_do),
		T(test_pieces_are_seen_before_their_range_ends),
		T(test_a_wait_is_woken_once_for_each_fetch),
		T(test_a_cancelled_wait_is_woken_and_the_fetch_goes_on),
		T(test_a_wait_ends_at_its_own_deadline),
		T(test_an_operation_of_many_pieces_ends_without_a_disk),
		T(test_closing_wakes_all_who_wait),
		T(test_two_caches_share_a_directory_while_it_is_cleared),
		T(test_what_one_cache_fetched_another_reads),
		T(test_a_file_is_fetched_once_and_healed),
		T(test_what_is_present_is_known_without_asking),
		T(test_a_lot_that_names_what_cannot_be_ends),
		T(test_a_lot_waits_for_a_directory_that_another_process_fetches),
		T(test_a_lot_leaves_nothing_between_its_requests),
		T(test_a_thin_lot_brings_what_is_wanted_later),
		T(test_a_small_lot_brings_little_beside_it),
		T(test_a_sequential_reader_needs_few_requests),
		T(test_a_sequential_reader_finds_what_was_fetched_ahead),
		T(test_a_pack_that_is_expected_is_there_when_it_is_read),
		T(test_a_small_budget_of_memory_is_enough),
		T(test_fsck_finds_and_drops_what_is_damaged),
		T(test_fsck_removes_what_nothing_can_prove_without_alarm),
		T(test_clear_empties_the_cache_under_its_users),
		T(test_the_usual_directory_follows_the_environment),
	};

	return cmocka_run_group_tests_name("cache", tests, NULL, NULL);
}
