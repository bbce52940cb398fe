# check-sweep: the stop at every n-th call
TOOLS += stop
stop_OBJS := tests/crash/stop.o tests/crash/stop_calls.o
stop_LIBS := -lseccomp

# two programs with a fault that it must find
TOOLS += queued-answers-first local-renames-first
queued-answers-first_OBJS := tests/crash/control_queued.o $(postern-queued_OBJS)
queued-answers-first_LIBS := -Wl,--wrap=pwritev2,--wrap=epoll_wait \
	$(postern-queued_LIBS)
local-renames-first_OBJS := tests/crash/control_local.o $(postern-local_OBJS)
local-renames-first_LIBS := -Wl,--wrap=write,--wrap=renameat2 \
	$(postern-local_LIBS)
$(addprefix $(B)/tool/,$(filter %-first,$(TOOLS))): $(B)/libcommon.a

check-sweep: all tools
	POSTERN_BUILD=$(abspath $(B)) tests/crash/sweep.py $(SWEEP)
.PHONY: check-sweep
