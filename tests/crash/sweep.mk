# the stop at every n-th call
TOOLS += stop
stop_OBJS := tests/crash/stop.o tests/crash/stop_calls.o
stop_LIBS := -lseccomp

# two programs with a fault that it must find
CONTROLS := $(B)/control/postern-queued $(B)/control/postern-local
$(B)/control/postern-queued: CONTROL := -Wl,--wrap=pwritev2,--wrap=epoll_wait
$(B)/control/postern-queued: $(addprefix $(B)/,$(postern-queued_OBJS) \
		tests/crash/control_queued.o) $(B)/libcommon.a
$(B)/control/postern-local: CONTROL := -Wl,--wrap=write,--wrap=renameat2
$(B)/control/postern-local: $(addprefix $(B)/,$(postern-local_OBJS) \
		tests/crash/control_local.o) $(B)/libcommon.a
$(CONTROLS):
	@mkdir -p $(@D)
	$(call SAY,LD)
	$(Q)$(CC) $(LDFLAGS_ALL) $(CONTROL) $^ $($(@F)_LIBS) -lseccomp -o $@

tools: $(CONTROLS)
