PROGS += postern
postern_OBJS += $(addprefix install/,postern.o arguments.o places.o cli_init.o \
	cli_check.o check_settings.o check_users.o check_running.o \
	check_room.o cli_show.o cli_status.o \
	cli_sandbox.o running.o json.o queuestats.o localsocket.o \
	cli_trace.o logfiles.o logline.o trace_set.o trace_view.o) \
	send/route.o queue/hostrules.o start/endpoint.o users/line.o
postern_LIBS += -lz

FUZZ += fuzz_logline
fuzz_logline_OBJS := tests/fuzz/fuzz_logline.o install/logline.o
