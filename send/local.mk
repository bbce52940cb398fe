# postern-local and postern-become
PROGS += postern-local postern-become
LOCAL_OBJS := send/localwork.o send/localtask.o send/maildir.o \
	send/maildir_box.o send/mailname.o send/headscan.o send/seen.o \
	send/dotqmail.o send/reports.o send/programenv.o send/runner.o
postern-local_OBJS := send/local.o $(LOCAL_OBJS)
postern-become_OBJS := send/become.o send/account.o send/spawn.o send/guard.o
