PROGS += postern
postern_OBJS += $(addprefix install/,postern.o arguments.o places.o cli_init.o \
	cli_check.o check_say.o check_files.o check_settings.o \
	check_domains.o check_net.o check_numbers.o check_users.o \
	check_addresses.o check_places.o cli_layout.o colour.o ownaddr.o \
	cli_show.o cli_status.o statusview.o lasterrors.o diskroom.o \
	cli_sandbox.o running.o json.o queuestats.o localsocket.o \
	cli_trace.o logfiles.o logline.o trace_set.o trace_view.o) \
	send/route.o queue/hostrules.o start/endpoint.o \
	users/line.o users/tables.o users/resolve.o
postern_LIBS += -lz

FUZZ += fuzz_logline
fuzz_logline_OBJS := tests/fuzz/fuzz_logline.o install/logline.o
