# postern-sendmail, mailq and newaliases
PROGS += postern-sendmail
postern-sendmail_OBJS := inject/sendmail.o inject/options.o inject/modes.o \
	$(INJECT_LETTER)

# Its other names, below PREFIX.  A file there that is not ours stays.
SENDMAIL_NAMES := sbin/sendmail bin/mailq bin/newaliases
SENDMAIL_LINK := ../libexec/postern/postern-sendmail
install: install-sendmail
install-sendmail:
	@install -d $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/sbin
	@for name in $(SENDMAIL_NAMES); do \
		path=$(DESTDIR)$(PREFIX)/$$name; \
		if [ "$$(readlink $$path)" = $(SENDMAIL_LINK) ]; then :; \
		elif [ -e $$path ] || [ -L $$path ]; then \
			echo "$$path is another program's, and stays"; \
		else ln -s $(SENDMAIL_LINK) $$path || exit 1; fi; \
	done

uninstall: uninstall-sendmail
uninstall-sendmail:
	@for name in $(SENDMAIL_NAMES); do \
		path=$(DESTDIR)$(PREFIX)/$$name; \
		if [ "$$(readlink $$path)" = $(SENDMAIL_LINK) ]; then \
			rm -f $$path; fi; \
	done

.PHONY: install-sendmail uninstall-sendmail

TESTS += test_sendmail_options
test_sendmail_options_OBJS := tests/unit/test_sendmail_options.o \
	inject/options.o inject/handoff.o inject/outcome.o
FUZZ += fuzz_sendmail_options
fuzz_sendmail_options_OBJS := tests/fuzz/fuzz_sendmail_options.o \
	inject/options.o
