TOOLS += smtpload
smtpload_OBJS := tests/bench/smtpload.o tests/bench/latency.o
TOOLS += disklimit
disklimit_OBJS := tests/bench/disklimit.o
TOOLS += bench_connect
bench_connect_OBJS := tests/bench/bench_connect.o common/clock.o common/str.o common/buf.o
