PROGS += postern-smtpd
smtpd_PURE := smtpd/command.o smtpd/data.o smtpd/line.o smtpd/received.o \
	smtpd/reply.o smtpd/session.o
postern-smtpd_STATIC := yes
postern-smtpd_PLACES := common/session.ld
postern-smtpd_OBJS := smtpd/smtpd.o smtpd/serve.o smtpd/net.o smtpd/stream.o \
	$(smtpd_PURE)
TESTS += test_smtp_line test_smtp_command test_smtp_data test_smtp_reply \
	test_smtp_session
test_smtp_line_OBJS := tests/unit/test_smtp_line.o $(smtpd_PURE)
test_smtp_command_OBJS := tests/unit/test_smtp_command.o $(smtpd_PURE)
test_smtp_data_OBJS := tests/unit/test_smtp_data.o $(smtpd_PURE)
test_smtp_reply_OBJS := tests/unit/test_smtp_reply.o $(smtpd_PURE)
test_smtp_session_OBJS := tests/unit/test_smtp_session.o $(smtpd_PURE)
FUZZ += fuzz_smtp_command fuzz_smtp_data fuzz_smtp_session
fuzz_smtp_command_OBJS := tests/fuzz/fuzz_smtp_command.o $(smtpd_PURE)
fuzz_smtp_data_OBJS := tests/fuzz/fuzz_smtp_data.o $(smtpd_PURE)
fuzz_smtp_session_OBJS := tests/fuzz/fuzz_smtp_session.o $(smtpd_PURE)
# common/ is spelled out: tools link nothing by themselves
TOOLS += bench_smtpd
bench_smtpd_OBJS := tests/bench/bench_smtpd.o common/packet.o common/buf.o \
	common/str.o common/clock.o common/io.o
