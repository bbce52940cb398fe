# postern-local and postern-become
PROGS += postern-local postern-become
LOCAL_OBJS := send/localwork.o send/localtask.o send/maildir.o \
	send/maildir_box.o send/mailname.o send/headscan.o send/seen.o \
	send/dotqmail.o send/reports.o send/programenv.o send/runner.o
postern-local_OBJS := send/local.o send/localtemplate.o send/enter.o \
	send/baselock.o $(LOCAL_OBJS)
postern-local_STATIC := yes
postern-local_PLACES := common/session.ld
postern-become_OBJS := send/become.o send/child.o send/account.o \
	send/passwdfile.o send/locals.o send/programs.o send/spawn.o \
	send/enter.o

TESTS += test_local_names test_dotqmail test_passwdfile
test_passwdfile_OBJS := tests/unit/test_passwdfile.o send/passwdfile.o
test_local_names_OBJS := tests/unit/test_local_names.o send/mailname.o \
	send/headscan.o send/seen.o
test_dotqmail_OBJS := tests/unit/test_dotqmail.o send/dotqmail.o \
	send/programenv.o send/reports.o send/runner.o

FUZZ += fuzz_dotqmail
fuzz_dotqmail_OBJS := tests/fuzz/fuzz_dotqmail.o send/dotqmail.o \
	send/headscan.o send/mailname.o

TOOLS += bench_local
bench_local_OBJS := tests/bench/bench_local.o common/packet.o common/clock.o \
	common/buf.o common/str.o common/io.o common/die.o common/log.o
