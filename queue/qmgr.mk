# postern-qmgr and postern-bounce; postern-queued has its own fragment.
PROGS += postern-qmgr postern-bounce
QMGR_PURE := queue/pool.o queue/wishes.o queue/names.o queue/index.o queue/due.o \
	queue/schedule.o queue/lot.o queue/hostrules.o queue/pace.o queue/destination.o queue/places.o
postern-qmgr_OBJS := queue/qmgr.o queue/notes.o queue/intake.o queue/where.o queue/agents.o \
	queue/hubs.o queue/bounces.o queue/manage.o queue/walk.o queue/select.o queue/delivery.o \
	queue/outcome.o queue/working.o queue/orders.o queue/jobs.o \
	queue/reports.o queue/patience.o send/route.o $(QMGR_PURE)
postern-qmgr_LIBS := -lsodium
postern-bounce_OBJS := queue/bounce.o queue/dsn.o queue/pool.o
postern_OBJS += queue/select.o $(addprefix install/,cli_queue.o queue_ask.o \
	queue_select.o queue_view.o queue_ages.o queue_show.o progress.o)

TOOLS += bench_qmgr
bench_qmgr_OBJS := tests/bench/bench_qmgr.o common/packet.o common/buf.o \
	common/str.o common/io.o common/clock.o

TESTS += test_schedule test_qmgr_index test_destination test_places test_hostrules test_dsn \
	test_select
test_select_OBJS := tests/unit/test_select.o queue/select.o
test_schedule_OBJS := tests/unit/test_schedule.o queue/schedule.o
test_qmgr_index_OBJS := tests/unit/test_qmgr_index.o $(QMGR_PURE)
test_qmgr_index_LIBS := -lsodium
test_destination_OBJS := tests/unit/test_destination.o tests/unit/destinations.o $(QMGR_PURE)
test_destination_LIBS := -lsodium
test_places_OBJS := tests/unit/test_places.o tests/unit/destinations.o $(QMGR_PURE)
test_places_LIBS := -lsodium
test_hostrules_OBJS := tests/unit/test_hostrules.o $(QMGR_PURE)
test_hostrules_LIBS := -lsodium
test_dsn_OBJS := tests/unit/test_dsn.o queue/dsn.o

FUZZ += fuzz_dsn
fuzz_dsn_OBJS := tests/fuzz/fuzz_dsn.o queue/dsn.o

FUZZ += fuzz_select
fuzz_select_OBJS := tests/fuzz/fuzz_select.o queue/select.o
