/* SPDX-License-Identifier: ISC
 * check_numbers: settings that are good alone, but not together or not on this
 * machine.  Contract in check.h.
 */
#include <fcntl.h>
#include <inttypes.h>
#include <unistd.h>
#include "common/control.h"
#include "install/check.h"
#include "install/diskroom.h"

enum { HOUR = 3600, SMALLEST_LIMIT = 65536 };

static int control_dir;

/* Is there a file for it? */
static bool
is_set(const char *name)
{
	return faccessat(control_dir, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

/* Its value, or `instead` when it is wrong, which check_settings tells. */
static uint64_t
number(const char *name, uint64_t instead)
{
	uint64_t v;

	return control_number(control_dir, name, &v) == 0 ? v : instead;
}

/* ---- one beside the other ---- */

static void
order_check(struct check *c, const char *less, const char *more)
{
	uint64_t a = number(less, 0);
	uint64_t b = number(more, UINT64_MAX);

	/* what nobody has written is nobody's contradiction */
	if (a > b && is_set(less))
		check_say(c, CHECK_WARNING, less, 1,
		    "%" PRIu64 " is never reached, for %s is %" PRIu64
		    ": lower this one, or raise %s",
		    a, more, b, more);
}

static void
alone_check(struct check *c)
{
	uint64_t life = number("queuelifetime", HOUR);
	uint64_t size = number("databytes", 0);

	if (life < HOUR)
		check_say(c, CHECK_WARNING, "queuelifetime", 1,
		    "mail is returned after %" PRIu64 " seconds, before a busy "
		    "host has been tried twice: RFC 5321 4.5.4.1 wants 4 days "
		    "(345600)",
		    life);
	if (size > 0 && size < SMALLEST_LIMIT)
		check_say(c, CHECK_WARNING, "databytes", 1,
		    "messages over %" PRIu64 " bytes are refused: every host "
		    "must take 65536 (RFC 5321 4.5.3.1.7)",
		    size);
	if (number("concurrencyremote", 1) == 0)
		check_warning(c, "concurrencyremote", 1,
		    "with 0 no mail leaves this host: it waits until there is "
		    "another number");
	if (number("concurrencylocal", 1) == 0)
		check_warning(c, "concurrencylocal", 1,
		    "with 0 no mail is delivered here: it waits until there is "
		    "another number");
}

/* ---- beside the machine ---- */

static void
memory_check(struct check *c, const char *setting)
{
	long pages = sysconf(_SC_PHYS_PAGES);
	long size = sysconf(_SC_PAGESIZE);
	uint64_t mb = number(setting, 0);

	if (pages < 0 || size < 0)
		return;
	uint64_t have = (uint64_t)pages * (uint64_t)size >> 20;
	if (mb > have)
		check_say(c, CHECK_MISTAKE, setting, 1,
		    "%" PRIu64 " MiB are more than this machine's %" PRIu64
		    ": write at most a quarter of that",
		    mb, have);
}

/* Without a program the memory is nobody's.  postern-filter(8) keeps 1 MiB of
 * it free of messages. */
static void
filter_check(struct check *c)
{
	char text[CONTROL_LINE_MAX];
	struct buf line = BUF_ON(text);
	uint64_t room = (number("filtermemorymb", 1 << 20) - 1) << 20;
	uint64_t largest = number("databytes", 1);

	if (control_line(control_dir, "filter", &line) < 0 || line.n == 0)
		return;
	memory_check(c, "filtermemorymb");
	if (largest > room || largest == 0)
		check_say(c, CHECK_WARNING,
		    is_set("filtermemorymb") ? "filtermemorymb" : "databytes",
		    1,
		    "no message over %" PRIu64
		    " bytes gets through the filter, "
		    "though databytes allows more: write a larger "
		    "filtermemorymb, or smaller databytes",
		    room);
}

static void
room_say(struct check *c, const char *setting, uint64_t have, const char *unit,
    uint64_t want)
{
	check_say(c, CHECK_WARNING, setting, 0,
	    "the spool's disk has %" PRIu64 " %s left, and below %" PRIu64
	    " no new mail is taken: make room",
	    have, unit, want);
}

static void
disk_check(struct check *c)
{
	uint64_t ring =
	    number("journalsegments", 0) * number("journalsegmentmb", 0);
	struct diskroom d;

	if (!diskroom_read(&d))
		return; /* check_places has told */
	control_on_mistake(check_ignore);
	if (ring > d.total_mb)
		check_say(c, CHECK_MISTAKE,
		    is_set("journalsegmentmb") ? "journalsegmentmb"
					       : "journalsegments",
		    1,
		    "a journal of %" PRIu64 " MiB (journalsegments times "
		    "journalsegmentmb) does not fit on the spool's disk of "
		    "%" PRIu64 " MiB: write smaller numbers",
		    ring, d.total_mb);
	if (d.free_mb < d.floor_mb)
		room_say(c, "spoolfloormb", d.free_mb, "MiB", d.floor_mb);
	if (d.has_inodes && d.free_inodes < d.floor_inodes)
		room_say(c, "spoolfloorinodes", d.free_inodes, "inodes",
		    d.floor_inodes);
}

void
check_numbers(struct check *c, int dir)
{
	control_dir = dir;
	control_on_mistake(check_ignore);
	alone_check(c);
	order_check(c, "concurrencyperip", "concurrencyincoming");
	order_check(c, "concurrencyperip", "concurrencyper64");
	order_check(c, "timeoutconnect", "timeoutremote");
	memory_check(c, "queuememorymb");
	filter_check(c);
	disk_check(c);
	control_on_mistake(NULL);
}
