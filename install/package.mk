# What make install lays down, and make uninstall takes away.  DESTDIR is for
# packages.  Everything is compared first: what is the same stays untouched.
LIBEXEC := $(DESTDIR)$(PREFIX)/libexec/postern
MANUALS := $(sort $(wildcard */*.1 */*.5 */*.7 */*.8))
MAN_PATHS := $(foreach p,$(MANUALS),$(DESTDIR)$(PREFIX)/share/man/man$(subst .,,$(suffix $p))/$(notdir $p))
COPY := install -C
LINK = test "$$(readlink $(2))" = $(1) || ln -sfn $(1) $(2)
# for the drop box; a package gives it its group when it is installed
SETGID := postern-queue

install: all
	install -d $(LIBEXEC) $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/sbin
	$(COPY) -m 755 $(patsubst %,$(B)/bin/%,$(filter-out $(SETGID),$(PROGS))) \
		$(LIBEXEC)
	cmp -s $(B)/bin/$(SETGID) $(LIBEXEC)/$(SETGID) || \
		install -m 755 $(B)/bin/$(SETGID) $(LIBEXEC)
	@test "$$(id -u)" -ne 0 || test -n "$(DESTDIR)" || \
		! getent group posternk >/dev/null || \
		{ chown root:posternk $(LIBEXEC)/$(SETGID) && \
		chmod 2755 $(LIBEXEC)/$(SETGID); }
	cmp -s install/import-qmail $(LIBEXEC)/postern-import-qmail || install \
		-m 755 install/import-qmail $(LIBEXEC)/postern-import-qmail
	$(call LINK,../libexec/postern/postern,$(DESTDIR)$(PREFIX)/bin/postern)
	$(call LINK,../libexec/postern/postern-start,$(DESTDIR)$(PREFIX)/sbin/postern-start)
	@for page in $(MANUALS); do \
		dir=$(DESTDIR)$(PREFIX)/share/man/man$${page##*.}; \
		install -d $$dir && $(COPY) -m 644 $$page $$dir || exit 1; \
	done

uninstall:
	rm -f $(LIBEXEC)/postern $(LIBEXEC)/postern-* $(MAN_PATHS) \
		$(DESTDIR)$(PREFIX)/bin/postern \
		$(DESTDIR)$(PREFIX)/sbin/postern-start
	! test -d $(LIBEXEC) || rmdir --ignore-fail-on-non-empty $(LIBEXEC)

# The system's side.  For systemd: unit, users and folders, the lists printed by
# who has them, so that there is one of each.  For a log that postern-start
# writes: its rotation.
SYSTEM := $(DESTDIR)$(PREFIX)/lib
SHARE := $(DESTDIR)$(PREFIX)/share/postern
$(B)/system: all
	@mkdir -p $@
	@sed 's,@PREFIX@,$(PREFIX),' install/system/postern.service \
		> $@/postern.service
	@install/users --sysusers > $@/sysusers
	@env -u POSTERN_ROOT $(B)/bin/postern layout --tmpfiles > $@/tmpfiles

install-systemd: $(B)/system
	install -d $(SYSTEM)/systemd/system $(SYSTEM)/sysusers.d \
		$(SYSTEM)/tmpfiles.d
	$(COPY) -m 644 $(B)/system/postern.service $(SYSTEM)/systemd/system
	$(COPY) -m 644 $(B)/system/sysusers $(SYSTEM)/sysusers.d/postern.conf
	$(COPY) -m 644 $(B)/system/tmpfiles $(SYSTEM)/tmpfiles.d/postern.conf

install-none:
	install -d $(DESTDIR)/etc/logrotate.d
	$(COPY) -m 644 install/system/logrotate \
		$(DESTDIR)/etc/logrotate.d/postern

# These bring log programs of their own.
install-s6 install-runit install-daemontools:

install-system: install-systemd install-none

uninstall-system:
	rm -f $(SYSTEM)/systemd/system/postern.service \
		$(SYSTEM)/sysusers.d/postern.conf \
		$(SYSTEM)/tmpfiles.d/postern.conf \
		$(DESTDIR)/etc/logrotate.d/postern

# What a package has besides: setup without the sources, the users' list, and
# what debhelper is to lay down.
install-package: $(B)/system
	install -d $(SHARE)/steps $(SYSTEM)/sysusers.d
	install -m 755 install/setup install/users $(SHARE)
	install -m 644 install/steps/* $(SHARE)/steps
	install -m 644 $(B)/system/sysusers $(SYSTEM)/sysusers.d/postern.conf

# A Debian package, in build/deb (needs debhelper): from a copy of the tree, so
# that nothing is written elsewhere.
DEB := $(B)/deb/postern-$(VERSION)
deb:
	install/debian/make $(abspath $(DEB)) $(VERSION)

.PHONY: deb $(B)/system install-package install uninstall install-system install-systemd install-none \
	install-s6 install-runit install-daemontools uninstall-system
