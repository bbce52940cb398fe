# A disk whose write cache can be played back; and the controls, programs that
# lose mail when the power fails.  Both are for tests, and are never installed.
TOOLS += logdev queued-no-ring-sync queued-no-dir-sync local-no-dir-sync
logdev_OBJS := tests/crash/logdev.o
logdev_LIBS := -lfuse3

NO_DIR := -Wl,--wrap=fsync -Wl,--wrap=syncfs -lsodium
queued-no-ring-sync_OBJS := tests/crash/power_ring.o $(postern-queued_OBJS)
queued-no-ring-sync_LIBS := -Wl,--wrap=pwritev2 -Wl,--wrap=fdatasync -lsodium
queued-no-dir-sync_OBJS := tests/crash/power_dir.o $(postern-queued_OBJS)
queued-no-dir-sync_LIBS := $(NO_DIR)
local-no-dir-sync_OBJS := tests/crash/power_dir.o $(postern-local_OBJS)
local-no-dir-sync_LIBS := $(NO_DIR)
$(addprefix $(B)/tool/,$(filter %-sync,$(TOOLS))): $(B)/libcommon.a

# The power is cut under load (CUTS=200 IMAGES=500 SEED=N); as root.
check-power: all tools
	POSTERN_BUILD=$(abspath $(B)) tests/crash/power.py \
		$(if $(CUTS),--cuts $(CUTS)) $(if $(IMAGES),--images $(IMAGES)) \
		$(if $(SEED),--seed $(SEED))
.PHONY: check-power
