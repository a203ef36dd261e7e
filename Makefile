# datamount.  Needs GNU make.  `make help` lists the targets.
VERSION  := 0.1
PREFIX   ?= /usr/local
BINDIR   ?= $(PREFIX)/bin
MANDIR   ?= $(PREFIX)/share/man
DESTDIR  ?=
VARIANT  ?= release#     release, asan, tsan or coverage
FUZZ_SECONDS ?= 30
FUZZ_RUNS ?=#            executions of each fuzzer, instead
JOBS     ?= 2#           test files that run at once

PKG_CONFIG ?= pkg-config
CLANG   ?= clang
PKGS    := fuse3 jansson libcurl libzstd openssl sqlite3
LOADED  := libarchive#      once it is needed
B       := build/$(VARIANT)

# With a libfuse that is not the system's: make FUSE_PREFIX=build/libfuse; it
# is made there if need be.  What is built with it lies apart.
FUSE_PREFIX ?=
ifneq ($(FUSE_PREFIX),)
B        := build/$(VARIANT)-fuse
override PKG_CONFIG := PKG_CONFIG_PATH=$(abspath $(FUSE_PREFIX))/lib/pkgconfig $(PKG_CONFIG)
FUSE_INCLUDE := -isystem $(abspath $(FUSE_PREFIX))/include
ifeq ($(filter clean help,$(MAKECMDGOALS)),)
include $(FUSE_PREFIX)/made.mk
endif
endif

# CFLAGS and LDFLAGS belong to whoever runs make; ours are in DM_*.
CFLAGS  ?= -O2 -g
DM_CPPFLAGS := -I. $(FUSE_INCLUDE) -D_GNU_SOURCE -DFUSE_USE_VERSION=314 -D_FILE_OFFSET_BITS=64 \
	-DDATAMOUNT_VERSION='"$(VERSION)"' $(shell $(PKG_CONFIG) --cflags $(PKGS) $(LOADED) 2>/dev/null)
DM_CFLAGS := -std=gnu11 -pthread -fno-common -fvisibility=hidden \
	-Wall -Wextra -Wshadow -Wundef -Wvla -Wformat=2 -Wconversion \
	-Wstrict-prototypes -Wmissing-prototypes -Wold-style-definition \
	-Wwrite-strings -Wpointer-arith -Wcast-qual -Wswitch-enum \
	-Wimplicit-fallthrough -Wnull-dereference
DM_LDFLAGS := -pthread
DM_LDLIBS := $(shell $(PKG_CONFIG) --libs $(PKGS) 2>/dev/null)
ifdef WERROR
DM_CFLAGS += -Werror
endif

ifeq ($(VARIANT),release)
DM_CPPFLAGS += -D_FORTIFY_SOURCE=2
DM_CFLAGS += -fstack-protector-strong -fstack-clash-protection -fPIE
DM_LDFLAGS += -pie -Wl,-z,relro,-z,now,-z,noexecstack
else ifeq ($(VARIANT),asan)
SAN := -fsanitize=address,undefined -fno-sanitize-recover=all
else ifeq ($(VARIANT),tsan)
SAN := -fsanitize=thread
else ifeq ($(VARIANT),coverage)
SAN := --coverage -fprofile-update=atomic -O0
# Processes that end by _exit() write their counts, too.
DM_LDFLAGS += -Wl,--wrap=_exit
else
$(error VARIANT is release, asan, tsan or coverage, not $(VARIANT))
endif
DM_CFLAGS += $(SAN) -fno-omit-frame-pointer
# Workers are confined, and may yet write what these builds report.
ifneq ($(VARIANT),release)
DM_CPPFLAGS += -DDM_INSTRUMENTED='"$(CURDIR)/$B"'
endif
DM_LDFLAGS += $(SAN)

LIB_SRC  := $(filter-out fs/cmd/%,$(wildcard cache/*.c cache/*/*.c fs/*.c fs/*/*.c))
ifeq ($(VARIANT),coverage)
LIB_SRC  += tests/coverage/exit.c
endif
CMD_SRC  := $(wildcard fs/cmd/*.c)
CMD_MAIN := fs/cmd/main.c $(wildcard fs/cmd/cmd_*.c)
AID_SRC  := $(filter-out %_main.c %/preload.c,$(wildcard tests/lib/*.c))
UNIT     := $(patsubst tests/unit/%.c,$B/unit/%,$(wildcard tests/unit/*.c))
FUZZ     := $(patsubst tests/fuzz/%.c,build/fuzz/%,$(wildcard tests/fuzz/fuzz_*.c))
REPLAY   := $(patsubst build/fuzz/%,$B/replay/%,$(FUZZ))
FUZZ_FLAGS := -g -O1 -std=gnu11 -pthread -fsanitize=address,undefined
AIDS     := $B/httpd $B/model $B/posix $B/hostile
# Sanitizers have to be first among what is loaded.
ifeq ($(filter asan tsan,$(VARIANT)),)
AIDS     += $B/preload.so
endif
E2E      := $(sort $(wildcard tests/e2e/*.bats))
SCRIPTS  := $(wildcard scripts/* tests/e2e/* tests/passthrough/*) .ci/run
MAN      := $(wildcard man/*.[1-9])
OURS      = $(shell git ls-files '*.c' '*.h' 2>/dev/null || find . -name '*.[ch]')
objs      = $(patsubst %.c,$B/%.o,$(1))

# Short lines while building; V=1 shows the commands.
ifneq ($(V),1)
Q = @printf '  %-4s %s\n' $(1) $@;
endif

all: $B/datamount ## build the program

$B/%.o: %.c
	@mkdir -p $(@D)
	$(call Q,CC)$(CC) $(DM_CPPFLAGS) $(CPPFLAGS) $(DM_CFLAGS) $(CFLAGS) -MMD -MP -c -o $@ $<

$B/libdatamount.a: $(call objs,$(LIB_SRC))
	$(call Q,AR)$(RM) $@ && $(AR) rcs $@ $^

$B/libcmd.a: $(call objs,$(filter-out $(CMD_MAIN),$(CMD_SRC)))
	$(call Q,AR)$(RM) $@ && $(AR) rcs $@ $^

$B/datamount: $(call objs,$(CMD_MAIN)) $B/libcmd.a $B/libdatamount.a
	$(call Q,LD)$(CC) $(DM_LDFLAGS) $(LDFLAGS) -o $@ $^ $(DM_LDLIBS)

$B/unit/%: $B/tests/unit/%.o $(call objs,$(AID_SRC)) $B/libdatamount.a
	@mkdir -p $(@D)
	$(call Q,LD)$(CC) $(DM_LDFLAGS) $(LDFLAGS) -o $@ $^ -lcmocka $(DM_LDLIBS)

# This one is the whole program, and its main is in the test.
$B/unit/test_cmd_faults: $B/tests/unit/test_cmd_faults.o $(call objs,$(filter-out fs/cmd/main.c,$(CMD_MAIN))) \
		$B/libcmd.a $(call objs,$(AID_SRC)) $B/libdatamount.a
	@mkdir -p $(@D)
	$(call Q,LD)$(CC) $(DM_LDFLAGS) $(LDFLAGS) -o $@ $^ -lcmocka $(DM_LDLIBS)

# In these tests calls of ours fail in turn.
WRAP      = $(foreach f,$(1),-Wl,--wrap=$f)
MEMORY   := malloc calloc realloc reallocarray strdup strndup
FAULTS   := $(MEMORY) pthread_create write pwrite64 pwritev64v2 ftruncate64 fsync rename \
	renameat renameat2 linkat unlink unlinkat mkdir mkdirat read pread64 readlinkat \
	readdir64 fstat64 fstatat64 open64 openat64 opendir fdopendir
$B/unit/%_faults: DM_LDFLAGS += $(call WRAP,$(FAULTS))
$B/unit/test_publish: DM_LDFLAGS += $(call WRAP,dm_now_ms)
$B/unit/test_folder: DM_LDFLAGS += $(call WRAP,fsync)
$B/unit/test_net_nomem: DM_LDFLAGS += $(call WRAP,malloc calloc realloc strdup \
	curl_easy_init curl_multi_init curl_slist_append)

# The server that misbehaves, for tests that are no C.
$B/httpd: $(call objs,tests/lib/httpd_main.c $(AID_SRC)) $B/libdatamount.a
	$(call Q,LD)$(CC) $(DM_LDFLAGS) $(LDFLAGS) -o $@ $^ $(DM_LDLIBS)

# Random operations on a mount, and what POSIX says of one that is read-only.
$B/model: $(call objs,tests/lib/model_main.c $(AID_SRC)) $B/libdatamount.a
	$(call Q,LD)$(CC) $(DM_LDFLAGS) $(LDFLAGS) -o $@ $^ $(DM_LDLIBS)

$B/hostile: $(call objs,tests/lib/hostile_main.c $(AID_SRC)) $B/libdatamount.a
	$(call Q,LD)$(CC) $(DM_LDFLAGS) $(LDFLAGS) -o $@ $^ $(DM_LDLIBS)

$B/posix: $(call objs,tests/lib/posix_main.c) $B/libdatamount.a
	$(call Q,LD)$(CC) $(DM_LDFLAGS) $(LDFLAGS) -o $@ $^ $(DM_LDLIBS)

# What makes calls of a program fail.
$B/preload.so: tests/lib/preload.c
	@mkdir -p $(@D)
	$(call Q,LD)$(CC) -D_GNU_SOURCE $(CPPFLAGS) -std=gnu11 -fPIC -shared -Wall -Wextra $(CFLAGS) $(LDFLAGS) -o $@ $<

# Readers whose time is the file system's.
$B/reader: tests/bench/reader.c
	@mkdir -p $(@D)
	$(call Q,LD)$(CC) $(DM_CPPFLAGS) $(DM_CFLAGS) $(CFLAGS) $(DM_LDFLAGS) $(LDFLAGS) -o $@ $<

BENCH_DIR ?= build/bench#  inputs of the benchmark are kept here
SCALE    ?= medium#       small, medium or full
ROUNDS   ?= 0#            0: as many as the scale has
bench: ## measure, beside other programs; W=W3,W5 SCALE=small|full ROUNDS=N BENCH_DIR=DIR
	-@scripts/install-deps bench
	@$(MAKE) --no-print-directory all $B/httpd $B/reader
	@python3 -B -m tests.bench --build $B --dir '$(BENCH_DIR)' \
		--only '$(W)' --scale '$(SCALE)' --rounds '$(ROUNDS)'

bench-readme: ## write the last table of bench into the README
	@python3 -B -m tests.bench --readme README.md

# What the tests of reliability tried, a line of JSON each.
RESULTS  := $(CURDIR)/$B/results.jsonl
SOAK_TRIES ?= 10000000
SOAK_PART ?= 1#           make soak SOAK_PART=10000: that part of it, in minutes
export SOAK_PART
# Sanitizers make a program slow: under them it need not try as much.  Some of
# it only root can try.
ifeq ($(VARIANT),release)
CHECK    := $(if $(filter 0,$(shell id -u)),--check)
else
export DM_CORRUPT_TRIES ?= 1500
export DM_FEW := 1
endif

# All run, whatever the first one says; then the whole is what they say.
test: ## install what is missing, then run all tests of this VARIANT
	@scripts/install-deps test
	@mkdir -p $B && : >$(RESULTS) && chmod 666 $(RESULTS)
	@status=0; export DM_RESULTS=$(RESULTS); \
	$(MAKE) --no-print-directory unit || status=1; \
	DM_REQUIRE_FUSE=1 $(MAKE) --no-print-directory e2e || status=1; \
	scripts/reliability-report $(CHECK) $(RESULTS) || status=1; \
	[ $$status = 0 ] && echo 'All tests passed.' || echo 'TESTS FAILED.'; \
	exit $$status

soak: ## the tests of reliability at full length: days; or SOAK_PART=1000 of it
	@scripts/install-deps test fuzz
	@mkdir -p $B && : >$(RESULTS) && chmod 666 $(RESULTS)
	@status=0; export SOAK=1 DM_RESULTS=$(RESULTS); \
	DM_CORRUPT_TRIES=$$(($(SOAK_TRIES) / SOAK_PART)) $(MAKE) --no-print-directory unit || status=1; \
	DM_REQUIRE_FUSE=1 $(MAKE) --no-print-directory e2e || status=1; \
	$(MAKE) --no-print-directory fuzz-run FUZZ_RUNS=$$((100000000 / SOAK_PART)) || status=1; \
	scripts/reliability-report --soak --part $(SOAK_PART) --check $(RESULTS) || status=1; \
	exit $$status

# Sanitizers of daemons report into files: a test may not see them fail.  A
# worker that must go at once leaves its threads to the kernel: no leak.
REPORTS  := $(CURDIR)/$B/reports
SAN_ENV  := ASAN_OPTIONS=log_path=$(REPORTS)/asan \
	LSAN_OPTIONS=print_suppressions=0:suppressions=$(CURDIR)/tests/lib/lsan.supp \
	UBSAN_OPTIONS=print_stacktrace=1:log_path=$(REPORTS)/ubsan \
	TSAN_OPTIONS=second_deadlock_stack=1:report_thread_leaks=0:log_path=$(REPORTS)/tsan
with_reports = @rm -rf $(REPORTS) && mkdir -p -m 1777 $(REPORTS); \
	$(SAN_ENV) $(1); status=$$?; \
	if [ -n "$$(ls $(REPORTS))" ]; then cat $(REPORTS)/*; status=1; fi; \
	exit $$status

# A fuzz target that runs over its corpus once.
$B/replay/%: $B/tests/fuzz/%.o $B/tests/fuzz/replay.o $B/libdatamount.a
	@mkdir -p $(@D)
	$(call Q,LD)$(CC) $(DM_LDFLAGS) $(LDFLAGS) -o $@ $^ $(DM_LDLIBS)

unit: $(UNIT) $(REPLAY) ## C tests only
	$(call with_reports,CMOCKA_MESSAGE_OUTPUT=TAP prove -j $(JOBS) -f -e '' $(UNIT) $(REPLAY))

e2e: $B/datamount $(AIDS) ## tests of the built program, mounts included
	$(call with_reports,DATAMOUNT=$(CURDIR)/$B/datamount \
		prove -j $(JOBS) -f -o --timer -e 'bats --tap' $(E2E))

reliability-report: ## what the last run of the tests tried, and found
	@scripts/reliability-report $(RESULTS)

check-asan: ## all tests under AddressSanitizer and UBSan
	$(MAKE) VARIANT=asan test

check-tsan: ## all tests under ThreadSanitizer
	$(MAKE) VARIANT=tsan test

# Tests that fail do not keep the numbers from us.  Counts left by an earlier
# build do not fit.  Other users' processes count, too, in files open to them.
coverage: ## lines and branches that the tests run, by folder; fails if few
	@scripts/install-deps coverage
	@$(MAKE) VARIANT=coverage CFLAGS=-g coverage-run
	@$(MAKE) VARIANT=coverage coverage-report

coverage-run: $B/datamount $(AIDS) $(UNIT) $(REPLAY)
	@find $B -name '*.gcda' -delete
	@find $B -name '*.gcno' | sed 's/gcno$$/gcda/' | \
		xargs sh -c 'touch "$$@" && chmod 666 "$$@"' sh
	-@$(MAKE) --no-print-directory test
	@find $B -name '*.gcda' -empty -delete

# A branch that gcc added and no input can take is none of ours.
coverage-report:
	@gcovr -r . --object-directory $B -f 'cache/' -f 'fs/' \
		--exclude-unreachable-branches --exclude-throw-branches \
		--txt $B/coverage.txt --csv $B/coverage.csv
	@scripts/coverage-table $B/coverage.csv

tidy: ## formatting, layering, static analysis, shell and manual pages
	@clang-format --dry-run --Werror $(OURS)
	scripts/check-layers
	scripts/check-words
	@printf '%s\n' $(LIB_SRC) $(CMD_SRC) | FLAGS='$(subst ',,$(DM_CPPFLAGS))' \
		xargs -P $(JOBS) -n 1 sh -c \
		'clang-tidy --quiet "$$@" -- -std=gnu11 $$FLAGS 2>/dev/null' sh
	@$(CLANG) -fsyntax-only -std=gnu11 -Wall -Wextra -Wthread-safety -Werror \
		$(DM_CPPFLAGS) $(LIB_SRC) $(CMD_SRC)
	@shellcheck -x $(filter-out scripts/check-help scripts/scale scripts/reliability-report,$(SCRIPTS))
	mandoc -Tlint -Wwarning $(MAN)

build/fuzz/%.o: %.c
	@mkdir -p $(@D)
	$(call Q,CC)$(CLANG) $(FUZZ_FLAGS),fuzzer-no-link $(DM_CPPFLAGS) -MMD -MP -c -o $@ $<

build/fuzz/libdatamount.a: $(patsubst %.c,build/fuzz/%.o,$(LIB_SRC))
	$(call Q,AR)$(RM) $@ && $(AR) rcs $@ $^

build/fuzz/%: tests/fuzz/%.c build/fuzz/libdatamount.a
	$(call Q,LD)$(CLANG) $(FUZZ_FLAGS),fuzzer $(DM_CPPFLAGS) -o $@ $^ $(DM_LDLIBS)

fuzz: ## FUZZ_SECONDS or FUZZ_RUNS of each fuzzer, from tests/fuzz/corpus
	@scripts/install-deps fuzz
	@$(MAKE) --no-print-directory fuzz-run

fuzz-run: $(FUZZ)
	@FUZZ_RUNS=$(FUZZ_RUNS) FUZZ_SECONDS=$(FUZZ_SECONDS) DM_RESULTS=$(RESULTS) \
		scripts/run-fuzzers $(FUZZ)

# make reads this file, and begins anew when it had to be made.
$(FUSE_PREFIX)/made.mk:
	@scripts/build-libfuse $(FUSE_PREFIX)
	@touch $@

check-passthrough: ## tests of files that the kernel reads by itself, as root
	@scripts/install-deps test
	@$(MAKE) --no-print-directory FUSE_PREFIX=build/libfuse \
		E2E='tests/passthrough/*.bats' e2e-passthrough

e2e-passthrough: $B/datamount $(AIDS)
	$(call with_reports,DM_REQUIRE_FUSE=1 DATAMOUNT=$(CURDIR)/$B/datamount \
		prove -f -o --timer -e 'bats --tap' $(E2E))

demo: ## install what is needed, build, and show the main job
	@scripts/install-deps demo
	@$(MAKE) --no-print-directory all
	@scripts/demo $(CURDIR)/$B/datamount

install: $B/datamount ## into $(DESTDIR)$(PREFIX)
	install -d $(DESTDIR)$(BINDIR)
	install -m 755 $B/datamount $(DESTDIR)$(BINDIR)
	for m in $(MAN); do d=$(DESTDIR)$(MANDIR)/man$${m##*.}; \
		install -d $$d && install -m 644 $$m $$d || exit 1; done

uninstall: ## undo install
	$(RM) $(DESTDIR)$(BINDIR)/datamount
	for m in $(MAN); do $(RM) $(DESTDIR)$(MANDIR)/man$${m##*.}/$${m##*/}; done

clean: ## remove all that make made
	$(RM) -r build

help: ## this list
	@awk -F':.*## ' '/^[a-z0-9-]+:.*## / {printf "%-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

-include $(shell find build -name '*.d' 2>/dev/null)
.PHONY: all test soak unit e2e check-asan check-tsan tidy fuzz fuzz-run coverage coverage-run coverage-report \
	check-passthrough e2e-passthrough reliability-report bench bench-readme demo install uninstall clean help
.SECONDARY:
