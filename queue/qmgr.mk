# postern-qmgr and postern-bounce; postern-queued has its own fragment.
PROGS += postern-qmgr postern-bounce
QMGR_PURE := queue/pool.o queue/wishes.o queue/names.o queue/index.o queue/due.o \
	queue/schedule.o queue/destination.o
postern-qmgr_OBJS := queue/qmgr.o queue/notes.o queue/where.o queue/agents.o \
	queue/hubs.o queue/bounces.o queue/manage.o queue/delivery.o \
	queue/outcome.o queue/working.o queue/orders.o queue/jobs.o \
	queue/reports.o queue/link.o send/route.o $(QMGR_PURE)
postern-qmgr_LIBS := -lsodium
postern-bounce_OBJS := queue/bounce.o queue/dsn.o queue/link.o
postern_OBJS += install/cli_queue.o install/queue_view.o
