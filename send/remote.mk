# postern-dial and postern-remote: mail to other hosts.
PROGS += postern-remote postern-dial
postern-remote_OBJS := send/remote.o send/delivery.o send/conn.o \
	send/job.o send/client.o send/saying.o send/reply.o send/dot.o \
	send/unacked.o send/byhand.o send/attempt.o send/ask.o dns/byhand.o send/message.o \
	send/results.o inject/lines.o send/dialconf.o send/walk.o send/walkend.o \
	send/mxlist.o send/target.o send/thishost.o send/route.o
postern-dial_OBJS := send/dial.o send/request.o send/pending.o \
	send/deadhosts.o send/dialconf.o send/walk.o send/walkend.o \
	send/mxlist.o send/target.o send/thishost.o send/route.o

TESTS += test_route test_reply test_dot test_client test_unacked test_walk \
	test_attempt
test_route_OBJS := tests/unit/test_route.o send/route.o
test_reply_OBJS := tests/unit/test_reply.o send/reply.o
test_dot_OBJS := tests/unit/test_dot.o send/dot.o
test_client_OBJS := tests/unit/test_client.o send/client.o send/saying.o send/reply.o
test_unacked_OBJS := tests/unit/test_unacked.o send/unacked.o
test_attempt_OBJS := tests/unit/test_attempt.o send/attempt.o
test_walk_OBJS := tests/unit/test_walk.o send/walk.o send/walkend.o send/mxlist.o \
	send/target.o send/route.o

FUZZ += fuzz_route fuzz_smtp_reply
fuzz_route_OBJS := tests/fuzz/fuzz_route.o send/route.o
fuzz_smtp_reply_OBJS := tests/fuzz/fuzz_smtp_reply.o send/client.o \
	send/saying.o send/reply.o
