TOOLS += bench_fill
bench_fill_OBJS := tests/bench/bench_fill.o common/frame.o common/buf.o common/str.o common/io.o common/clock.o
