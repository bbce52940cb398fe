/* SPDX-License-Identifier: ISC
 * `postern status`: what runs, for how long, and how deep the queue is.
 */
#include <stdio.h>
#include <string.h>
#include "common/clock.h"
#include "common/exitcode.h"
#include "install/arguments.h"
#include "install/cli.h"
#include "install/json.h"
#include "install/queuestats.h"
#include "install/running.h"

static const char help[] =
    "usage: postern status [--json]\n"
    "The running roles and the queue, in a table.  Exit code, for monitoring:\n"
    "  0  every role is ready    1  some are not    2  the suite does not "
    "run\n";

enum { STATUS_OK, STATUS_WARNING, STATUS_DOWN };

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

static void
roles_print(const struct running *rows, int n)
{
	int64_t now = clock_now();

	printf("%-14s %8s  %-10s %-9s %8s  %s\n", "ROLE", "PID", "USER",
	    "STATE", "UP", "RESTARTS");
	for (int i = 0; i < n; i++) {
		char up[32];
		duration(up, sizeof(up), now - rows[i].since);
		printf("%-14s %8d  %-10s %-9s %8s  %u\n", rows[i].name,
		    (int)rows[i].pid, rows[i].user, rows[i].state, up,
		    rows[i].restarts);
	}
}

static void
roles_json(const struct running *rows, int n)
{
	int64_t now = clock_now();

	printf("\"roles\":[");
	for (int i = 0; i < n; i++) {
		printf("%s{\"role\":", i > 0 ? "," : "");
		json_string(str_of(rows[i].name));
		printf(",\"pid\":%d,\"user\":", (int)rows[i].pid);
		json_string(str_of(rows[i].user));
		printf(",\"state\":");
		json_string(str_of(rows[i].state));
		printf(",\"uptime\":%jd,\"restarts\":%u}",
		    (intmax_t)(now - rows[i].since), rows[i].restarts);
	}
	printf("]");
}

static uintmax_t
both(const struct queuestats *q, const char *local, const char *remote)
{
	return (uintmax_t)(queuestats_value(q, local) +
			   queuestats_value(q, remote));
}

static uintmax_t
one(const struct queuestats *q, const char *name)
{
	return (uintmax_t)queuestats_value(q, name);
}

static void
queue_print(const struct queuestats *q)
{
	char oldest[32] = "-";
	int64_t birth = (int64_t)queuestats_value(q, "oldest-birth");

	if (!q->known) {
		printf("\nqueue: %s\n", q->why);
		return;
	}
	if (birth > 0)
		duration(oldest, sizeof(oldest), clock_now() - birth);
	printf("\nqueue  %ju messages, %ju recipients, oldest %s\n",
	    one(q, "messages"), one(q, "recipients"), oldest);
	printf("       %ju queued, %ju in flight, %ju deferred, %ju held\n",
	    both(q, "queued-local", "queued-remote"),
	    both(q, "in-flight-local", "in-flight-remote"),
	    both(q, "deferred-local", "deferred-remote"), one(q, "held"));
	printf("agents %ju local, %ju remote, %ju connecting\n",
	    one(q, "agents-local"), one(q, "agents-remote"),
	    one(q, "connecting"));
	printf("rates  last minute: %ju delivered, %ju deferred, %ju failed\n",
	    one(q, "delivered-last-minute"), one(q, "deferred-last-minute"),
	    one(q, "failed-last-minute"));
}

static void
queue_json(const struct queuestats *q)
{
	printf(",\"queue\":%s", q->known ? "{" : "null");
	for (size_t i = 0; i < q->count && q->known; i++) {
		printf("%s", i > 0 ? "," : "");
		json_string(str_of(q->values[i].name));
		printf(":%ju", (uintmax_t)q->values[i].value);
	}
	printf("%s", q->known ? "}" : "");
}

static int
verdict(const struct running *rows, int n)
{
	for (int i = 0; i < n; i++)
		if (strcmp(rows[i].state, "ready") != 0)
			return STATUS_WARNING;
	return STATUS_OK;
}

static int
not_running(int n, bool json)
{
	if (json)
		puts("{\"status\":\"down\",\"roles\":[],\"queue\":null}");
	else if (n < 0)
		puts("run/roles cannot be read");
	else
		puts("the suite does not run");
	return STATUS_DOWN;
}

int
cli_status(int argc, char **argv)
{
	static struct running rows[RUNNING_MAX];
	static struct queuestats queue;
	bool json;
	int code;

	if (!arguments_json(argc, argv, help, &json, &code))
		return code;
	int n = running_read(rows);
	if (n <= 0)
		return not_running(n, json);
	int result = verdict(rows, n);
	queuestats_ask(&queue);
	if (json) {
		printf("{\"status\":\"%s\",",
		    result == STATUS_OK ? "ok" : "warning");
		roles_json(rows, n);
		queue_json(&queue);
		puts("}");
	} else {
		roles_print(rows, n);
		queue_print(&queue);
	}
	return result;
}
