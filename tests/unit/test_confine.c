/* fs/mount/confine: what a confined process can do, and what not. */
#include "fs/mount/confine.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "tests/unit/scratch.h"

#ifdef DM_INSTRUMENTED
static const bool may_start_programs = true;
#else
static const bool may_start_programs = false;
#endif

/* In a confined child; returns its exit status: 0, or the line that failed. */
typedef int (*deed_fn)(void);

#define EXPECT(condition)                   \
	do {                                \
		if (!(condition)) {         \
			perror(#condition); \
			return 1;           \
		}                           \
	} while (0)

static struct confine confined;

static int
setup(void **state)
{
	if (scratch_setup(state) != 0 || mkdir("own", 0700) != 0 ||
	    mkdir("own/a", 0700) != 0 || mkdir("own/b", 0700) != 0 ||
	    mkdir("shown", 0700) != 0 || mkdir("hidden", 0700) != 0)
		return -1;
	put_file("own/f", "x");
	put_file("shown/f", "x");
	put_file("hidden/f", "x");
	memset(&confined, 0, sizeof(confined));
	return 0;
}

static void
expect_well(deed_fn deed, bool web)
{
	char own[300], shown[300];
	int status = -1;
	pid_t pid;

	if (confine_supported() != CONFINE_ALL)
		skip(); /* the kernel lacks something */
	pid = fork();
	if (pid == 0) {
		(void)snprintf(own, sizeof(own), "%s/own", scratch);
		(void)snprintf(shown, sizeof(shown), "%s/shown", scratch);
		confine_allow(&confined, own, true);
		confine_allow(&confined, shown, false);
		if (web)
			confine_allow_web(&confined);
		confine_apply(&confined);
		if (confined.parts != CONFINE_ALL)
			(void)fprintf(stderr, "%s\n", confined.missing);
		_exit(confined.parts == CONFINE_ALL ? deed() : 2);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static bool
can_open(const char *path, int flags)
{
	int fd = open(path, flags | O_CLOEXEC, 0600);

	if (fd >= 0)
		(void)close(fd);
	return fd >= 0;
}

static int
use_files(void)
{
	EXPECT(can_open("own/f", O_RDWR | O_TRUNC));
	EXPECT(can_open("own/new", O_RDWR | O_CREAT | O_EXCL));
	EXPECT(rename("own/new", "own/a/new") == 0);
	EXPECT(rename("own/a/new", "own/b/new") == 0);
	EXPECT(unlink("own/b/new") == 0);
	EXPECT(mkdir("own/dir", 0700) == 0);
	EXPECT(can_open("own/dir", O_RDONLY | O_DIRECTORY));
	EXPECT(can_open("shown/f", O_RDONLY));
	EXPECT(!can_open("shown/f", O_WRONLY) && errno == EACCES);
	EXPECT(truncate("shown/f", 0) < 0 && errno == EACCES);
	EXPECT(!can_open("hidden/f", O_RDONLY) && errno == EACCES);
	EXPECT(!can_open("hidden", O_RDONLY | O_DIRECTORY) && errno == EACCES);
	EXPECT(!can_open("hidden/new", O_WRONLY | O_CREAT) && errno == EACCES);
	EXPECT(mkdir("new", 0700) < 0 && errno == EACCES);
	EXPECT(unlink("hidden/f") < 0 && errno == EACCES);
	EXPECT(rename("own/f", "hidden/g") < 0);
	EXPECT(chmod("hidden/f", 0666) < 0 && errno == EPERM);
	EXPECT(!can_open("/etc/passwd", O_RDONLY) && errno == EACCES);
	return 0;
}

static void
test_files_are_written_in_one_place_and_read_in_two(void **state)
{
	(void)state;
	expect_well(use_files, false);
}

static void *
set_flag(void *arg)
{
	*(bool *)arg = true;
	return NULL;
}

static int
start_things(void)
{
	char name[] = "/bin/true";
	char *argv[] = { name, NULL };
	pthread_t thread;
	bool ran = false;

	EXPECT(pthread_create(&thread, NULL, set_flag, &ran) == 0);
	EXPECT(pthread_join(thread, NULL) == 0 && ran);
	if (may_start_programs)
		return 0;
	EXPECT(execv(name, argv) < 0 && errno == EPERM);
	EXPECT(fork() < 0 && errno == EPERM);
	EXPECT(vfork() < 0 && errno == EPERM);
	EXPECT(kill(getppid(), 0) < 0 && errno == EPERM);
	return 0;
}

static void
test_threads_are_started_and_programs_are_not(void **state)
{
	(void)state;
	expect_well(start_things, false);
}

static int
reach_out(void)
{
	long rc = syscall(SYS_tgkill, getppid(), getppid(), 0);

	EXPECT(rc < 0 && errno == EPERM);
	EXPECT(ptrace(PTRACE_ATTACH, getppid(), NULL, NULL) < 0 &&
	    errno == EPERM);
	EXPECT(mount("none", "own", "tmpfs", 0, NULL) < 0 && errno == EPERM);
	EXPECT(umount2("/", MNT_DETACH) < 0 && errno == EPERM);
	EXPECT(chroot("own") < 0 && errno == EPERM);
	/* The library would ask for all threads, a sanitizer's too. */
	EXPECT(syscall(SYS_setuid, 0) < 0 && errno == EPERM);
	EXPECT(syscall(SYS_unshare, 0x10000000) < 0 && errno == EPERM);
	EXPECT(syscall(SYS_bpf, 0, NULL, 0) < 0 && errno == EPERM);
	EXPECT(syscall(SYS_io_uring_setup, 1, NULL) < 0 && errno == EPERM);
	EXPECT(syscall(SYS_keyctl, 0, -1, 0) < 0 && errno == EPERM);
	EXPECT(syscall(5000, 0) < 0 && errno == ENOSYS);
	EXPECT(ioctl(STDERR_FILENO, TIOCSTI, "x") < 0 && errno == EPERM);
	EXPECT(raise(0) == 0);
	return 0;
}

static void
test_other_processes_and_the_depths_are_out_of_reach(void **state)
{
	(void)state;
	expect_well(reach_out, false);
}

static int
open_sockets(void)
{
	EXPECT(socket(AF_INET, SOCK_STREAM, 0) >= 0);
	EXPECT(socket(AF_INET6, SOCK_DGRAM, 0) >= 0 || errno == EAFNOSUPPORT);
	EXPECT(socket(AF_NETLINK, SOCK_RAW, 0) >= 0);
	EXPECT(socket(AF_UNIX, SOCK_STREAM, 0) < 0 && errno == EAFNOSUPPORT);
	EXPECT(socket(AF_PACKET, SOCK_RAW, 0) < 0 && errno == EAFNOSUPPORT);
	EXPECT(listen(socket(AF_INET, SOCK_STREAM, 0), 1) < 0 &&
	    errno == EPERM);
	EXPECT(can_open("/etc/resolv.conf", O_RDONLY) || errno == ENOENT);
	return 0;
}

static void
test_a_repository_on_the_web_is_asked_and_nothing_answered(void **state)
{
	(void)state;
	expect_well(open_sockets, true);
}

static int
open_no_socket(void)
{
	EXPECT(socket(AF_INET, SOCK_STREAM, 0) < 0 && errno == EAFNOSUPPORT);
	EXPECT(socket(AF_UNIX, SOCK_STREAM, 0) < 0 && errno == EAFNOSUPPORT);
	EXPECT(!can_open("/etc/resolv.conf", O_RDONLY));
	return 0;
}

static void
test_a_repository_in_a_folder_needs_no_network(void **state)
{
	(void)state;
	expect_well(open_no_socket, false);
}

static int
look_at_self(void)
{
	EXPECT(prctl(PR_GET_DUMPABLE, 0L, 0L, 0L, 0L) == 0);
	EXPECT(prctl(PR_GET_NO_NEW_PRIVS, 0L, 0L, 0L, 0L) == 1);
	for (unsigned long cap = 0; cap < 38; cap++)
		EXPECT(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, cap, 0L,
			   0L) < 0);
	return 0;
}

static void
test_nobody_looks_in_and_no_right_is_left(void **state)
{
	(void)state;
	expect_well(look_at_self, false);
}

static void
test_what_symlinks_in_a_folder_lead_to_is_read(void **state)
{
	char path[300];

	(void)state;
	assert_int_equal(symlink("../hidden", "shown/packs"), 0);
	(void)snprintf(path, sizeof(path), "%s/shown", scratch);
	confine_allow_folder(&confined, path);
	assert_int_equal(confined.npaths, 2);
	assert_true(confined.keep_search);
}

static void
test_a_folder_that_was_replaced_is_noticed(void **state)
{
	char path[300];

	(void)state;
	(void)snprintf(path, sizeof(path), "%s/later", scratch);
	confine_allow(&confined, "/", false);
	confine_allow(&confined, path, false);
	confined.parts = CONFINE_LANDLOCK;
	assert_false(confine_outdated(&confined));
	assert_int_equal(mkdir("later", 0700), 0);
	assert_true(confine_outdated(&confined));
	/* Without Landlock nothing has to be allowed. */
	confined.parts = 0;
	assert_false(confine_outdated(&confined));
}

static int
look_for_change(void)
{
	struct stat st;

	EXPECT(stat("private/cert", &st) < 0 && errno == EACCES);
	EXPECT(!confine_outdated(&confined));
	return 0;
}

static void
test_what_only_root_could_find_was_not_replaced(void **state)
{
	char path[300];

	(void)state;
	if (getuid() != 0)
		skip(); /* has no rights to give up */
	assert_int_equal(mkdir("private", 0700), 0);
	put_file("private/cert", "x");
	assert_int_equal(chown("private", 65534, 65534), 0);
	(void)snprintf(path, sizeof(path), "%s/private/cert", scratch);
	assert_int_equal(setenv("SSL_CERT_FILE", path, 1), 0);
	expect_well(look_for_change, true);
	assert_int_equal(unsetenv("SSL_CERT_FILE"), 0);
}

static void
test_words_say_what_is_in_force(void **state)
{
	char text[CONFINE_TEXT];

	(void)state;
	confine_words(CONFINE_ALL, text, sizeof(text));
	assert_string_equal(text,
	    "no-new-privs not-dumpable capabilities landlock seccomp");
	confine_words(0, text, sizeof(text));
	assert_string_equal(text, "");
}

#define TEST(name) \
	cmocka_unit_test_setup_teardown(name, setup, scratch_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_files_are_written_in_one_place_and_read_in_two),
		TEST(test_threads_are_started_and_programs_are_not),
		TEST(test_other_processes_and_the_depths_are_out_of_reach),
		TEST(
		    test_a_repository_on_the_web_is_asked_and_nothing_answered),
		TEST(test_a_repository_in_a_folder_needs_no_network),
		TEST(test_nobody_looks_in_and_no_right_is_left),
		TEST(test_what_symlinks_in_a_folder_lead_to_is_read),
		TEST(test_a_folder_that_was_replaced_is_noticed),
		TEST(test_what_only_root_could_find_was_not_replaced),
		TEST(test_words_say_what_is_in_force),
	};

	return cmocka_run_group_tests_name("confine", tests, NULL, NULL);
}
