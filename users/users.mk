USERS_CORE := users/line.o users/tables.o users/resolve.o users/loginname.o

PROGS += postern-userd
postern-userd_OBJS := users/userd.o users/client.o users/login.o users/ask.o \
	users/hasher.o users/hashd.o $(USERS_CORE)
postern-userd_LIBS := -lsodium

postern_OBJS += users/cli_user.o users/cli_alias.o users/cli_import.o \
	users/cli_why.o users/edit.o users/password.o users/aliasfile.o \
	users/accounts.o users/line.o users/tables.o users/resolve.o \
	users/world.o
postern_LIBS += -lsodium

TESTS += test_users_line test_users_resolve test_aliasfile
test_aliasfile_OBJS := tests/unit/test_aliasfile.o users/aliasfile.o
test_users_line_OBJS := tests/unit/test_users_line.o users/line.o
test_users_resolve_OBJS := tests/unit/test_users_resolve.o $(USERS_CORE)

FUZZ += fuzz_users_table fuzz_aliasfile
fuzz_aliasfile_OBJS := tests/fuzz/fuzz_aliasfile.o users/aliasfile.o
fuzz_users_table_OBJS := tests/fuzz/fuzz_users_table.o tests/fuzz/scratch.o \
	users/ask.o $(USERS_CORE)

# common/ is spelled out: tools link nothing by themselves
TOOLS += bench_userd
bench_userd_OBJS := tests/bench/bench_userd.o common/packet.o common/buf.o \
	common/str.o common/clock.o common/io.o
