/* SPDX-License-Identifier: ISC
 * queue_view: contract in queue_view.h.
 */
#include "install/queue_view.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "common/clock.h"
#include "common/log.h"
#include "install/json.h"

enum { WIDE = 40, REASON = 120, SAFE = 4096 };

static struct queue_row *rows;
static size_t count, room;

size_t
queue_view_count(void)
{
	return count;
}

void
queue_view_clear(void)
{
	for (size_t i = 0; i < count; i++)
		free(rows[i].storage);
	count = 0;
}

bool
queue_view_add(const struct queue_row *row)
{
	if (count == room) {
		size_t more = room == 0 ? 256 : room * 2;
		void *bigger = reallocarray(rows, more, sizeof(rows[0]));
		if (bigger == NULL)
			return false;
		rows = bigger;
		room = more;
	}
	struct queue_row r = *row;
	r.storage = malloc(r.sender.n + r.address.n + r.text.n + 1);
	if (r.storage == NULL)
		return false;
	struct queue_row *kept = &rows[count++];
	*kept = r;
	char *p = kept->storage;
	struct str *parts[] = { &kept->sender, &kept->address, &kept->text };
	for (size_t i = 0; i < N_ELEMENTS(parts); i++) {
		memcpy(p, parts[i]->p, parts[i]->n);
		parts[i]->p = p;
		p += parts[i]->n;
	}
	return true;
}

static int
by_id(const void *a, const void *b)
{
	const struct queue_row *x = a;
	const struct queue_row *y = b;
	if (x->id != y->id)
		return x->id < y->id ? -1 : 1;
	return x->idx < y->idx ? -1 : x->idx > y->idx;
}

static void
sort(void)
{
	if (count > 0)
		qsort(rows, count, sizeof(rows[0]), by_id);
}

static const char *
state_name(char state)
{
	switch (state) {
	case 'n':
		return "new";
	case 'w':
		return "deferred";
	case 'h':
		return "held";
	case 'a':
		return "active";
	case 'b':
		return "bouncing";
	case 'm':
		return "done";
	}
	return "?";
}

/* ---- pieces ---- */

/* s without what could play with a terminal; valid until the next call. */
static const char *
safe(struct str s, size_t most)
{
	static char space[SAFE + 1];
	struct buf b = { .p = space, .cap = SAFE };
	log_safe(&b, s, most < SAFE ? most : SAFE);
	space[b.n] = '\0';
	return space;
}

static struct str
sender_of(const struct queue_row *r)
{
	return r->sender.n == 0 ? STR("<>") : r->sender;
}

struct words {
	char text[24];
};

/* "47s", "12m", "5h10m", "3d2h" */
static struct words
span(int64_t seconds)
{
	struct words w;
	long long s = seconds > 0 ? seconds : 0;
	if (s < 60)
		snprintf(w.text, sizeof(w.text), "%llds", s);
	else if (s < 3600)
		snprintf(
		    w.text, sizeof(w.text), "%lldm%02llds", s / 60, s % 60);
	else if (s < 86400)
		snprintf(w.text, sizeof(w.text), "%lldh%02lldm", s / 3600,
		    s % 3600 / 60);
	else
		snprintf(w.text, sizeof(w.text), "%lldd%lldh", s / 86400,
		    s % 86400 / 3600);
	return w;
}

static struct words
amount(uint64_t bytes)
{
	struct words w;
	if (bytes < 10000)
		snprintf(w.text, sizeof(w.text), "%ju", (uintmax_t)bytes);
	else if (bytes < 10000000)
		snprintf(
		    w.text, sizeof(w.text), "%juK", (uintmax_t)bytes / 1000);
	else
		snprintf(
		    w.text, sizeof(w.text), "%juM", (uintmax_t)bytes / 1000000);
	return w;
}

static struct words
next_of(const struct queue_row *r, int64_t now)
{
	struct words none = { "-" };
	return r->due == 0 ? none : span(r->due - now);
}

static int
width(size_t *widest, size_t n)
{
	if (n > *widest)
		*widest = n < WIDE ? n : WIDE;
	return (int)*widest;
}

/* ---- forms ---- */

void
queue_view_table(int64_t now)
{
	size_t from = 6, to = 9;

	sort();
	if (count == 0) {
		puts("The queue is empty.");
		return;
	}
	for (size_t i = 0; i < count; i++) {
		(void)width(&from, sender_of(&rows[i]).n);
		(void)width(&to, rows[i].address.n);
	}
	printf("%-16s %7s %6s  %-*s  %-*s  %-8s %5s %7s  %s\n", "ID", "AGE",
	    "SIZE", (int)from, "SENDER", (int)to, "RECIPIENT", "STATE", "TRIES",
	    "NEXT IN", "REASON");
	for (size_t i = 0; i < count; i++) {
		const struct queue_row *r = &rows[i];
		printf("%016jx %7s %6s", (uintmax_t)r->id,
		    span(now - r->birth).text, amount(r->size).text);
		printf("  %-*s", (int)from, safe(sender_of(r), SAFE));
		printf("  %-*s", (int)to, safe(r->address, SAFE));
		printf("  %-8s %5u %7s", state_name(r->state), r->attempts,
		    next_of(r, now).text);
		if (r->text.n > 0)
			printf("  %s", safe(r->text, REASON));
		putchar('\n');
	}
}

static void
json_time(const char *name, int64_t seconds)
{
	printf(",\"%s\":%jd", name, (intmax_t)seconds);
}

static void
json_rcpt(const struct queue_row *r)
{
	fputs("{\"recipient\":", stdout);
	json_string(r->address);
	printf(",\"state\":\"%s\",\"attempts\":%u", state_name(r->state),
	    r->attempts);
	if (r->due != 0)
		json_time("next_attempt", r->due);
	fputs(",\"reason\":", stdout);
	json_string(r->text);
	putchar('}');
}

void
queue_view_json(void)
{
	sort();
	for (size_t i = 0; i < count; i++) {
		const struct queue_row *r = &rows[i];
		if (i > 0 && rows[i - 1].id == r->id) {
			putchar(',');
		} else {
			printf("{\"id\":\"%016jx\",\"size\":%ju",
			    (uintmax_t)r->id, (uintmax_t)r->size);
			json_time("arrival", r->birth);
			fputs(",\"sender\":", stdout);
			json_string(r->sender);
			fputs(",\"recipients\":[", stdout);
		}
		json_rcpt(r);
		if (i + 1 == count || rows[i + 1].id != r->id)
			puts("]}");
	}
}

static const char *
when(int64_t seconds)
{
	static char space[64];
	struct buf b = BUF_ON(space);
	clock_put_rfc5322(&b, seconds);
	const char *text = buf_cstr(&b);
	return text == NULL ? "?" : text;
}

void
queue_view_details(int64_t now)
{
	sort();
	for (size_t i = 0; i < count; i++) {
		const struct queue_row *r = &rows[i];
		if (i == 0 || rows[i - 1].id != r->id) {
			printf("%sid         %016jx\n", i > 0 ? "\n" : "",
			    (uintmax_t)r->id);
			printf("arrived    %s, %s ago\n", when(r->birth),
			    span(now - r->birth).text);
			printf("size       %ju bytes\n", (uintmax_t)r->size);
			printf("sender     %s\n", safe(sender_of(r), SAFE));
		}
		printf("recipient  %s\n", safe(r->address, SAFE));
		printf("  state    %s, %u attempt%s\n", state_name(r->state),
		    r->attempts, r->attempts == 1 ? "" : "s");
		if (r->due != 0)
			printf("  next     %s, in %s\n", when(r->due),
			    span(r->due - now).text);
		if (r->text.n > 0)
			printf("  reason   %s\n", safe(r->text, SAFE));
	}
}
