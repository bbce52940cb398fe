# postern-queue: set-gid, and run for every message of this host's programs
PROGS += postern-queue
queue_PURE := inject/lines.o inject/mailbox.o inject/paths.o
postern-queue_STATIC := yes
postern-queue_OBJS := inject/queue.o inject/outlet.o $(queue_PURE)
