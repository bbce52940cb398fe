PROGS += postern-start postern-listen
postern-start_OBJS := $(addprefix start/,start.o plan.o family.o links.o \
	spawn.o rolesfile.o open.o sockets.o endpoint.o accounts.o caps.o \
	orphans.o notify.o passed.o errors.o)
postern-listen_OBJS := $(addprefix start/,listen.o admit.o handover.o limit.o)

TESTS += test_limit test_plan test_errors
test_errors_OBJS := tests/unit/test_errors.o start/errors.o
test_plan_OBJS := tests/unit/test_plan.o start/plan.o
test_limit_OBJS := tests/unit/test_limit.o start/limit.o start/endpoint.o
FUZZ += fuzz_control
fuzz_control_OBJS := tests/fuzz/fuzz_control.o start/endpoint.o
