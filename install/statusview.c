/* SPDX-License-Identifier: ISC
 * statusview: contract in statusview.h.
 */
#include "install/statusview.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include "common/clock.h"
#include "common/layout.h"
#include "install/colour.h"
#include "install/json.h"

enum { ERRORS_SHOWN = 3 };

static const char *const level_words[] = { [STATUS_OK] = "OK",
	[STATUS_WARNING] = "WARNING",
	[STATUS_CRITICAL] = "CRITICAL" };

/* "3d 04h", "2h 05m", "7m 12s", "9s" */
static void
duration(char *room, size_t size, int64_t seconds)
{
	int64_t s = seconds < 0 ? 0 : seconds;
	intmax_t days = s / 86400;
	intmax_t hours = s / 3600 % 24;
	intmax_t minutes = s / 60 % 60;

	if (days > 0)
		snprintf(room, size, "%jdd %02jdh", days, hours);
	else if (hours > 0)
		snprintf(room, size, "%jdh %02jdm", hours, minutes);
	else if (minutes > 0)
		snprintf(room, size, "%jdm %02jds", minutes, (intmax_t)s % 60);
	else
		snprintf(room, size, "%jds", (intmax_t)s);
}

/* ---- the first line ---- */

static void
summary_print(const struct status *s)
{
	static const enum colour colours[] = { [STATUS_OK] = COLOUR_GOOD,
		[STATUS_WARNING] = COLOUR_WARN,
		[STATUS_CRITICAL] = COLOUR_BAD };

	printf("%s%s%s: ", colour_on(colours[s->level]), level_words[s->level],
	    colour_off());
	if (s->reason_count == 0)
		printf("%d roles are ready\n", s->role_count);
	for (size_t i = 0; i < s->reason_count; i++)
		printf("%s%s\n", i > 0 ? "         " : "", s->reason[i]);
}

/* ---- roles ---- */

static enum colour
state_colour(const char *state)
{
	return strcmp(state, "ready") == 0  ? COLOUR_GOOD
	       : strcmp(state, "down") == 0 ? COLOUR_BAD
					    : COLOUR_WARN;
}

static void
roles_print(const struct status *s)
{
	int64_t now = clock_now();

	if (s->role_count == 0)
		return;
	printf("\n%-14s %8s  %-12s %-9s %8s  %s\n", "ROLE", "PID", "USER",
	    "STATE", "FOR", "RESTARTS");
	for (int i = 0; i < s->role_count; i++) {
		const struct running *r = &s->roles[i];
		char up[32];
		duration(up, sizeof(up), now - r->since);
		printf("%-14s %8d  %-12s %s%-9s%s %8s  %u\n", r->name,
		    (int)r->pid, r->user, colour_on(state_colour(r->state)),
		    r->state, colour_off(), up, r->restarts);
	}
}

static void
roles_json(const struct status *s)
{
	int64_t now = clock_now();

	printf(",\"roles\":[");
	for (int i = 0; i < s->role_count; i++) {
		const struct running *r = &s->roles[i];
		printf("%s{\"role\":", i > 0 ? "," : "");
		json_string(str_of(r->name));
		printf(",\"pid\":%d,\"user\":", (int)r->pid);
		json_string(str_of(r->user));
		printf(",\"state\":");
		json_string(str_of(r->state));
		printf(",\"since\":%" PRId64 ",\"uptime\":%" PRId64
		       ",\"restarts\":%u}",
		    r->since, now - r->since, r->restarts);
	}
	printf("]");
}

/* ---- the queue ---- */

static uint64_t
one(const struct status *s, const char *name)
{
	return queuestats_value(&s->queue, name);
}

static uint64_t
both(const struct status *s, const char *local, const char *remote)
{
	return one(s, local) + one(s, remote);
}

/* What waits where nothing runs: the journal is queued's alone to read. */
static void
spool_print(const struct status *s)
{
	if (s->files_known)
		printf("\nqueue   at most %" PRIu64
		       " messages in files of their own; what came last is in "
		       "the\n        journal, which is read at the next "
		       "start\n",
		    s->files);
	else
		printf("\nqueue   only root can look into the spool\n");
}

static void
queue_print(const struct status *s)
{
	char oldest[32] = "-";
	int64_t birth = (int64_t)one(s, "oldest-birth");

	if (s->down) {
		spool_print(s);
		return;
	}
	if (!s->queue.known) {
		printf("\nqueue   %s\n", s->queue.why);
		return;
	}
	if (birth > 0)
		duration(oldest, sizeof(oldest), clock_now() - birth);
	printf("\nqueue   %" PRIu64 " message%s, %" PRIu64
	       " recipient%s, oldest %s\n",
	    one(s, "messages"), one(s, "messages") == 1 ? "" : "s",
	    one(s, "recipients"), one(s, "recipients") == 1 ? "" : "s", oldest);
	printf("        %" PRIu64 " queued, %" PRIu64 " in flight, %" PRIu64
	       " deferred, %" PRIu64 " held, %" PRIu64 " bouncing\n",
	    both(s, "queued-local", "queued-remote"),
	    both(s, "in-flight-local", "in-flight-remote"),
	    both(s, "deferred-local", "deferred-remote"), one(s, "held"),
	    one(s, "bouncing"));
	printf("agents  %" PRIu64 " local, %" PRIu64 " remote, %" PRIu64
	       " connecting\n",
	    one(s, "agents-local"), one(s, "agents-remote"),
	    one(s, "connecting"));
	printf("rates   last minute: %" PRIu64 " in; %" PRIu64
	       " delivered, %" PRIu64 " deferred, %" PRIu64 " failed\n",
	    one(s, "arrived-last-minute"), one(s, "delivered-last-minute"),
	    one(s, "deferred-last-minute"), one(s, "failed-last-minute"));
}

static void
queue_json(const struct status *s)
{
	printf(",\"queue\":%s", s->queue.known ? "{" : "null");
	for (size_t i = 0; i < s->queue.count && s->queue.known; i++) {
		printf("%s", i > 0 ? "," : "");
		json_string(str_of(s->queue.values[i].name));
		printf(":%" PRIu64, s->queue.values[i].value);
	}
	printf("%s", s->queue.known ? "}" : "");
	if (s->files_known)
		printf(",\"spoolfiles\":%" PRIu64, s->files);
	if (s->drop_known)
		printf(",\"dropped\":%" PRIu64, s->dropped);
}

static void
drop_print(const struct status *s)
{
	if (s->drop_known && (s->dropped > 0 || s->down))
		printf("drop    %" PRIu64 " message%s in the drop box\n",
		    s->dropped, s->dropped == 1 ? "" : "s");
}

/* ---- the disk ---- */

static void
size_print(uint64_t mb)
{
	if (mb >= 10240)
		printf("%" PRIu64 ".%" PRIu64 " GiB", mb / 1024,
		    mb % 1024 * 10 / 1024);
	else
		printf("%" PRIu64 " MiB", mb);
}

static void
disk_print(const struct diskroom *d)
{
	if (!d->known) {
		printf("disk    %s cannot be looked at\n",
		    layout_path(LAYOUT_SPOOL));
		return;
	}
	printf("disk    ");
	size_print(d->free_mb);
	printf(" of ");
	size_print(d->total_mb);
	printf(" free");
	if (d->has_inodes)
		printf(", %" PRIu64 " inodes", d->free_inodes);
	printf("; floor ");
	size_print(d->floor_mb);
	printf("\n");
}

static void
disk_json(const struct diskroom *d)
{
	if (!d->known) {
		printf(",\"disk\":null");
		return;
	}
	printf(",\"disk\":{\"free_mb\":%" PRIu64 ",\"total_mb\":%" PRIu64
	       ",\"floor_mb\":%" PRIu64,
	    d->free_mb, d->total_mb, d->floor_mb);
	if (d->has_inodes)
		printf(",\"free_inodes\":%" PRIu64 ",\"total_inodes\":%" PRIu64
		       ",\"floor_inodes\":%" PRIu64,
		    d->free_inodes, d->total_inodes, d->floor_inodes);
	printf("}");
}

/* ---- errors ---- */

static void
errors_print(const struct status *s)
{
	const struct lasterrors *e = &s->errors;
	const char *when = s->down ? "in its last run" : "since the start";

	if (!e->known)
		printf("errors  %s\n", e->why);
	else if (e->total == 0)
		printf("errors  none %s\n", when);
	else
		printf("errors  %" PRIu64 " %s; the last%s\n", e->total, when,
		    e->total == 1 ? ":" : " ones:");
	lasterrors_print(e, ERRORS_SHOWN);
}

static void
errors_json(const struct lasterrors *e)
{
	if (!e->known) {
		printf(",\"errors\":null");
		return;
	}
	printf(",\"errors\":{\"total\":%" PRIu64 ",\"last\":", e->total);
	lasterrors_json(e);
	printf("}");
}

/* ---- all of it ---- */

void
statusview_text(const struct status *s)
{
	summary_print(s);
	roles_print(s);
	queue_print(s);
	drop_print(s);
	disk_print(&s->disk);
	errors_print(s);
}

void
statusview_json(const struct status *s)
{
	static const char *const words[] = { [STATUS_OK] = "ok",
		[STATUS_WARNING] = "warning",
		[STATUS_CRITICAL] = "critical" };

	printf(
	    "{\"status\":\"%s\",\"why\":[", s->down ? "down" : words[s->level]);
	for (size_t i = 0; i < s->reason_count; i++) {
		printf("%s", i > 0 ? "," : "");
		json_string(str_of(s->reason[i]));
	}
	printf("]");
	roles_json(s);
	queue_json(s);
	disk_json(&s->disk);
	errors_json(&s->errors);
	puts("}");
}
