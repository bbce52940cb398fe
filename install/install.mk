PROGS += postern
postern_OBJS += $(addprefix install/,postern.o arguments.o places.o cli_init.o \
	cli_check.o check_say.o check_files.o check_settings.o \
	check_domains.o check_net.o check_numbers.o check_users.o \
	check_addresses.o check_table.o check_places.o cli_layout.o colour.o ownaddr.o \
	cli_show.o cli_status.o statusview.o lasterrors.o diskroom.o \
	cli_doctor.o doctor_say.o doctor_facts.o doctor_host.o doctor_dns.o \
	doctor_policy.o doctor_port.o ask_dns.o mountinfo.o portholder.o spf.o dmarc.o \
	cli_sandbox.o running.o json.o plain.o queuestats.o localsocket.o \
	cli_trace.o logfiles.o logline.o trace_set.o trace_view.o) \
	send/route.o queue/hostrules.o start/endpoint.o start/plan.o \
	dns/byhand.o users/line.o users/tables.o users/resolve.o
postern_LIBS += -lz

FUZZ += fuzz_logline
fuzz_logline_OBJS := tests/fuzz/fuzz_logline.o install/logline.o

TESTS += test_spf
test_spf_OBJS := tests/unit/test_spf.o install/spf.o install/dmarc.o
FUZZ += fuzz_spf
fuzz_spf_OBJS := tests/fuzz/fuzz_spf.o install/spf.o install/dmarc.o
TESTS += test_mountinfo
test_mountinfo_OBJS := tests/unit/test_mountinfo.o install/mountinfo.o
