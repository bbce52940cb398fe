# postern-dial and postern-remote: mail to other hosts.
PROGS += postern-remote postern-dial
postern-remote_OBJS := send/remote.o send/delivery.o send/client.o \
	send/reply.o send/dot.o send/unacked.o

postern-dial_OBJS := send/dial.o send/request.o send/dialconf.o send/walk.o send/target.o \
	send/route.o

TESTS += test_route
test_route_OBJS := tests/unit/test_route.o send/route.o

FUZZ += fuzz_route
fuzz_route_OBJS := tests/fuzz/fuzz_route.o send/route.o
