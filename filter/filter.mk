# postern-filter: a program of the administrator's before the queue.
PROGS += postern-filter
FILTER_PURE := filter/outcome.o filter/command.o
postern-filter_OBJS := $(addprefix filter/,filter.o stream.o session.o \
	message.o runner.o keeper.o supervise.o program.o descendants.o fence.o) \
	queue/envelope.o $(FILTER_PURE)
postern_OBJS += filter/command.o

TESTS += test_filter_outcome
test_filter_outcome_OBJS := tests/unit/test_filter_outcome.o $(FILTER_PURE)
FUZZ += fuzz_filter_outcome
fuzz_filter_outcome_OBJS := tests/fuzz/fuzz_filter_outcome.o $(FILTER_PURE)

# Programs to begin with.
FILTERS := $(sort $(wildcard filter/examples/*))
FILTERS_TO := $(DESTDIR)$(PREFIX)/share/doc/postern/examples/filters
install: install-filters
install-filters:
	@install -d $(FILTERS_TO)
	install -C -m 755 $(FILTERS) $(FILTERS_TO)
uninstall: uninstall-filters
uninstall-filters:
	rm -f $(FILTERS:filter/examples/%=$(FILTERS_TO)/%)
	-rmdir -p $(FILTERS_TO) 2>/dev/null
.PHONY: install-filters uninstall-filters
