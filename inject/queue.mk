# postern-queue: set-gid, and run for every message of this host's programs
PROGS += postern-queue
queue_PURE := inject/lines.o inject/mailbox.o inject/paths.o inject/dropname.o \
	inject/dropfile.o
postern-queue_STATIC := yes
postern-queue_OBJS := inject/queue.o inject/queue_answer.o \
	inject/queue_caller.o inject/queue_end.o inject/outlet.o \
	inject/dropbox.o $(queue_PURE)

TESTS += test_handin
test_handin_OBJS := tests/unit/test_handin.o $(queue_PURE)
FUZZ += fuzz_handin
fuzz_handin_OBJS := tests/fuzz/fuzz_handin.o $(queue_PURE)
