/* SPDX-License-Identifier: ISC
 * doctor_host: this machine: clock, disk, names, services.  Contract in
 * doctor.h.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/timex.h>
#include <unistd.h>
#include "common/clock.h"
#include "common/io.h"
#include "common/layout.h"
#include "install/diskroom.h"
#include "install/doctor.h"
#include "install/mountinfo.h"
#include "install/portholder.h"

/* ---- clock ---- */

void
doctor_clock(void)
{
	enum { YEAR = 31556952, FIRST = 2026 - 1970, LAST = 2100 - 1970 };
	struct timex t = { .modes = 0 };
	char text[48];
	struct buf now = BUF_ON(text);
	int64_t seconds = clock_now();
	int state = adjtimex(&t);

	clock_put_rfc5322(&now, seconds);
	const char *date = buf_cstr(&now);
	if (seconds < (int64_t)FIRST * YEAR || seconds > (int64_t)LAST * YEAR) {
		doctor_say(DOCTOR_FAIL, "clock",
		    "it is not %s: every Date and "
		    "Received line would be wrong",
		    date);
		doctor_fix("set it, and keep it right:");
		doctor_type("apt-get install chrony");
	} else if (state < 0 && errno != EPERM) {
		doctor_say(DOCTOR_SKIP, "clock",
		    "%s; whether it is kept right "
		    "cannot be told: %s",
		    date, strerror(errno));
	} else if (state == TIME_ERROR || (t.status & STA_UNSYNC) != 0) {
		doctor_say(
		    DOCTOR_WARN, "clock", "%s; nothing keeps it right", date);
		doctor_fix("run a time service (in a container: on its host):");
		doctor_type("apt-get install chrony");
	} else {
		doctor_say(DOCTOR_OK, "clock",
		    "synchronised, at most %ld ms off", t.maxerror / 1000);
	}
}

/* ---- disk ---- */

static void
room_tell(void)
{
	struct diskroom d;
	const char *spool = layout_path(LAYOUT_SPOOL);

	if (!diskroom_read(&d)) {
		doctor_say(
		    DOCTOR_FAIL, "disk", "%s: %s", spool, strerror(errno));
		doctor_fix("make the folders:");
		doctor_type("postern init");
		return;
	}
	enum doctor_level level = diskroom_is_over(&d)	? DOCTOR_FAIL
				  : diskroom_is_low(&d) ? DOCTOR_WARN
							: DOCTOR_OK;
	if (d.has_inodes)
		doctor_say(level, "disk",
		    "%" PRIu64 " MiB and %" PRIu64 " inodes free for %s",
		    d.free_mb, d.free_inodes, spool);
	else
		doctor_say(level, "disk", "%" PRIu64 " MiB free for %s",
		    d.free_mb, spool);
	if (level != DOCTOR_OK)
		doctor_fix("make room: new mail is refused below %" PRIu64
			   " MiB (control/spoolfloormb)",
		    d.floor_mb);
}

/* What "250 means on disk" rests on. */
static void
durability_tell(enum layout_place place, const char *test)
{
	const char *path = layout_path(place);
	struct mountinfo m;
	const char *wrong;

	if (!mountinfo_of(path, &m)) {
		doctor_say(DOCTOR_SKIP, test,
		    "what file system %s is on cannot be told", path);
		return;
	}
	enum mountinfo_trust trust = mountinfo_judge(&m, &wrong);
	if (trust == MOUNTINFO_PROVEN)
		doctor_say(DOCTOR_OK, test,
		    "%s is on %s, which keeps what it "
		    "has synced",
		    path, m.type);
	else
		doctor_say(
		    trust == MOUNTINFO_BREAKS ? DOCTOR_FAIL : DOCTOR_WARN, test,
		    "%s is on %s: %s", path, m.type, wrong);
	if (trust == MOUNTINFO_BREAKS)
		doctor_fix("mount ext4 or XFS there, with its usual options");
}

void
doctor_disk(void)
{
	room_tell();
	durability_tell(LAYOUT_SPOOL, "spool");
	durability_tell(LAYOUT_MAIL, "mailboxes");
}

/* ---- /etc/hosts ---- */

/* The address that a line gives the name; false: none. */
static bool
line_names(struct str line, struct str name, struct ip *ip)
{
	struct str word;
	bool found = false;
	bool first = true;

	while (line.n > 0) {
		size_t n = 0;
		while (n < line.n && line.p[n] != ' ' && line.p[n] != '\t')
			n++;
		word = str_head(line, n);
		line = str_trim(str_skip(line, n));
		if (first && !ip_parse(word, ip))
			return false;
		found = found || (!first && str_ieq(word, name));
		first = false;
	}
	return found;
}

void
doctor_hosts_file(const struct doctor *d)
{
	static char text[256 * 1024];
	struct str line;
	struct str comment;
	struct ip ip;
	struct ip_net loopback;
	int64_t n = io_read_file(AT_FDCWD, "/etc/hosts", text, sizeof(text));
	struct str rest = { .p = text, .n = n > 0 ? (size_t)n : 0 };

	if (!ip_net_parse(STR("127.0.0.0/8"), &loopback))
		return;
	while (str_line(&rest, &line)) {
		str_cut(line, '#', &line, &comment);
		line = str_trim(line);
		if (line_names(line, str_of(d->me), &ip) &&
		    ip_net_has(&loopback, &ip)) {
			doctor_say(DOCTOR_WARN, "hosts",
			    "/etc/hosts has "
			    "%.*s: on this host %s is the host itself, for "
			    "other programs (Postern asks the DNS)",
			    (int)line.n, line.p, d->me);
			doctor_fix("write its public address there in place "
				   "of the loopback one, or remove the name");
			return;
		}
	}
	doctor_say(DOCTOR_OK, "hosts",
	    "/etc/hosts does not send %s to loopback", d->me);
}

/* ---- services ---- */

void
doctor_service(const struct doctor *d)
{
	static const char wanted[] = "/etc/systemd/system/"
				     "multi-user.target.wants/postern.service";

	if (access("/run/systemd/system", F_OK) == 0 &&
	    faccessat(AT_FDCWD, wanted, F_OK, AT_SYMLINK_NOFOLLOW) < 0) {
		doctor_say(DOCTOR_WARN, "service",
		    "systemd does not start Postern when the host boots");
		doctor_type("systemctl enable --now postern");
	} else if (!d->runs) {
		doctor_say(DOCTOR_FAIL, "service", "the suite does not run");
		doctor_type(access("/run/systemd/system", F_OK) == 0
				? "systemctl start postern"
				: "postern-start");
	} else {
		doctor_say(DOCTOR_OK, "service", "the suite runs");
	}
}

/* ---- who has port 25 ---- */

static void
port_25_others(const struct doctor *d, const char *name, int pid)
{
	if (d->leaves_25) {
		doctor_say(DOCTOR_OK, "port-25",
		    "%s (pid %d) listens there, and control/smtplisten says "
		    "none",
		    name, pid);
		return;
	}
	doctor_say(
	    DOCTOR_FAIL, "port-25", "%s (pid %d) listens there", name, pid);
	doctor_fix("stop it for good, and see that nothing needs it:");
	if (access("/run/systemd/system", F_OK) == 0)
		doctor_type("systemctl disable --now %s", name);
	else
		doctor_type("kill %d", pid);
}

void
doctor_other_mta(struct doctor *d)
{
	char name[64];
	int pid = 0;
	enum portholder holder = portholder_find(25, name, sizeof(name), &pid);

	d->held_25 = holder != PORTHOLDER_NONE;
	switch (holder) {
	case PORTHOLDER_NONE:
		doctor_say(DOCTOR_OK, "port-25", "nothing else listens there");
		return;
	case PORTHOLDER_UNKNOWN:
		doctor_say(DOCTOR_SKIP, "port-25",
		    "something listens there; only root can see what");
		return;
	case PORTHOLDER_OURS:
		doctor_say(DOCTOR_OK, "port-25", "is Postern's");
		return;
	case PORTHOLDER_OTHER:
		port_25_others(d, name, pid);
		return;
	}
}
