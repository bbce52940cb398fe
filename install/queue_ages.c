/* SPDX-License-Identifier: ISC
 * queue_ages: contract in queue_ages.h.  Two hash tables, of domains and of
 * reasons: their size goes with the number of different ones, not of messages.
 */
#include "install/queue_ages.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "common/address.h"
#include "install/json.h"
#include "install/queue_select.h"
#include "install/queue_view.h"

enum {
	AGES = 10,	    /* the last one: older than all others */
	FIRST_MINUTES = 5,  /* each bucket ends at twice the one before */
	REASON_MAX = 200,   /* bytes of a reason that tell it apart */
	REASONS = 10,	    /* printed */
	DIFFERENT = 1000000 /* entries of a table; the rest is one line */
};

struct line {
	struct line *next; /* of its bucket */
	uint64_t count[AGES], total;
	size_t n;
	char name[];
};

struct slot {
	struct line *line;
};

struct tally {
	struct slot *bucket; /* lists */
	size_t mask, lines;
};

static struct tally domains, reasons;
static uint64_t total[AGES], all;
static uint64_t by_state[256];
static bool senders;
static int64_t now_s;
static int width = 4; /* of a column of numbers */

/* ---- counting ---- */

static uint64_t
hash_of(struct str s)
{
	uint64_t h = 0xcbf29ce484222325u; /* FNV-1a */

	for (size_t i = 0; i < s.n; i++)
		h = (h ^ (unsigned char)s.p[i]) * 0x100000001b3u;
	return h ^ h >> 29;
}

static bool
grow(struct tally *t)
{
	size_t cap = t->bucket == NULL ? 1024 : (t->mask + 1) * 4;
	struct slot *bucket = calloc(cap, sizeof(*bucket));
	size_t old = t->bucket == NULL ? 0 : t->mask + 1;

	if (bucket == NULL)
		return false;
	for (size_t i = 0; i < old; i++) {
		struct line *next;
		for (struct line *l = t->bucket[i].line; l != NULL; l = next) {
			struct str s = { .p = l->name, .n = l->n };
			size_t at = hash_of(s) & (cap - 1);
			next = l->next;
			l->next = bucket[at].line;
			bucket[at].line = l;
		}
	}
	free(t->bucket);
	t->bucket = bucket;
	t->mask = cap - 1;
	return true;
}

/* The line of that name, made when it is new; NULL: no memory. */
static struct line *
line_of(struct tally *t, struct str name)
{
	if (t->lines >= DIFFERENT)
		name = STR("(others)");
	if ((t->bucket == NULL || t->lines > t->mask) && !grow(t))
		return NULL;
	size_t at = hash_of(name) & t->mask;
	for (struct line *l = t->bucket[at].line; l != NULL; l = l->next)
		if (l->n == name.n && memcmp(l->name, name.p, name.n) == 0)
			return l;
	struct line *l = calloc(1, sizeof(*l) + name.n);
	if (l == NULL)
		return NULL;
	memcpy(l->name, name.p, name.n);
	l->n = name.n;
	l->next = t->bucket[at].line;
	t->bucket[at].line = l;
	t->lines++;
	return l;
}

static unsigned
age_of(int64_t birth)
{
	int64_t minutes = (now_s - birth) / 60;
	unsigned i = 0;

	for (int64_t end = FIRST_MINUTES; i + 1 < AGES && minutes >= end;
	     end *= 2)
		i++;
	return i;
}

static struct str
name_of(const struct queue_row *r)
{
	if (senders && r->sender.n == 0)
		return STR("<>");
	struct str s = address_split(senders ? r->sender : r->address).domain;
	return s.n == 0 ? STR("(none)") : s;
}

void
queue_ages_begin(bool by_sender, int64_t now)
{
	senders = by_sender;
	now_s = now;
}

bool
queue_ages_row(void *arg, const struct queue_row *r)
{
	unsigned age = age_of(r->birth);
	struct line *l = line_of(&domains, name_of(r));

	(void)arg;
	if (l == NULL)
		return false;
	l->count[age]++;
	l->total++;
	total[age]++;
	all++;
	by_state[(unsigned char)r->state]++;
	if (r->text.n == 0)
		return true;
	l = line_of(&reasons, str_head(r->text, REASON_MAX));
	if (l != NULL)
		l->total++;
	return l != NULL;
}

uint64_t
queue_ages_count(void)
{
	return all;
}

/* ---- printing ---- */

static int
by_total(const void *a, const void *b)
{
	const struct line *x = ((const struct slot *)a)->line;
	const struct line *y = ((const struct slot *)b)->line;

	if (x->total != y->total)
		return x->total > y->total ? -1 : 1;
	size_t n = x->n < y->n ? x->n : y->n;
	return memcmp(x->name, y->name, n);
}

/* All lines, those with the most recipients first; NULL: none, or no memory. */
static struct slot *
sorted(const struct tally *t)
{
	struct slot *v = t->lines == 0 ? NULL : calloc(t->lines, sizeof(*v));
	size_t n = 0;

	if (v == NULL)
		return NULL;
	for (size_t i = 0; i <= t->mask; i++)
		for (struct line *l = t->bucket[i].line; l != NULL; l = l->next)
			v[n++].line = l;
	qsort(v, n, sizeof(*v), by_total);
	return v;
}

static struct str
name_at(const struct slot *s)
{
	return (struct str){ .p = s->line->name, .n = s->line->n };
}

static void
print_ages(const char *name, const uint64_t count[AGES], uint64_t sum)
{
	printf("%-23.23s %*ju", name, width + 2, (uintmax_t)sum);
	for (size_t i = 0; i < AGES; i++)
		printf(" %*ju", width, (uintmax_t)count[i]);
	putchar('\n');
}

static void
print_table(struct slot *v, uint64_t top)
{
	static const char *const heads[AGES] = { "<5", "10", "20", "40", "80",
		"160", "320", "640", "1280", "more" };

	for (uint64_t n = all; n >= 10000; n /= 10)
		width++;
	printf("%-23s %*s",
	    senders ? "SENDER, MINUTES:" : "DOMAIN, MINUTES:", width + 2,
	    "ALL");
	for (size_t i = 0; i < AGES; i++)
		printf(" %*s", width, heads[i]);
	putchar('\n');
	print_ages("TOTAL", total, all);
	for (uint64_t i = 0; i < domains.lines && i < top; i++)
		print_ages(queue_view_safe(name_at(&v[i]), v[i].line->n * 4),
		    v[i].line->count, v[i].line->total);
	if (domains.lines > top)
		printf("(and %ju more)\n", (uintmax_t)(domains.lines - top));
}

static void
print_states(bool json)
{
	static const char letters[] = "nwhabm";
	bool any = false;

	for (const char *p = letters; *p != '\0'; p++) {
		uintmax_t n = by_state[(unsigned char)*p];
		const char *name = queue_state_name(*p);
		if (json)
			printf("%s\"%s\":%ju", any ? "," : "", name, n);
		else if (n > 0)
			printf("%s%ju %s", any ? ", " : "", n, name);
		any = any || json || n > 0;
	}
}

static void
print_reasons(struct slot *v, size_t columns)
{
	enum { BEFORE = 10 };

	if (v == NULL)
		return;
	puts("\nREASONS");
	for (size_t i = 0; i < reasons.lines && i < REASONS; i++) {
		printf("%8ju  ", (uintmax_t)v[i].line->total);
		queue_view_cut(
		    queue_view_safe(name_at(&v[i]), 1000), columns - BEFORE);
	}
	if (reasons.lines > REASONS)
		printf("          (and %zu more)\n", reasons.lines - REASONS);
}

static void
json_ages(const uint64_t count[AGES])
{
	for (size_t i = 0; i < AGES; i++)
		printf("%s%ju", i == 0 ? "" : ",", (uintmax_t)count[i]);
}

static void
json_lines(const char *key, struct slot *v, size_t n, bool ages)
{
	for (size_t i = 0; v != NULL && i < n; i++) {
		printf("{\"%s\":", key);
		json_string(name_at(&v[i]));
		printf(",\"recipients\":%ju", (uintmax_t)v[i].line->total);
		if (ages) {
			fputs(",\"ages\":[", stdout);
			json_ages(v[i].line->count);
			putchar(']');
		}
		puts("}");
	}
}

static void
print_json(struct slot *v, struct slot *why, uint64_t top)
{
	printf("{\"total\":%ju,\"ages\":[", (uintmax_t)all);
	json_ages(total);
	fputs("],\"states\":{", stdout);
	print_states(true);
	puts("}}");
	json_lines(senders ? "sender" : "domain", v,
	    domains.lines < top ? domains.lines : (size_t)top, true);
	json_lines("reason", why,
	    reasons.lines < REASONS ? reasons.lines : REASONS, false);
}

uint64_t
queue_ages_print(uint64_t top, bool json, size_t columns)
{
	struct slot *v = sorted(&domains);
	struct slot *why = sorted(&reasons);

	if (json) {
		print_json(v, why, top);
	} else if (all > 0 && v != NULL) {
		print_table(v, top);
		fputs("\nSTATES  ", stdout);
		print_states(false);
		putchar('\n');
		print_reasons(why, columns);
	}
	free(v);
	free(why);
	return all;
}
