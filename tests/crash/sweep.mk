# the stop at every n-th call
TOOLS += stop
stop_OBJS := tests/crash/stop.o tests/crash/stop_calls.o
stop_LIBS := -lseccomp
