# SPDX-License-Identifier: MIT
#
# make            user space into build/: libaccel, its ggml backend, accelctl, the processor model (O= CC= V=1)
# make run        the main job: two models answer on the modelled processor (PROMPT="...")
# make deps       installs what building needs (for tests, too: packaging/install-deps --test)
# make check      every test, both kernels in a VM: half an hour, 2 GB in ~/.cache
# make unit       the tests that need neither root nor a VM, a minute
# make modules    octans.ko for the kernel in KDIR (for those of the VM: tests/vm/build-module)
# make same       MILLIONS=500 results of random commands, model against scalar and SIMD
# make fuzz       FUZZ_SECONDS=60 of hostile streams, clients, machine monitors and control lines each
# make stress     SECONDS=600 of honest clients beside others, in a VM (KERNEL=7.3)
# make campaign   HANGS=1000 FAULTS=1000 UNPLUGS=200 SLEEPS=200 beside others, in VMs (KERNEL=7.3)
# make check-debug  every kernel test, and IGT, on a debug kernel, which is built once: an hour and 6 GB
# make check-igt  those of IGT's tests that apply to the driver, in a VM (KERNEL=7.3)
# make check-ggml llama.cpp of Debian with our backend, on the modelled processor
# make check-ggml-vm  the same llama-server on the kernel module, in a VM (KERNEL=7.3)
# make check-clients  Debian's llama-server with it under OpenAI's and Anthropic's clients and a browser: npm, chromium
# make check-hosts  metrics, containers and Slurm with Debian's Prometheus, podman and slurmd, in VMs (KERNEL=7.3)
# make lint-kmod  the driver as patches in a kernel's tree (build/series), under all checkers: 4 GB
# make tsan       engines and their threads under ThreadSanitizer, 15 to 25 minutes
# make bench      speed and memory beside the peers: as make check
# make deb        Debian packages into build/deb (Documentation/packages.rst)
# make check-deb  installs, upgrades, removes and purges them in clean roots of Debian 12 and 13: 3 GB
# make install    into $(DESTDIR)$(PREFIX), PREFIX=/usr/local (LIBDIR= STATIC=1)
# make uninstall  takes that away again
# make help       this text

VERSION	:= 0.1.0
SONAME	:= libaccel.so.0
SIM_SONAME := liboctans-sim.so.0
PREFIX	?= /usr/local
LIBDIR	?= $(PREFIX)/lib
# Where the backend for ggml lies; a distribution has a folder for those.
GGMLDIR	?= $(LIBDIR)
KDIR	?= /lib/modules/$(shell uname -r)/build
MILLIONS ?= 500
FUZZ_SECONDS ?= 60
SECONDS	?= 600
HANGS	?= 1000
FAULTS	?= 1000
UNPLUGS	?= 200
SLEEPS	?= 200
KERNEL	?= 7.3
SEED	?= 1
MODEL	:= models/octans-demo.gguf
KINDS	:= models/octans-kinds.gguf
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
# Edits the lines that are typed into a chat; EDIT_LIBS= builds without, as where there is none.
EDIT_LIBS  := $(shell pkg-config --libs libedit 2>/dev/null)
EDIT_CFLAGS := $(if $(strip $(EDIT_LIBS)),-DHAVE_LIBEDIT $(shell pkg-config --cflags libedit 2>/dev/null))
ALL_CFLAGS = -std=gnu11 -D_GNU_SOURCE -Wall -Wextra $(WERROR) -fPIC -fvisibility=hidden -pthread \
	     $(NUMERIC) -Ilibaccel/include -Iuapi $(PRIVATE) \
	     $(DRM_CFLAGS) -MMD -MP $(CPPFLAGS) $(CFLAGS) $(FILE_CFLAGS) $(SAN)
# Whose private headers a file may include: its own side's; tests look into both.
PRIVATE = -Ilibaccel -Itools/octans-sim
LIBS	= $(DRM_LIBS) -ldl -lm -pthread
CTL_LIBS = -ljansson $(EDIT_LIBS)
# Libraries are whole, but for what a sanitizer brings at run time.
WHOLE	= $(if $(SAN),,-Wl,-z,defs) $(LDFLAGS)
# The build tree's programs find its libraries wherever they are copied, and after the tree moved.  As
# RPATH: a RUNPATH does not count where a sanitizer calls dlopen() for them.
RPATH	= $(LDFLAGS) -Wl,--disable-new-dtags,-rpath,'$$ORIGIN:$(abspath $(O))'

ggml_src := $(wildcard libaccel/ggml/*.c)
lib_src := $(filter-out $(ggml_src),$(wildcard libaccel/*.c libaccel/*/*.c))
sim_src := $(filter-out %/octans-vfio-user.c,$(wildcard tools/octans-sim/*.c))
ctl_src := $(wildcard tools/accelctl/*.c)
unit_src := $(wildcard tests/unit/test_*.c)

# One short line a command; V=1 shows the command instead, -s nothing, PROGRESS=1 one line that counts.
flags	:= $(firstword -$(MAKEFLAGS))
silent	:= $(if $(findstring =,$(flags)),,$(findstring s,$(flags)))
short = printf '  %-3s %s\n' $(1) $(@:$(O)/%=%);
count = printf 'Building: %3d %%\r' $$(($$(ls $(all_obj) 2>/dev/null | wc -l) * 100 / $(words $(all_obj)))) >&2;
say = $(if $(V),,@$(if $(PROGRESS),$(count),$(if $(silent),,$(short))) )

obj = $(patsubst %.c,$(O)/%.o,$(1))
lib_obj := $(call obj,$(lib_src))
ggml_obj := $(call obj,$(ggml_src))
sim_obj := $(call obj,$(sim_src))
ctl_obj := $(call obj,$(ctl_src))
# What unit tests may use of accelctl: all but its main().
ctl_lib_obj := $(filter-out %/main.o,$(ctl_obj))
all_obj := $(lib_obj) $(ggml_obj) $(sim_obj) $(ctl_obj) $(call obj,tools/octans-sim/octans-vfio-user.c)
units := $(patsubst tests/unit/%.c,$(O)/unit/%,$(unit_src))

lib_so := $(O)/libaccel.so.$(VERSION)
sim_so := $(O)/liboctans-sim.so.$(VERSION)

all: $(lib_so) $(sim_so) $(O)/libaccel.a $(O)/libggml-octans.so $(O)/accelctl $(O)/octans-vfio-user

# What is missing is said once, before each compiler says it in its own words.
tools:
	@printf '#include <xf86drm.h>\n#include <jansson.h>\n' | \
		$(CC) $(DRM_CFLAGS) $(CFLAGS) -fsyntax-only -x c - 2>/dev/null || { \
		echo "make: $(CC), pkg-config or the headers of libdrm or jansson are missing:" \
			"\`make deps\` installs them" >&2; exit 1; }

$(lib_obj) $(ggml_obj): PRIVATE := -Ilibaccel
$(ctl_obj): PRIVATE :=
$(sim_obj) $(call obj,tools/octans-sim/octans-vfio-user.c): PRIVATE := -Itools/octans-sim

$(O)/%.o: %.c | tools
	@mkdir -p $(@D)
	$(call say,CC)$(CC) $(ALL_CFLAGS) -c -o $@ $<

$(O)/liboctans-sim.a: $(sim_obj)
	$(call say,AR)rm -f $@ && $(AR) rcs $@ $^

$(O)/libaccel.a: $(lib_obj)
	$(call say,AR)rm -f $@ && $(AR) rcs $@ $^

$(lib_so): $(lib_obj) libaccel/libaccel.map
	$(call say,LD)$(CC) -shared -Wl,-soname,$(SONAME) -Wl,--version-script=libaccel/libaccel.map $(WHOLE) \
		$(SAN) -o $@ $(lib_obj) $(LIBS)
	@ln -sf $(@F) $(O)/$(SONAME)
	@ln -sf $(@F) $(O)/libaccel.so

# libaccel loads it when a model device is asked for.  Of the archive, what its entry needs: the server
# for virtual machines stays outside.
$(sim_so): $(O)/liboctans-sim.a tools/octans-sim/octans-sim.map
	$(call say,LD)$(CC) -shared -Wl,-soname,$(SIM_SONAME) -Wl,--version-script=tools/octans-sim/octans-sim.map $(WHOLE) \
		$(SAN) -Wl,-u,octans_sim_entry -o $@ $< -lm -pthread
	@ln -sf $(@F) $(O)/$(SIM_SONAME)
$(O)/$(SIM_SONAME): $(sim_so) ;

# The backend for ggml (llama.cpp and others): with all of libaccel in it, as it records commands.  ggml need
# not be here; a library of the names that are taken from it stands for libggml-base.
$(O)/ggml-base/libggml-base.so: libaccel/ggml/base/base.c libaccel/ggml/imports.h | tools
	@mkdir -p $(@D)
	$(call say,LD)$(CC) -shared -fPIC -Wl,-soname,libggml-base.so.0 -o $@ $<

$(O)/libggml-octans.so: $(ggml_obj) $(O)/libaccel.a $(O)/ggml-base/libggml-base.so libaccel/ggml/ggml.map | $(sim_so)
	$(call say,LD)$(CC) -shared -Wl,-soname,$(@F) -Wl,--version-script=libaccel/ggml/ggml.map $(WHOLE) \
		$(SAN) -o $@ $(ggml_obj) $(O)/libaccel.a -L$(O)/ggml-base -lggml-base $(LIBS)

# Built anew when libedit came or went.
edit_built := $(O)/edit-$(if $(EDIT_CFLAGS),libedit,none)
$(edit_built): tools
	@mkdir -p $(@D)
	@[ -e $@ ] || { rm -f $(O)/edit-*; touch $@; }
$(O)/tools/accelctl/edit.o: $(edit_built)
$(O)/tools/accelctl/edit.o: FILE_CFLAGS := $(EDIT_CFLAGS)

$(O)/accelctl: $(ctl_obj) $(lib_so) | $(sim_so)
	$(call say,LD)$(CC) $(SAN) $(RPATH) -o $@ $^ $(CTL_LIBS) -lm -pthread

# accelctl on many damaged models in one process, for tests/e2e/bad-models.
$(O)/accelctl-batch: $(O)/tests/e2e/batch.o $(ctl_obj) $(lib_so) | $(sim_so)
	$(call say,LD)$(CC) $(SAN) $(RPATH) -Wl,--wrap=main -o $@ $^ $(CTL_LIBS) -lm -pthread

$(O)/octans-vfio-user: $(O)/tools/octans-sim/octans-vfio-user.o $(O)/liboctans-sim.a
	$(call say,LD)$(CC) $(LDFLAGS) $(SAN) -o $@ $^ $(LIBS)

# A program as others write them: public headers and the shared library, nothing else.
public_obj := $(call obj,$(wildcard tests/e2e/public*.c))
$(public_obj) $(call obj,tests/e2e/crowd.c): PRIVATE :=
$(O)/public: $(public_obj) $(lib_so) | $(sim_so)
	$(call say,LD)$(CC) $(SAN) $(RPATH) -o $@ $^ -pthread

# The same on the limits of the kernel, in a VM.
$(O)/crowd: $(O)/tests/e2e/crowd.o $(lib_so)
	$(call say,LD)$(CC) $(SAN) $(RPATH) -o $@ $^ -pthread

# Written from the manual alone, in Python; embedded by golden.h, which no list of dependencies shows.
$(O)/golden.bin: $(wildcard tests/unit/ref_*.py)
	@mkdir -p $(@D)
	@command -v python3 >/dev/null || { echo "make: python3, which makes the unit tests' vectors," \
		"is missing: \`packaging/install-deps --test\` installs what tests need" >&2; exit 1; }
	$(call say,GEN)python3 -B tests/unit/ref_numerics.py write $@

golden_obj := $(call obj,$(shell grep -l golden.h $(unit_src)))
$(golden_obj): $(O)/golden.bin
$(golden_obj): FILE_CFLAGS := -DGOLDEN_FILE='"$(O)/golden.bin"'

# Files of the module that only compute are tested here; tests/unit/kmod stands for the kernel.
$(call obj,$(shell grep -l '/kmod/' $(unit_src))): PRIVATE := -Itests/unit/kmod -Ikmod

# Tables that tests read, embedded by data.h likewise.
$(call obj,$(shell grep -lE 'DATA_FILE|words_table.h' $(unit_src))): $(wildcard tests/unit/data/*)

$(O)/unit/%: $(O)/tests/unit/%.o $(ctl_lib_obj) $(O)/libaccel.a $(O)/liboctans-sim.a | $(sim_so)
	@mkdir -p $(@D)
	$(call say,LD)$(CC) $(SAN) $(RPATH) -o $@ $^ $(CTL_LIBS) $(LIBS)

# Random jobs: their counters are predicted by tests/cycles/calculator.py, their results compared.
$(O)/cycles-jobs: $(O)/tests/cycles/jobs.o $(O)/liboctans-sim.a
	$(call say,LD)$(CC) $(SAN) -o $@ $^ $(LIBS)

# The way from a doorbell to its interrupt, without a guest.
$(O)/bench-doorbell: $(O)/tests/bench/doorbell.o $(O)/liboctans-sim.a
	$(call say,LD)$(CC) $(SAN) -o $@ $^ $(LIBS)

$(O)/fuzz_engine: $(O)/tests/fuzz/fuzz_engine.o $(O)/libaccel.a | $(sim_so)
	$(call say,LD)$(CC) $(SAN) $(RPATH) -o $@ $^ $(LIBS)

$(O)/random-same: $(O)/tests/random/same.o $(O)/libaccel.a $(O)/liboctans-sim.a
	$(call say,LD)$(CC) $(SAN) -o $@ $^ $(LIBS)

modules modules_clean:
	$(MAKE) -C $(KDIR) M=$(CURDIR) $(patsubst modules_%,%,$@) W=1

deps:
	@packaging/install-deps

# For somebody who is here for the first time: what is going on, not which compiler runs.
run: deps
	@if [ -t 2 ]; then progress=1; else progress=; [ -e $(O)/accelctl ] || echo "Building: half a minute"; fi; \
	$(MAKE) --no-print-directory $(if $(V),,-s) PROGRESS=$$progress \
		$(if $(findstring -j,$(MAKEFLAGS)),,-j$(shell nproc)) all && \
	if [ -n "$$progress" ]; then printf '\033[K' >&2; fi
	$(O)/accelctl run --device sim $(MODEL) "$(PROMPT)"
	@echo 'And a model that has a layer of almost every kind (`$(O)/accelctl plan $(KINDS)` lists them):'
	$(O)/accelctl run --device sim $(KINDS) "$(PROMPT)"
	@echo 'The tool is $(O)/accelctl: `$(O)/accelctl help` tells what it does.'

unit-build: $(units) $(O)/public $(O)/crowd $(O)/cycles-jobs $(O)/random-same

unit: all $(units)
	@tests/unit/run $(units)

check:
	@packaging/install-deps --test
	@tests/check

same: $(O)/random-same
	$(O)/random-same $(MILLIONS) $(SEED)

fuzz: tools
	@FUZZ_SECONDS=$(FUZZ_SECONDS) FUZZ_SEED=$(SEED) tests/fuzz/run

# Not a part of `make check`: it takes too long.
# With gcc's warnings of fences that it does not follow.
tsan: tools
	@$(MAKE) --no-print-directory O=$(O)/tsan SAN=-fsanitize=thread CFLAGS='-O1 -g' WERROR= \
		$(addprefix $(O)/tsan/,unit/test_engine unit/test_cards unit/test_pipeline unit/test_tensor unit/test_members unit/test_seqs unit/test_save fuzz_engine)
	@UNIT_SECONDS=1800 tests/unit/run $(addprefix $(O)/tsan/unit/,test_engine test_cards test_pipeline test_tensor test_members test_seqs test_save)
	$(O)/tsan/fuzz_engine $(FUZZ_SECONDS) $(SEED) 4

stress: all
	@tests/vm/stress $(KERNEL) $(SECONDS)

campaign: all
	@tests/vm/campaign $(KERNEL) hangs $(HANGS) faults $(FAULTS) unplugs $(UNPLUGS) sleeps $(SLEEPS)

check-debug: all
	@packaging/install-deps --test
	@tests/vm/mkroot
	@tests/vm/debug-kernel
	@tests/vm/build-module debug
	@tests/vm/check-kernel debug; status=$$?; tests/vm/igt debug && exit $$status

check-igt: all
	@packaging/install-deps --test
	@tests/vm/mkroot
	@tests/vm/build-module $(KERNEL)
	@tests/vm/igt $(KERNEL)

check-ggml: all
	@packaging/install-deps --test
	@tests/oracle/mkroot
	@tests/ggml/check $(O)

check-ggml-vm: all
	@packaging/install-deps --test
	@tests/vm/mkroot
	@tests/oracle/mkroot
	@tests/vm/build-module $(KERNEL) >/dev/null
	@tests/ggml/vm $(KERNEL)

check-clients: all
	@packaging/install-deps --test
	@packaging/install-deps --clients
	@tests/oracle/mkroot
	@tests/ggml/clients $(O)

check-hosts: all
	@packaging/install-deps --test
	@tests/vm/mkroot
	@tests/hosts/mkroot
	@tests/vm/build-module $(KERNEL)
	@tests/hosts/check $(O) $(KERNEL)

lint-kmod:
	@packaging/install-deps --test
	@tests/upstream/mkroot
	@tests/upstream/check

bench:
	@packaging/install-deps --test
	@$(MAKE) --no-print-directory all
	@tests/bench/run

# ---- packages ----

# The source package's rules call the targets below, so that what is installed is said once.
deb:
	@packaging/install-deps --deb
	@packaging/make-deb $(O)/deb

check-deb: deb
	@packaging/install-deps --test
	@tests/deb/check $(O)/deb

# ---- installing ----

# Variables of the shell, so that a path may hold a space: "$$dest_lib".
install uninstall: export dest_bin := $(DESTDIR)$(PREFIX)/bin
install uninstall: export dest_lib := $(DESTDIR)$(LIBDIR)
install uninstall: export dest_ggml := $(DESTDIR)$(GGMLDIR)
install uninstall: export dest_include := $(DESTDIR)$(PREFIX)/include
install uninstall: export dest_share := $(DESTDIR)$(PREFIX)/share
install uninstall: export dest_doc := $(DESTDIR)$(PREFIX)/share/doc/octans
install uninstall: export dest_man := $(DESTDIR)$(PREFIX)/share/man
install uninstall: export dest_rules := $(DESTDIR)$(PREFIX)/lib/udev/rules.d
install uninstall: export dest_units := $(DESTDIR)$(PREFIX)/lib/systemd/system
accel_headers := $(wildcard libaccel/include/accel/*.h)
man1 := $(wildcard Documentation/man/*.1)
man3 := $(wildcard Documentation/man/*.3)
rules := packaging/60-accel-octans.rules packaging/61-octans-cdi.rules
unit_files := $(wildcard packaging/systemd/*)
# Where bash, zsh and fish look for what accelctl's table of options makes.
completions := bash-completion/completions/accelctl zsh/site-functions/_accelctl \
	       fish/vendor_completions.d/accelctl.fish

# The tool that is installed finds the libraries from where it is, not from where it was built.  RUNPATH=
# leaves that to ldconfig, as distributions want it.
RUNPATH	?= -Wl,--enable-new-dtags,-rpath,'$$ORIGIN/$(shell realpath -m -s --relative-to=$(PREFIX)/bin $(LIBDIR))'
relink: $(ctl_obj) $(lib_so)
	@mkdir -p $(O)/installed
	$(call say,LD)$(CC) $(LDFLAGS) $(SAN) $(RUNPATH) -o $(O)/installed/accelctl $^ $(CTL_LIBS) -lm -pthread

# ldconfig knows of folders in /etc/ld.so.conf alone.
in_ld_so := Run `ldconfig` as root, so that programs find $(LIBDIR)/$(SONAME).
elsewhere := Programs of others need LD_LIBRARY_PATH=$(LIBDIR) to run and PKG_CONFIG_PATH=$(LIBDIR)/pkgconfig to be built.
found_by := $(if $(filter /usr/local/lib /usr/lib /usr/lib/%,$(LIBDIR)),$(in_ld_so),$(elsewhere))

# STATIC=1: libaccel.a, too; programs that link it load the model all the same.
install: all relink
	install -d "$$dest_bin" "$$dest_lib/pkgconfig" "$$dest_ggml" "$$dest_include/accel" "$$dest_include/drm" \
		"$$dest_include/octans" "$$dest_man/man1" "$$dest_man/man3" "$$dest_rules" "$$dest_units" \
		"$$dest_share/octans"
	install -m 755 $(O)/installed/accelctl $(O)/octans-vfio-user "$$dest_bin"
	install -m 755 $(lib_so) $(sim_so) "$$dest_lib"
	install -m 755 $(O)/libggml-octans.so "$$dest_ggml"
	$(if $(STATIC),install -m 644 $(O)/libaccel.a "$$dest_lib")
	ln -sf $(notdir $(lib_so)) "$$dest_lib/$(SONAME)"
	ln -sf $(SONAME) "$$dest_lib/libaccel.so"
	ln -sf $(notdir $(sim_so)) "$$dest_lib/$(SIM_SONAME)"
	umask 022; sed 's|@PREFIX@|$(PREFIX)|;s|@LIBDIR@|$(LIBDIR:$(PREFIX)/%=$${prefix}/%)|;s|@VERSION@|$(VERSION)|' \
		libaccel/libaccel.pc.in > "$$dest_lib/pkgconfig/libaccel.pc"
	install -m 644 $(accel_headers) "$$dest_include/accel"
	install -m 644 uapi/drm/octans_accel.h "$$dest_include/drm"
	install -m 644 uapi/octans/isa.h "$$dest_include/octans"
	install -m 644 $(man1) "$$dest_man/man1"
	install -m 644 $(man3) "$$dest_man/man3"
	umask 022; packaging/man-links --into "$$dest_man/man3" $(man3)
	install -m 644 $(rules) "$$dest_rules"
	set -e; umask 022; for u in $(unit_files); do sed 's|/usr/bin/accelctl|$(PREFIX)/bin/accelctl|' $$u > "$$dest_units/$$(basename $$u)"; done
	install -d "$$dest_doc"
	install -m 644 Documentation/models.rst "$$dest_doc"
	install -m 644 $(MODEL) $(KINDS) "$$dest_share/octans"
	set -e; umask 022; for c in $(join $(addsuffix :,bash zsh fish),$(completions)); do \
		install -d "$$dest_share/$$(dirname $${c#*:})"; \
		$(O)/accelctl completion $${c%%:*} > "$$dest_share/$${c#*:}"; done
	$(if $(DESTDIR),,@echo '$(found_by)')

remove = for f in $(2); do rm -f "$$$(1)/$$f"; done

uninstall:
	$(call remove,dest_bin,accelctl octans-vfio-user)
	$(call remove,dest_lib,$(notdir $(lib_so) $(sim_so)) $(SONAME) $(SIM_SONAME) \
		libaccel.so libaccel.a pkgconfig/libaccel.pc)
	$(call remove,dest_ggml,libggml-octans.so)
	$(call remove,dest_include,drm/octans_accel.h octans/isa.h \
		$(addprefix accel/,$(notdir $(accel_headers))))
	$(call remove,dest_man,$(addprefix man1/,$(notdir $(man1))) \
		$(addprefix man3/,$(notdir $(man3))))
	packaging/man-links $(man3) | while read -r f page; do rm -f "$$dest_man/man3/$$f.3"; done
	$(call remove,dest_rules,$(notdir $(rules)))
	$(call remove,dest_units,$(notdir $(unit_files)))
	$(call remove,dest_share,$(completions) octans/$(notdir $(MODEL)) octans/$(notdir $(KINDS)))
	$(call remove,dest_doc,models.rst)
	for d in "$$dest_include/accel" "$$dest_include/octans" "$$dest_share/octans" "$$dest_doc"; do \
		[ ! -d "$$d" ] || rmdir --ignore-fail-on-non-empty "$$d"; done

clean:
	rm -rf $(O)

help:
	@sed -n '/^VERSION/q; s/^# make/make/p' Makefile

.PHONY: all tools run unit unit-build check same fuzz stress campaign check-debug check-igt check-ggml check-ggml-vm check-clients check-hosts lint-kmod tsan bench modules modules_clean deps relink install uninstall deb check-deb clean help
.SECONDARY:
.DELETE_ON_ERROR:
-include $(shell find $(O) -type f -name '*.d' 2>/dev/null)
