TOOLS += bench_connect
bench_connect_OBJS := tests/bench/bench_connect.o common/clock.o common/str.o common/buf.o
