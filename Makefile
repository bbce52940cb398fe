# Postern: one makefile, a fragment per folder (PROGS, TESTS and FUZZ with their
# _OBJS and _LIBS).  B names the build folder; nothing is written elsewhere.
B ?= build
PREFIX ?= /usr/local
ifeq ($(origin CC),default)
CC := gcc
endif
V ?= 0
Q := $(if $(filter 0,$(V)),@,)
SAY = $(if $(filter 0,$(V)),@echo "  $(1)  $@",@:)
VERSION := 0.1.0

all:

-include $(B)/config.mk
$(B)/config.mk: install/probe
	@mkdir -p $(@D)
	@echo '*' > $(@D)/.gitignore
	@sh install/probe $(CC) > $@

STD := -std=c17 -D_GNU_SOURCE -I. -DPOSTERN_VERSION='"$(VERSION)"'
WARN := -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wsign-conversion \
	-Wstrict-prototypes -Wmissing-prototypes -Wold-style-definition -Wvla \
	-Walloca -Wformat=2 -Wundef -Wcast-qual -Wwrite-strings -Wswitch-enum \
	-Wnull-dereference -Wpointer-arith -Wframe-larger-than=8192
HARD := -D_FORTIFY_SOURCE=3 -fstack-protector-strong -fstack-clash-protection \
	-fcf-protection=full -fPIE -fno-strict-aliasing -fno-strict-overflow \
	$(PROBED_CFLAGS)
OPT ?= -O2 -g
CFLAGS_ALL = $(STD) $(OPT) $(WARN) $(if $(SANITIZE),-fPIE,$(HARD) $(PIECES)) \
	$(SANITIZE) $(WERROR) $(CFLAGS)
# A piece for each function and variable: a linker script can say where it lies.
PIECES := -ffunction-sections -fdata-sections
# A program that is started for every user is linked with its libraries: the
# dynamic linker takes longer than all that it does at its start.  So is one that
# forks a child for every connection: what it maps costs each child.
LINK_AS = $(or $(if $(SANITIZE),,$(if $($*_STATIC),$(LINK_STATIC))),-pie)
LINK_STATIC = $(if $(PROBED_STATIC),$(PROBED_STATIC) $($*_PLACES:%=$(PLACED)%))
PLACED := -Wl,--gc-sections -Wl,-T,
LDFLAGS_ALL = $(LINK_AS) -Wl,-z,relro,-z,now,-z,noexecstack -Wl,--as-needed \
	$(SANITIZE) $(LDFLAGS)

include $(sort $(wildcard */*.mk) $(wildcard tests/*/*.mk))

COMMON := $(patsubst %.c,$(B)/%.o,$(sort $(wildcard common/*.c)))
$(B)/libcommon.a: $(COMMON)
	@rm -f $@
	@ar rcs $@ $^

all: $(PROGS:%=$(B)/bin/%)

$(B)/%.o: %.c
	@mkdir -p $(@D)
	$(call SAY,CC)
	$(Q)$(CC) $(CFLAGS_ALL) -MMD -MP -c $< -o $@

.SECONDARY:
.SECONDEXPANSION:
$(B)/bin/%: $$(addprefix $(B)/,$$($$*_OBJS)) $(B)/libcommon.a $$($$*_PLACES)
	@mkdir -p $(@D)
	$(call SAY,LD)
	$(Q)$(CC) $(LDFLAGS_ALL) $(filter %.o %.a,$^) $($*_LIBS) -o $@

# test tools: no sandbox, no common/
$(B)/tool/%: $$(addprefix $(B)/,$$($$*_OBJS))
	@mkdir -p $(@D)
	$(call SAY,LD)
	$(Q)$(CC) $(LDFLAGS_ALL) $^ $($*_LIBS) -o $@

$(B)/test/%: $$(addprefix $(B)/,$$($$*_OBJS)) $(B)/libcommon.a
	@mkdir -p $(@D)
	$(call SAY,LD)
	$(Q)$(CC) $(LDFLAGS_ALL) $^ $($*_LIBS) -lcmocka -lseccomp -o $@

-include $(wildcard $(B)/*/*.d $(B)/*/*/*.d)

units: $(TESTS:%=$(B)/test/%)

tools: $(TOOLS:%=$(B)/tool/%)

# Fuzz harnesses: with FUZZ_ENGINE=-fsanitize=fuzzer to fuzz (make check-fuzz),
# else with a main that replays the corpus.
FUZZ_ENGINE ?=
$(B)/fuzz/%: $$(addprefix $(B)/,$$($$*_OBJS)) \
		$(if $(FUZZ_ENGINE),,$(B)/tests/fuzz/replay.o) $(B)/libcommon.a
	@mkdir -p $(@D)
	$(call SAY,LD)
	$(Q)$(CC) $(LDFLAGS_ALL) $(FUZZ_ENGINE) $^ $($*_LIBS) -o $@

fuzzers: $(FUZZ:%=$(B)/fuzz/%)

list-units:
	@echo $(TESTS)

list-fuzzers:
	@echo $(FUZZ)

list-programs:
	@echo $(PROGS)

# Everything that can be built, for both compilers and the linters.
everything: all units tools fuzzers

check:
	tests/check

# The same, with programs that look for their own memory errors.
check-asan:
	tests/check --asan

# Each harness for SECONDS; new finds stay in build-fuzz/corpus.
check-fuzz:
	tests/fuzz/run $(or $(SECONDS),60)

# Every role stopped at each of its calls that change a file (some 15 minutes),
# then the power cut, again and again; as root.
check-crash:
	$(MAKE) check-sweep
	$(MAKE) check-power

lint:
	tests/lint/run

# Rates, CPU, flushes and memory beside Postfix in the same run; as root.
bench: all tools
	/usr/bin/python3 tests/bench/mta.py $(BENCH)

# A million messages deep: memory, rates, restart.  Some minutes, 10 GB.
bench-depth: all tools
	POSTERN_BUILD=$(abspath $(B)) /usr/bin/python3 tests/bench/depth.py \
		$(DEPTH)

clean:
	rm -rf $(B) build-asan build-fuzz build-clang build-analyze

.PHONY: all units tools fuzzers list-units list-fuzzers list-programs everything check \
	check-asan check-fuzz check-crash lint bench bench-depth clean
