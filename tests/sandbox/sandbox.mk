TOOLS += inject
inject_OBJS := tests/sandbox/inject.o
