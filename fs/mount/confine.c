/*
 * No library is used: Landlock and capabilities are three system calls each,
 * and the filter below is a table of numbers that the headers know.
 *
 * The filter denies by a list, with EPERM.  To allow by a list would be
 * stricter, but which calls libc, libcurl, OpenSSL and the resolver's modules
 * make differs between their versions and machines, and a call that is missing
 * there is a read that fails.  What is listed is what leads out of a process
 * (other programs, processes, namespaces, mounts, credentials, names of other
 * people's files) or deep into the kernel.  Calls that are younger than the
 * list answer ENOSYS, as on an older kernel, so that nothing gets past it.
 */
#include "fs/mount/confine.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "cache/base/io.h"

/* A build with sanitizers or counters also writes its reports there, and runs
 * a program that finds the names of functions. */
#ifdef DM_INSTRUMENTED
static const bool instrumented = true;
#else
#define DM_INSTRUMENTED ""
static const bool instrumented = false;
#endif

/* ---- paths ---- */

/* What the path names now; 0 and 0: nothing that this process can find. */
static void
look(const char *path, dev_t *dev, ino_t *ino)
{
	struct stat st = { 0 };
	bool found = stat(path, &st) == 0;

	*dev = found ? st.st_dev : 0;
	*ino = found ? st.st_ino : 0;
}

void
confine_allow(struct confine *c, const char *path, bool writable)
{
	struct confine_path *p = &c->paths[c->npaths];

	if (c->npaths == CONFINE_PATHS || strlen(path) >= sizeof(p->path))
		return;
	(void)snprintf(p->path, sizeof(p->path), "%s", path);
	p->writable = writable;
	look(path, &p->dev, &p->ino);
	c->npaths++;
}

void
confine_allow_folder(struct confine *c, const char *folder)
{
	char path[PATH_MAX];
	const struct dirent *e;
	DIR *dir;

	confine_allow(c, folder, false);
	c->keep_search = true;
	dir = opendir(folder);
	/* Our own stream. NOLINTNEXTLINE(concurrency-mt-unsafe) */
	while (dir != NULL && (e = readdir(dir)) != NULL)
		if (e->d_type == DT_LNK &&
		    snprintf(path, sizeof(path), "%s/%s", folder, e->d_name) <
			(int)sizeof(path))
			confine_allow(c, path, false);
	if (dir != NULL)
		(void)closedir(dir);
}

void
confine_allow_web(struct confine *c)
{
	static const char *const files[] = { "/etc/resolv.conf", "/etc/hosts",
		"/etc/host.conf", "/etc/nsswitch.conf", "/etc/gai.conf",
		"/etc/services", "/etc/protocols", "/run/systemd/resolve",
		"/run/resolvconf", "/run/NetworkManager/resolv.conf",
		"/run/connman", "/etc/ssl/certs", "/etc/ssl/cert.pem",
		"/etc/ssl/openssl.cnf", "/usr/lib/ssl", "/usr/share/ssl",
		"/usr/share/ca-certificates",
		"/usr/local/share/ca-certificates", "/etc/pki/tls",
		"/etc/pki/ca-trust", "/etc/ca-certificates",
		"/etc/crypto-policies", "/var/lib/ca-certificates" };
	static const char *const variables[] = { "SSL_CERT_FILE",
		"SSL_CERT_DIR", "OPENSSL_CONF" };

	c->web = true;
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++)
		confine_allow(c, files[i], false);
	for (size_t i = 0; i < sizeof(variables) / sizeof(variables[0]); i++) {
		const char *value = secure_getenv(variables[i]);

		if (value != NULL && value[0] == '/')
			confine_allow(c, value, false);
	}
}

/* What any program of this machine may need: modules of libc, random bytes. */
static void
allow_system(struct confine *c)
{
	static const char *const files[] = { "/lib", "/lib64", "/usr/lib",
		"/usr/lib64", "/usr/local/lib", "/nix/store", "/gnu/store",
		"/etc/ld.so.cache", "/dev/null", "/dev/urandom",
		"/sys/devices/system/cpu" };

	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++)
		confine_allow(c, files[i], false);
	if (instrumented) {
		confine_allow(c, DM_INSTRUMENTED, true);
		confine_allow(c, "/usr", false);
		confine_allow(c, "/proc", false);
	}
}

bool
confine_outdated(const struct confine *c)
{
	if ((c->parts & CONFINE_LANDLOCK) == 0)
		return false;
	for (unsigned i = 0; i < c->npaths; i++) {
		const struct confine_path *p = &c->paths[i];
		dev_t dev;
		ino_t ino;

		look(p->path, &dev, &ino);
		if (dev != p->dev || ino != p->ino)
			return true;
	}
	return false;
}

/* What took rights to find that are given up by now: no other process of this
 * kind finds it either, so it is not missed. */
static void
forget_unfindable(struct confine *c)
{
	for (unsigned i = 0; i < c->npaths; i++) {
		struct confine_path *p = &c->paths[i];
		dev_t dev;
		ino_t ino;

		look(p->path, &dev, &ino);
		if (ino == 0) {
			p->dev = 0;
			p->ino = 0;
		}
	}
}

/* ---- Landlock ---- */

/* The kernel's, by number: these headers may be older than the kernel. */
enum {
	LANDLOCK_EXECUTE = 1 << 0,
	LANDLOCK_WRITE_FILE = 1 << 1,
	LANDLOCK_READ_FILE = 1 << 2,
	LANDLOCK_READ_DIR = 1 << 3,
	LANDLOCK_REFER = 1 << 13,     /* from version 2 on */
	LANDLOCK_TRUNCATE = 1 << 14,  /* 3 */
	LANDLOCK_IOCTL_DEV = 1 << 15, /* 5 */
	LANDLOCK_ABI_1 = (1 << 13) - 1,
	LANDLOCK_ABI_LEAST = 2, /* 1 cannot rename between directories */
	LANDLOCK_VERSION = 1,   /* flag of create_ruleset */
	LANDLOCK_BENEATH = 1,   /* kind of rule */
	LANDLOCK_READ = LANDLOCK_READ_FILE | LANDLOCK_READ_DIR,
	/* of what only means something for directories */
	LANDLOCK_OF_FILES = LANDLOCK_EXECUTE | LANDLOCK_WRITE_FILE |
	    LANDLOCK_READ_FILE | LANDLOCK_TRUNCATE | LANDLOCK_IOCTL_DEV,
};

struct landlock_ruleset {
	uint64_t handled;
};

struct landlock_rule {
	uint64_t allowed;
	int32_t fd;
} __attribute__((packed));

static int
landlock_abi(void)
{
	return (int)syscall(SYS_landlock_create_ruleset, NULL, (size_t)0,
	    LANDLOCK_VERSION);
}

static uint64_t
landlock_rights(int abi)
{
	uint64_t rights = LANDLOCK_ABI_1 | LANDLOCK_REFER;

	if (abi >= 3)
		rights |= LANDLOCK_TRUNCATE;
	if (abi >= 5)
		rights |= LANDLOCK_IOCTL_DEV;
	return rights;
}

/* What is not there needs no rule, and gets none. */
static void
landlock_add(int ruleset, const struct confine_path *p, uint64_t rights)
{
	DM_AUTO(dm_closep) int fd = open(p->path, O_PATH | O_CLOEXEC);
	struct landlock_rule rule = { .allowed = LANDLOCK_READ, .fd = fd };
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return;
	if (p->writable)
		rule.allowed =
		    rights & ~(uint64_t)(LANDLOCK_EXECUTE | LANDLOCK_IOCTL_DEV);
	if (instrumented)
		rule.allowed |= LANDLOCK_EXECUTE;
	if (!S_ISDIR(st.st_mode))
		rule.allowed &= (uint64_t)LANDLOCK_OF_FILES;
	(void)syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_BENEATH, &rule,
	    0U);
}

static bool
restrict_files(const struct confine *c)
{
	int abi = landlock_abi();
	struct landlock_ruleset attr = { .handled = landlock_rights(abi) };
	DM_AUTO(dm_closep) int ruleset = -1;

	if (abi < 0)
		return false;
	if (abi < LANDLOCK_ABI_LEAST) {
		errno = EOPNOTSUPP;
		return false;
	}
	ruleset =
	    (int)syscall(SYS_landlock_create_ruleset, &attr, sizeof(attr), 0U);
	if (ruleset < 0)
		return false;
	for (unsigned i = 0; i < c->npaths; i++)
		landlock_add(ruleset, &c->paths[i], attr.handled);
	return syscall(SYS_landlock_restrict_self, ruleset, 0U) == 0;
}

/* ---- seccomp ---- */

#if defined(__x86_64__)
#define CONFINE_ARCH AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define CONFINE_ARCH AUDIT_ARCH_AARCH64
#elif defined(__riscv) && __riscv_xlen == 64
#define CONFINE_ARCH AUDIT_ARCH_RISCV64
#elif defined(__powerpc64__) && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define CONFINE_ARCH AUDIT_ARCH_PPC64LE
#endif

#ifdef CONFINE_ARCH

enum {
	CONFINE_NEWEST = 462, /* mseal(2), Linux 6.10; the same everywhere */
	CONFINE_FILTER_MAX = 256,
};

/* What starts another program.  Denied, but to what writes reports. */
static const int starters[] = {
#ifdef SYS_fork
	SYS_fork, SYS_vfork,
#endif
	SYS_execve, SYS_execveat, SYS_kill
};

static const int denied[] = {
	/* other processes */
	SYS_ptrace, SYS_process_vm_readv, SYS_process_vm_writev, SYS_kcmp,
	SYS_pidfd_open, SYS_pidfd_getfd, SYS_pidfd_send_signal,
	SYS_process_madvise, SYS_tkill, SYS_rt_sigqueueinfo,
	SYS_rt_tgsigqueueinfo, SYS_migrate_pages, SYS_move_pages,
	/* namespaces and mounts */
	SYS_unshare, SYS_setns, SYS_mount, SYS_umount2, SYS_pivot_root,
	SYS_chroot, SYS_move_mount, SYS_open_tree, SYS_fsopen, SYS_fsconfig,
	SYS_fsmount, SYS_fspick, SYS_mount_setattr, SYS_swapon, SYS_swapoff,
	SYS_quotactl, SYS_quotactl_fd, SYS_acct,
	/* files by other ways than those that Landlock guards */
	SYS_open_by_handle_at, SYS_name_to_handle_at, SYS_fanotify_init,
	SYS_fchmodat, SYS_fchown, SYS_fchownat, SYS_mknodat, SYS_setxattr,
	SYS_lsetxattr, SYS_removexattr, SYS_lremovexattr,
#ifdef SYS_chmod
	SYS_chmod, SYS_chown, SYS_lchown, SYS_mknod, SYS_utime, SYS_utimes,
#endif
	/* who we are */
	SYS_setuid, SYS_setgid, SYS_setreuid, SYS_setregid, SYS_setresuid,
	SYS_setresgid, SYS_setgroups, SYS_setfsuid, SYS_setfsgid, SYS_capset,
	SYS_personality, SYS_setsid,
	/* depths of the kernel */
	SYS_bpf, SYS_perf_event_open, SYS_userfaultfd, SYS_io_uring_setup,
	SYS_io_uring_enter, SYS_io_uring_register, SYS_add_key, SYS_request_key,
	SYS_keyctl, SYS_init_module, SYS_finit_module, SYS_delete_module,
	SYS_kexec_load, SYS_reboot, SYS_syslog, SYS_vhangup, SYS_nfsservctl,
	SYS_shmget, SYS_shmat, SYS_msgget, SYS_semget, SYS_mq_open,
#ifdef SYS_kexec_file_load
	SYS_kexec_file_load,
#endif
#ifdef SYS_iopl
	SYS_iopl, SYS_ioperm, SYS_modify_ldt, SYS_uselib, SYS_ustat, SYS_sysfs,
#endif
	/* the machine's clock and name */
	SYS_settimeofday, SYS_clock_settime, SYS_clock_adjtime, SYS_adjtimex,
	SYS_sethostname, SYS_setdomainname,
	/* to be called from the network */
	SYS_listen, SYS_accept, SYS_accept4
};

struct filter {
	struct sock_filter code[CONFINE_FILTER_MAX];
	unsigned short n;
};

static void
add(struct filter *f, unsigned code, uint32_t k, unsigned yes, unsigned no)
{
	f->code[f->n++] = (struct sock_filter){
		.code = (uint16_t)code,
		.jt = (uint8_t)yes,
		.jf = (uint8_t)no,
		.k = k,
	};
}

static void
load(struct filter *f, size_t offset)
{
	add(f, BPF_LD | BPF_W | BPF_ABS, (uint32_t)offset, 0, 0);
}

static void
answer(struct filter *f, uint32_t what)
{
	add(f, BPF_RET | BPF_K, what, 0, 0);
}

static uint32_t
error_of(int e)
{
	return SECCOMP_RET_ERRNO | (uint32_t)e;
}

/* If the number is nr: answer what. */
static void
on_call(struct filter *f, int nr, uint32_t what)
{
	add(f, BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)nr, 0, 1);
	answer(f, what);
}

/* The low half of an argument: all machines above are little-endian. */
static size_t
low_half(unsigned i)
{
	return offsetof(struct seccomp_data, args) + 8 * (size_t)i;
}

/* For the call nr: if argument i is one of values, answer yes, else no. */
static void
on_value(struct filter *f, int nr, unsigned i, const uint32_t *values,
    unsigned n, const uint32_t what[2])
{
	/* The number is lost when the argument is loaded: answer here. */
	add(f, BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)nr, 0, n + 3);
	load(f, low_half(i));
	for (unsigned j = 0; j < n; j++)
		add(f, BPF_JMP | BPF_JEQ | BPF_K, values[j], n - j, 0);
	answer(f, what[0]);
	answer(f, what[1]);
}

static void
on_sockets(struct filter *f, bool web)
{
	static const uint32_t families[] = { AF_INET, AF_INET6, AF_NETLINK };
	const uint32_t what[2] = { error_of(EAFNOSUPPORT), SECCOMP_RET_ALLOW };

	if (web)
		on_value(f, SYS_socket, 0, families, 3, what);
	else
		on_call(f, SYS_socket, error_of(EAFNOSUPPORT));
}

/* Threads, and nothing else.  The flags of clone3() are out of a filter's
 * reach; libc does without it. */
static void
on_clones(struct filter *f)
{
	on_call(f, SYS_clone3, error_of(ENOSYS));
	if (instrumented)
		return;
	add(f, BPF_JMP | BPF_JEQ | BPF_K, SYS_clone, 0, 4);
	load(f, low_half(0));
	add(f, BPF_JMP | BPF_JSET | BPF_K, CLONE_THREAD, 0, 1);
	answer(f, SECCOMP_RET_ALLOW);
	answer(f, error_of(EPERM));
}

static void
make_filter(struct filter *f, bool web)
{
	static const uint32_t to_terminals[] = { TIOCSTI, 0x541C /* LINUX */ };
	const uint32_t self[] = { (uint32_t)getpid() };
	const uint32_t refuse[2] = { SECCOMP_RET_ALLOW, error_of(EPERM) },
		       admit[2] = { error_of(EPERM), SECCOMP_RET_ALLOW };

	f->n = 0;
	load(f, offsetof(struct seccomp_data, arch));
	add(f, BPF_JMP | BPF_JEQ | BPF_K, CONFINE_ARCH, 1, 0);
	answer(f, error_of(ENOSYS));
	load(f, offsetof(struct seccomp_data, nr));
	add(f, BPF_JMP | BPF_JGT | BPF_K, CONFINE_NEWEST, 0, 1);
	answer(f, error_of(ENOSYS));
	for (size_t i = 0; i < sizeof(denied) / sizeof(denied[0]); i++)
		on_call(f, denied[i], error_of(EPERM));
	for (size_t i = 0;
	     !instrumented && i < sizeof(starters) / sizeof(starters[0]); i++)
		on_call(f, starters[i], error_of(EPERM));
	on_value(f, SYS_tgkill, 0, self, 1, admit);
	on_value(f, SYS_ioctl, 1, to_terminals, 2, refuse);
	on_sockets(f, web);
	on_clones(f);
	answer(f, SECCOMP_RET_ALLOW);
}

/* The flag keeps older kernels from slowing the process down: what runs here
 * has no secrets from itself. */
static bool
filter_calls(bool web)
{
	struct filter f;
	struct sock_fprog prog = { .filter = f.code };

	make_filter(&f, web);
	prog.len = f.n;
	return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER,
		   SECCOMP_FILTER_FLAG_SPEC_ALLOW, &prog) == 0;
}

static bool
can_filter(void)
{
	uint32_t action = SECCOMP_RET_ERRNO;

	return syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0U, &action) == 0;
}

#else /* no table for this machine */

static bool
filter_calls(bool web)
{
	(void)web;
	errno = EOPNOTSUPP;
	return false;
}

static bool
can_filter(void)
{
	return false;
}

#endif

/* ---- capabilities ---- */

static uint32_t
capability(bool kept, unsigned which)
{
	return kept ? 1U << which : 0;
}

/* All but those kept are below 32.  None can be gained. */
static bool
drop_capabilities(const struct confine *c)
{
	struct __user_cap_header_struct header = {
		.version = _LINUX_CAPABILITY_VERSION_3,
	};
	struct __user_cap_data_struct data[2];
	uint32_t keep = capability(c->keep_admin, CAP_SYS_ADMIN) |
	    capability(c->keep_search, CAP_DAC_READ_SEARCH);

	if (syscall(SYS_capget, &header, data) < 0)
		return false;
	data[0].permitted &= keep;
	data[0].effective = data[0].permitted;
	data[0].inheritable = 0;
	data[1].permitted = 0;
	data[1].effective = 0;
	data[1].inheritable = 0;
	return syscall(SYS_capset, &header, data) == 0;
}

/* ---- all of it ---- */

bool
confine_hide(void)
{
	return prctl(PR_SET_DUMPABLE, 0L, 0L, 0L, 0L) == 0;
}

static const struct {
	enum confine_part part;
	const char *word;
} words[] = {
	{ CONFINE_NO_NEW_PRIVS, "no-new-privs" },
	{ CONFINE_NOT_DUMPABLE, "not-dumpable" },
	{ CONFINE_CAPABILITIES, "capabilities" },
	{ CONFINE_LANDLOCK, "landlock" },
	{ CONFINE_SECCOMP, "seccomp" },
};

void
confine_words(unsigned parts, char *out, size_t size)
{
	size_t n = 0;

	out[0] = '\0';
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if ((parts & words[i].part) != 0 && n < size)
			n += (size_t)snprintf(out + n, size - n, "%s%s",
			    n > 0 ? " " : "", words[i].word);
}

static void
note(struct confine *c, enum confine_part part, bool done)
{
	size_t n = strlen(c->missing);
	char word[32];

	if (done) {
		c->parts |= part;
		return;
	}
	confine_words(part, word, sizeof(word));
	(void)snprintf(c->missing + n, sizeof(c->missing) - n, "%s%s: %m",
	    n > 0 ? ", " : "", word);
}

/* Landlock and seccomp want no_new_privs first; the filter comes last, for it
 * denies what the others are made with. */
void
confine_apply(struct confine *c)
{
	allow_system(c);
	note(c, CONFINE_NOT_DUMPABLE, confine_hide());
	note(c, CONFINE_NO_NEW_PRIVS,
	    prctl(PR_SET_NO_NEW_PRIVS, 1L, 0L, 0L, 0L) == 0);
	note(c, CONFINE_LANDLOCK, restrict_files(c));
	note(c, CONFINE_CAPABILITIES, drop_capabilities(c));
	note(c, CONFINE_SECCOMP, filter_calls(c->web));
	forget_unfindable(c);
}

unsigned
confine_supported(void)
{
	unsigned parts =
	    CONFINE_NO_NEW_PRIVS | CONFINE_NOT_DUMPABLE | CONFINE_CAPABILITIES;

	if (landlock_abi() >= LANDLOCK_ABI_LEAST)
		parts |= CONFINE_LANDLOCK;
	return can_filter() ? parts | CONFINE_SECCOMP : parts;
}
