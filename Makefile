# datamount.  Needs GNU make.  `make help` lists the targets.
VERSION  := 0.1
PREFIX   ?= /usr/local
BINDIR   ?= $(PREFIX)/bin
MANDIR   ?= $(PREFIX)/share/man
DESTDIR  ?=
VARIANT  ?= release#     release, asan or tsan
FUZZ_SECONDS ?= 30

PKG_CONFIG ?= pkg-config
CLANG   ?= clang
PKGS    := fuse3 jansson libcurl libzstd openssl sqlite3
B       := build/$(VARIANT)

# CFLAGS and LDFLAGS belong to whoever runs make; ours are in DM_*.
CFLAGS  ?= -O2 -g
DM_CPPFLAGS := -I. -D_GNU_SOURCE -DFUSE_USE_VERSION=314 -D_FILE_OFFSET_BITS=64 \
	-DDATAMOUNT_VERSION='"$(VERSION)"' $(shell $(PKG_CONFIG) --cflags $(PKGS))
DM_CFLAGS := -std=gnu11 -pthread -fno-common -fvisibility=hidden \
	-Wall -Wextra -Wshadow -Wundef -Wvla -Wformat=2 -Wconversion \
	-Wstrict-prototypes -Wmissing-prototypes -Wold-style-definition \
	-Wwrite-strings -Wpointer-arith -Wcast-qual -Wswitch-enum \
	-Wimplicit-fallthrough -Wnull-dereference
DM_LDFLAGS := -pthread
DM_LDLIBS := $(shell $(PKG_CONFIG) --libs $(PKGS))
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
else
$(error VARIANT is release, asan or tsan, not $(VARIANT))
endif
DM_CFLAGS += $(SAN) -fno-omit-frame-pointer
DM_LDFLAGS += $(SAN)

LIB_SRC  := $(filter-out fs/cmd/%,$(wildcard cache/*.c cache/*/*.c fs/*.c fs/*/*.c))
CMD_SRC  := $(wildcard fs/cmd/*.c)
CMD_MAIN := fs/cmd/main.c $(wildcard fs/cmd/cmd_*.c)
AID_SRC  := $(filter-out %_main.c,$(wildcard tests/lib/*.c))
UNIT     := $(patsubst tests/unit/%.c,$B/unit/%,$(wildcard tests/unit/*.c))
FUZZ     := $(patsubst tests/fuzz/%.c,build/fuzz/%,$(wildcard tests/fuzz/*.c))
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

# While these are missing, what needs them fails when it is called.
ifneq ($(words $(wildcard cache/cache.c fs/mount/supervisor.c)),2)
$B/datamount: LDFLAGS += -Wl,--unresolved-symbols=ignore-all,-z,lazy -no-pie
endif
$B/datamount: $(call objs,$(CMD_MAIN)) $B/libcmd.a $B/libdatamount.a
	$(call Q,LD)$(CC) $(DM_LDFLAGS) $(LDFLAGS) -o $@ $^ $(DM_LDLIBS)

$B/unit/%: $B/tests/unit/%.o $(call objs,$(AID_SRC)) $B/libdatamount.a
	@mkdir -p $(@D)
	$(call Q,LD)$(CC) $(DM_LDFLAGS) $(LDFLAGS) -o $@ $^ -lcmocka $(DM_LDLIBS)

# The server that misbehaves, for tests that are no C.
$B/httpd: $(call objs,tests/lib/httpd_main.c $(AID_SRC)) $B/libdatamount.a
	$(call Q,LD)$(CC) $(DM_LDFLAGS) $(LDFLAGS) -o $@ $^ $(DM_LDLIBS)

test: unit e2e ## all tests of this VARIANT

unit: $(UNIT) ## C tests only
	CMOCKA_MESSAGE_OUTPUT=TAP prove -e '' $(UNIT)

e2e: $B/datamount $B/httpd ## tests of the built program, mounts included
	DATAMOUNT=$(CURDIR)/$B/datamount HTTPD=$(CURDIR)/$B/httpd prove -e '' tests/e2e/*.bats

check-asan: ## all tests under AddressSanitizer and UBSan
	$(MAKE) VARIANT=asan test

check-tsan: ## all tests under ThreadSanitizer
	$(MAKE) VARIANT=tsan test

tidy: ## formatting, layering, static analysis, shell and manual pages
	clang-format --dry-run --Werror $(OURS)
	scripts/check-layers
	scripts/check-words
	clang-tidy --quiet $(LIB_SRC) $(CMD_SRC) -- -std=gnu11 $(DM_CPPFLAGS)
	$(CLANG) -fsyntax-only -std=gnu11 -Wthread-safety -Werror $(DM_CPPFLAGS) \
		$(LIB_SRC) $(CMD_SRC)
	shellcheck -x scripts/* tests/e2e/*.bats tests/e2e/helpers.bash
	mandoc -Tlint -Wwarning $(MAN)

build/fuzz/%: tests/fuzz/%.c $(LIB_SRC)
	@mkdir -p $(@D)
	$(CLANG) -g -O1 -std=gnu11 -pthread -fsanitize=fuzzer,address,undefined \
		$(DM_CPPFLAGS) -o $@ $^ $(DM_LDLIBS)

fuzz: $(FUZZ) ## FUZZ_SECONDS of each fuzzer, from tests/fuzz/corpus
	@for f in $(FUZZ); do c=tests/fuzz/corpus/$${f##*/fuzz_}; mkdir -p $$c; \
		$$f -max_total_time=$(FUZZ_SECONDS) $$c || exit 1; done

bench: $B/datamount ## numbers, not verdicts
	scripts/bench $B/datamount

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
.PHONY: all test unit e2e check-asan check-tsan tidy fuzz bench install uninstall clean help
.SECONDARY:
