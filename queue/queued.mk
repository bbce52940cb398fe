QUEUED_PURE := queue/bytes.o queue/record.o queue/envelope.o queue/mess.o queue/ledger.o
QUEUED_SPOOL := $(QUEUED_PURE) queue/messfile.o queue/journal.o queue/spool.o queue/drops.o queue/found.o queue/recover.o

PROGS += postern-queued
postern-queued_OBJS := queue/queued.o queue/change.o queue/commit.o queue/crowd.o queue/draft.o queue/errand.o queue/fill.o queue/heard.o queue/messdir.o queue/note.o queue/replies.o queue/room.o queue/round.o queue/session.o queue/settle.o queue/stream.o queue/teller.o queue/tellers.o queue/tend.o $(QUEUED_SPOOL)
postern-queued_LIBS := -lsodium

PROGS += postern-fsck
postern-fsck_OBJS := $(addprefix queue/,fsck.o fsck_report.o fsck_owners.o fsck_mess.o fsck_journal.o fsck_quarantine.o mend.o journal.o messfile.o) install/json.o install/progress.o $(QUEUED_PURE)
postern-fsck_LIBS := -lsodium

TESTS += test_record test_ledger test_journal test_fill
test_record_OBJS := tests/unit/test_record.o $(QUEUED_PURE)
test_record_LIBS := -lsodium
test_ledger_OBJS := tests/unit/test_ledger.o queue/bytes.o queue/ledger.o
test_journal_OBJS := tests/unit/test_journal.o $(QUEUED_SPOOL)
test_journal_LIBS := -lsodium
test_fill_OBJS := tests/unit/test_fill.o queue/fill.o

FUZZ += fuzz_frame fuzz_record fuzz_mess
fuzz_frame_OBJS := tests/fuzz/fuzz_frame.o
fuzz_record_OBJS := tests/fuzz/fuzz_record.o $(QUEUED_PURE)
fuzz_record_LIBS := -lsodium
fuzz_mess_OBJS := tests/fuzz/fuzz_mess.o $(QUEUED_PURE) queue/messfile.o
fuzz_mess_LIBS := -lsodium
TOOLS += bench_queued
bench_queued_OBJS := tests/bench/bench_queued.o common/frame.o common/packet.o common/buf.o common/str.o common/io.o common/clock.o
