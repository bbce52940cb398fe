QUEUED_PURE := queue/bytes.o queue/record.o queue/envelope.o queue/mess.o queue/ledger.o
QUEUED_SPOOL := $(QUEUED_PURE) queue/messfile.o queue/journal.o queue/spool.o queue/recover.o

PROGS += postern-queued
postern-queued_OBJS := queue/queued.o queue/commit.o queue/draft.o queue/settle.o queue/stream.o queue/teller.o queue/tend.o $(QUEUED_SPOOL)
postern-queued_LIBS := -lsodium
