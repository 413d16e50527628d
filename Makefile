# SPDX-License-Identifier: MIT
#
# make            user space into build/: libaccel, accelctl, the processor model (O= CC= V=1)
# make run        the main job: a model answers on the modelled processor (PROMPT="...")
# make deps       installs what building needs (for tests, too: packaging/install-deps --test)
# make check      every test, both kernels in a VM: a quarter of an hour, 2 GB in ~/.cache
# make unit       the tests that need neither root nor a VM, a minute
# make modules    octans.ko for the kernel in KDIR (for those of the VM: tests/vm/build-module)
# make same       MILLIONS=500 results of random commands, model against scalar and SIMD
# make fuzz       FUZZ_SECONDS=60 of hostile streams, clients, machine monitors and control lines each
# make bench      speed and memory beside the peers: as make check
# make install    into $(DESTDIR)$(PREFIX), PREFIX=/usr/local
# make help       this text

VERSION	:= 0.1.0
SONAME	:= libaccel.so.0
PREFIX	?= /usr/local
LIBDIR	?= $(PREFIX)/lib
KDIR	?= /lib/modules/$(shell uname -r)/build
MILLIONS ?= 500
FUZZ_SECONDS ?= 60
SEED	?= 1
MODEL	:= models/octans-demo.gguf
PROMPT	?= What is the capital of France?

# The CC that make itself brings is "cc", which not every machine has.
ifeq ($(origin CC),default)
CC	:= gcc
endif
O	?= build
CFLAGS	?= -O2 -g
SAN	?=
WERROR	?= $(if $(CI),-Werror)

# Numerics depend on it: nothing is contracted, reordered or flushed (numerics.rst).
NUMERIC	:= -ffp-contract=off -fno-fast-math
DRM_CFLAGS := $(shell pkg-config --cflags libdrm 2>/dev/null)
DRM_LIBS   := $(shell pkg-config --libs libdrm 2>/dev/null)
ALL_CFLAGS = -std=gnu11 -D_GNU_SOURCE -Wall -Wextra $(WERROR) -fPIC -fvisibility=hidden -pthread \
	     $(NUMERIC) -Ilibaccel/include -Ilibaccel -Iuapi -Itools/octans-sim \
	     $(DRM_CFLAGS) -MMD -MP $(CFLAGS) $(FILE_CFLAGS) $(SAN)
LIBS	= $(DRM_LIBS) -lm -pthread

lib_src := $(wildcard libaccel/*.c libaccel/*/*.c)
sim_src := $(filter-out %/octans-vfio-user.c,$(wildcard tools/octans-sim/*.c))
ctl_src := $(wildcard tools/accelctl/*.c)
unit_src := $(wildcard tests/unit/test_*.c)

# One short line a command; V=1 shows the command instead, -s nothing.
flags	:= $(firstword -$(MAKEFLAGS))
silent	:= $(if $(findstring =,$(flags)),,$(findstring s,$(flags)))
say = $(if $(V),,@$(if $(silent),,printf '  %-3s %s\n' $(1) $(@:$(O)/%=%);) )

obj = $(patsubst %.c,$(O)/%.o,$(1))
lib_obj := $(call obj,$(lib_src))
sim_obj := $(call obj,$(sim_src))
ctl_obj := $(call obj,$(ctl_src))
# What unit tests may use of accelctl: all but its main().
ctl_lib_obj := $(filter-out %/main.o,$(ctl_obj))
units := $(patsubst tests/unit/%.c,$(O)/unit/%,$(unit_src))

all: $(O)/libaccel.so.$(VERSION) $(O)/libaccel.a $(O)/accelctl $(O)/octans-vfio-user

# What is missing is said once, before each compiler says it in its own words.
tools:
	@printf '#include <xf86drm.h>\n#include <jansson.h>\n' | \
		$(CC) $(DRM_CFLAGS) $(CFLAGS) -fsyntax-only -x c - 2>/dev/null || { \
		echo "make: $(CC) or the headers of libdrm or jansson are missing:" \
			"\`make deps\` installs them" >&2; exit 1; }

$(O)/%.o: %.c | tools
	@mkdir -p $(@D)
	$(call say,CC)$(CC) $(ALL_CFLAGS) -c -o $@ $<

$(O)/liboctans-sim.a: $(sim_obj)
	$(call say,AR)rm -f $@ && $(AR) rcs $@ $^

$(O)/libaccel.a: $(lib_obj)
	$(call say,AR)rm -f $@ && $(AR) rcs $@ $^

$(O)/libaccel.so.$(VERSION): $(lib_obj) $(O)/liboctans-sim.a libaccel/libaccel.map
	$(call say,LD)$(CC) -shared -Wl,-soname,$(SONAME) -Wl,--version-script=libaccel/libaccel.map -Wl,-z,defs \
		$(SAN) -o $@ $(lib_obj) $(O)/liboctans-sim.a $(LIBS)
	@ln -sf $(@F) $(O)/$(SONAME)
	@ln -sf $(@F) $(O)/libaccel.so

$(O)/accelctl: $(ctl_obj) $(O)/libaccel.a $(O)/liboctans-sim.a
	$(call say,LD)$(CC) $(SAN) -o $@ $^ -ljansson $(LIBS)

# accelctl on many damaged models in one process, for tests/e2e/bad-models.
$(O)/accelctl-batch: $(O)/tests/e2e/batch.o $(ctl_obj) $(O)/libaccel.a $(O)/liboctans-sim.a
	$(call say,LD)$(CC) $(SAN) -Wl,--wrap=main -o $@ $^ -ljansson $(LIBS)

$(O)/octans-vfio-user: $(O)/tools/octans-sim/octans-vfio-user.o $(O)/liboctans-sim.a
	$(call say,LD)$(CC) $(SAN) -o $@ $^ $(LIBS)

# Written from the manual alone, in Python; embedded by golden.h, which no list of dependencies shows.
$(O)/golden.bin: $(wildcard tests/unit/ref_*.py)
	@mkdir -p $(@D)
	@command -v python3 >/dev/null || { echo "make: python3, which makes the unit tests' vectors," \
		"is missing: \`packaging/install-deps --test\` installs what tests need" >&2; exit 1; }
	$(call say,GEN)python3 -B tests/unit/ref_numerics.py write $@

golden_obj := $(call obj,$(shell grep -l golden.h $(unit_src)))
$(golden_obj): $(O)/golden.bin
$(golden_obj): FILE_CFLAGS := -DGOLDEN_FILE='"$(O)/golden.bin"'

# Tables that tests read, embedded by data.h likewise.
$(call obj,$(shell grep -l DATA_FILE $(unit_src))): $(wildcard tests/unit/data/*)

$(O)/unit/%: $(O)/tests/unit/%.o $(ctl_lib_obj) $(O)/libaccel.a $(O)/liboctans-sim.a
	@mkdir -p $(@D)
	$(call say,LD)$(CC) $(SAN) -o $@ $^ -ljansson $(LIBS)

# Random jobs: their counters are predicted by tests/cycles/calculator.py, their results compared.
$(O)/cycles-jobs: $(O)/tests/cycles/jobs.o $(O)/liboctans-sim.a
	$(call say,LD)$(CC) $(SAN) -o $@ $^ $(LIBS)

$(O)/random-same: $(O)/tests/random/same.o $(O)/libaccel.a $(O)/liboctans-sim.a
	$(call say,LD)$(CC) $(SAN) -o $@ $^ $(LIBS)

modules modules_clean:
	$(MAKE) -C $(KDIR) M=$(CURDIR) $(patsubst modules_%,%,$@) W=1

deps:
	@packaging/install-deps

run: deps
	@$(MAKE) --no-print-directory $(if $(findstring -j,$(MAKEFLAGS)),,-j$(shell nproc)) all
	$(O)/accelctl run --device sim $(MODEL) "$(PROMPT)"

unit-build: $(units) $(O)/cycles-jobs $(O)/random-same

unit: all $(units)
	@tests/unit/run $(units)

check:
	@packaging/install-deps --test
	@tests/check

same: $(O)/random-same
	$(O)/random-same $(MILLIONS) $(SEED)

fuzz: tools
	@FUZZ_SECONDS=$(FUZZ_SECONDS) FUZZ_SEED=$(SEED) tests/fuzz/run

bench:
	@packaging/install-deps --test
	@$(MAKE) --no-print-directory all
	@tests/bench/run

install: all
	install -d $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(LIBDIR)/pkgconfig \
		$(DESTDIR)$(PREFIX)/include/accel $(DESTDIR)$(PREFIX)/include/drm \
		$(DESTDIR)$(PREFIX)/include/octans \
		$(DESTDIR)$(PREFIX)/share/man/man1 $(DESTDIR)$(PREFIX)/share/man/man3 \
		$(DESTDIR)$(PREFIX)/lib/udev/rules.d
	install -m 755 $(O)/accelctl $(O)/octans-vfio-user $(DESTDIR)$(PREFIX)/bin
	install -m 755 $(O)/libaccel.so.$(VERSION) $(DESTDIR)$(LIBDIR)
	ln -sf libaccel.so.$(VERSION) $(DESTDIR)$(LIBDIR)/$(SONAME)
	ln -sf $(SONAME) $(DESTDIR)$(LIBDIR)/libaccel.so
	sed 's|@PREFIX@|$(PREFIX)|;s|@LIBDIR@|$(LIBDIR)|;s|@VERSION@|$(VERSION)|' \
		libaccel/libaccel.pc.in > $(DESTDIR)$(LIBDIR)/pkgconfig/libaccel.pc
	install -m 644 libaccel/include/accel/*.h $(DESTDIR)$(PREFIX)/include/accel
	install -m 644 uapi/drm/octans_accel.h $(DESTDIR)$(PREFIX)/include/drm
	install -m 644 uapi/octans/isa.h $(DESTDIR)$(PREFIX)/include/octans
	install -m 644 Documentation/man/*.1 $(DESTDIR)$(PREFIX)/share/man/man1
	install -m 644 Documentation/man/*.3 $(DESTDIR)$(PREFIX)/share/man/man3
	install -m 644 packaging/60-accel-octans.rules $(DESTDIR)$(PREFIX)/lib/udev/rules.d

clean:
	rm -rf $(O)

help:
	@sed -n '/^VERSION/q; s/^# make/make/p' Makefile


.PHONY: all tools run unit unit-build check same fuzz bench modules modules_clean deps install clean help
.SECONDARY:
.DELETE_ON_ERROR:
-include $(shell find $(O) -name '*.d' 2>/dev/null)
