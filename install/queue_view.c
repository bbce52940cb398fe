/* SPDX-License-Identifier: ISC
 * queue_view: contract in queue_view.h.
 */
#include "install/queue_view.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "common/log.h"
#include "install/json.h"
#include "install/queue_select.h"

enum {
	KEPT = 10000, /* rows that are sorted before any is printed */
	WIDEST = 40,  /* column of addresses */
	SAFE = 4096
};

struct kept {
	struct queue_row row;
	char *storage;
};

static enum queue_form form;
static int64_t now_s;
static size_t columns;
static struct kept *kept;
static size_t kept_count;
static bool flowing; /* rows are printed as they come */
static uint64_t rcpts, messages, last_id;
static size_t from_width, to_width;

/* ---- pieces ---- */

const char *
queue_view_safe(struct str s, size_t most)
{
	static char spaces[2][SAFE + 1];
	static unsigned turn;
	char *space = spaces[turn++ % 2];
	struct buf b = { .p = space, .cap = SAFE };

	log_safe(&b, s, most < SAFE ? most : SAFE);
	space[b.n] = '\0';
	return space;
}

void
queue_view_cut(const char *s, size_t room)
{
	size_t most = room > 2 ? room : 2;

	if (strlen(s) <= most)
		printf("%s\n", s);
	else
		printf("%.*s..\n", (int)(most - 2), s);
}

static struct str
sender_of(const struct queue_row *r)
{
	return r->sender.n == 0 ? STR("<>") : r->sender;
}

struct queue_words
queue_view_span(int64_t seconds)
{
	struct queue_words w;
	long long s = seconds > 0 ? seconds : 0;

	if (s < 60)
		snprintf(w.words, sizeof(w.words), "%llds", s);
	else if (s < 3600)
		snprintf(
		    w.words, sizeof(w.words), "%lldm%02llds", s / 60, s % 60);
	else if (s < 86400)
		snprintf(w.words, sizeof(w.words), "%lldh%02lldm", s / 3600,
		    s % 3600 / 60);
	else
		snprintf(w.words, sizeof(w.words), "%lldd%lldh", s / 86400,
		    s % 86400 / 3600);
	return w;
}

struct queue_words
queue_view_amount(uint64_t bytes)
{
	struct queue_words w;
	uintmax_t n = bytes;

	if (n < 10000)
		snprintf(w.words, sizeof(w.words), "%ju", n);
	else if (n < (uint64_t)10000 * 1024)
		snprintf(w.words, sizeof(w.words), "%juK", n / 1024);
	else
		snprintf(w.words, sizeof(w.words), "%juM", n / 1048576);
	return w;
}

struct queue_words
queue_view_when(int64_t seconds)
{
	struct queue_words w = { "?" };
	time_t t = (time_t)seconds;
	struct tm tm;

	if (localtime_r(&t, &tm) != NULL &&
	    strftime(w.words, sizeof(w.words), "%Y-%m-%d %H:%M:%S %z", &tm) ==
		0)
		w.words[0] = '\0';
	return w;
}

static struct queue_words
next_of(const struct queue_row *r)
{
	struct queue_words none = { "-" };
	return r->due == 0 ? none : queue_view_span(r->due - now_s);
}

/* ---- forms ---- */

static void
print_head(void)
{
	if (form == QUEUE_FORM_NARROW)
		printf("%-16s %6s %5s %-8s %3s %7s %s\n", "ID", "AGE", "SIZE",
		    "STATE", "TRY", "NEXT IN", "RECIPIENT");
	if (form == QUEUE_FORM_WIDE)
		printf("%-16s %7s %6s  %-*s  %-*s  %-8s %5s %7s  %s\n", "ID",
		    "AGE", "SIZE", (int)from_width, "SENDER", (int)to_width,
		    "RECIPIENT", "STATE", "TRIES", "NEXT IN", "REASON");
}

/* s cut to what is left of a line after `used` columns. */
static void
print_cut(const char *s, size_t used)
{
	queue_view_cut(s, columns > used ? columns - used : 0);
}

static void
print_narrow(const struct queue_row *r)
{
	enum { COLUMNS_BEFORE = 51, INDENT = 4 };
	static char text[SAFE * 2 + 16];

	printf("%016jx %6s %5s %-8s %3u %7s ", (uintmax_t)r->id,
	    queue_view_span(now_s - r->birth).words,
	    queue_view_amount(r->size).words, queue_state_name(r->state),
	    r->attempts, next_of(r).words);
	print_cut(queue_view_safe(r->address, SAFE), COLUMNS_BEFORE);
	snprintf(text, sizeof(text), "from %s%s%s",
	    queue_view_safe(sender_of(r), SAFE), r->text.n > 0 ? ": " : "",
	    queue_view_safe(r->text, SAFE));
	printf("%*s", INDENT, "");
	print_cut(text, INDENT);
}

static void
print_wide(const struct queue_row *r)
{
	printf("%016jx %7s %6s", (uintmax_t)r->id,
	    queue_view_span(now_s - r->birth).words,
	    queue_view_amount(r->size).words);
	printf("  %-*s  %-*s", (int)from_width,
	    queue_view_safe(sender_of(r), SAFE), (int)to_width,
	    queue_view_safe(r->address, SAFE));
	printf("  %-8s %5u %7s", queue_state_name(r->state), r->attempts,
	    next_of(r).words);
	if (r->text.n > 0)
		printf("  %s", queue_view_safe(r->text, SAFE));
	putchar('\n');
}

static void
print_json(const struct queue_row *r, bool first)
{
	if (!first) {
		putchar(',');
	} else {
		if (last_id != 0)
			puts("]}");
		printf("{\"id\":\"%016jx\",\"size\":%ju,\"arrival\":%jd,"
		       "\"sender\":",
		    (uintmax_t)r->id, (uintmax_t)r->size, (intmax_t)r->birth);
		json_string(r->sender);
		fputs(",\"recipients\":[", stdout);
	}
	fputs("{\"recipient\":", stdout);
	json_string(r->address);
	printf(",\"state\":\"%s\",\"attempts\":%u", queue_state_name(r->state),
	    r->attempts);
	if (r->due != 0)
		printf(",\"next_attempt\":%jd", (intmax_t)r->due);
	fputs(",\"reason\":", stdout);
	json_string(r->text);
	putchar('}');
}

static void
print_details(const struct queue_row *r, bool first)
{
	if (first) {
		printf("%sid         %016jx\n", last_id != 0 ? "\n" : "",
		    (uintmax_t)r->id);
		printf("arrived    %s, %s ago\n",
		    queue_view_when(r->birth).words,
		    queue_view_span(now_s - r->birth).words);
		printf("size       %ju bytes\n", (uintmax_t)r->size);
		printf("sender     %s\n", queue_view_safe(sender_of(r), SAFE));
	}
	printf("recipient  %s\n", queue_view_safe(r->address, SAFE));
	printf("  state    %s, %u attempt%s\n", queue_state_name(r->state),
	    r->attempts, r->attempts == 1 ? "" : "s");
	if (r->due != 0)
		printf("  next     %s, in %s\n", queue_view_when(r->due).words,
		    queue_view_span(r->due - now_s).words);
	if (r->text.n > 0)
		printf("  reason   %s\n", queue_view_safe(r->text, SAFE));
}

static void
print(const struct queue_row *r)
{
	bool first = r->id != last_id;

	switch (form) {
	case QUEUE_FORM_NARROW:
		print_narrow(r);
		break;
	case QUEUE_FORM_WIDE:
		print_wide(r);
		break;
	case QUEUE_FORM_JSON:
		print_json(r, first);
		break;
	case QUEUE_FORM_DETAILS:
		print_details(r, first);
		break;
	}
	messages += first;
	last_id = r->id;
}

/* ---- keeping ---- */

static int
by_id(const void *a, const void *b)
{
	const struct kept *x = a;
	const struct kept *y = b;

	if (x->row.id != y->row.id)
		return x->row.id < y->row.id ? -1 : 1;
	return x->row.idx < y->row.idx ? -1 : x->row.idx > y->row.idx;
}

static void
widen(size_t *width, size_t n)
{
	if (n > *width)
		*width = n < WIDEST ? n : WIDEST;
}

/* Prints what was kept; from now on nothing is. */
static void
flow(void)
{
	if (flowing)
		return;
	flowing = true;
	if (kept_count == 0)
		return;
	qsort(kept, kept_count, sizeof(kept[0]), by_id);
	from_width = sizeof("SENDER") - 1;
	to_width = sizeof("RECIPIENT") - 1;
	for (size_t i = 0; i < kept_count; i++) {
		widen(&from_width, sender_of(&kept[i].row).n);
		widen(&to_width, kept[i].row.address.n);
	}
	print_head();
	for (size_t i = 0; i < kept_count; i++) {
		print(&kept[i].row);
		free(kept[i].storage);
	}
	kept_count = 0;
}

static bool
keep(const struct queue_row *row)
{
	struct kept *k = &kept[kept_count];

	k->row = *row;
	k->storage = malloc(row->sender.n + row->address.n + row->text.n + 1);
	if (k->storage == NULL)
		return false;
	char *p = k->storage;
	struct str *parts[] = { &k->row.sender, &k->row.address, &k->row.text };
	for (size_t i = 0; i < N_ELEMENTS(parts); i++) {
		memcpy(p, parts[i]->p, parts[i]->n);
		parts[i]->p = p;
		p += parts[i]->n;
	}
	kept_count++;
	return true;
}

void
queue_view_begin(enum queue_form f, int64_t now, size_t cols)
{
	form = f;
	now_s = now;
	columns = cols;
	rcpts = messages = last_id = 0;
	flowing = false;
}

bool
queue_view_row(const struct queue_row *row)
{
	if (kept == NULL)
		kept = calloc(KEPT, sizeof(kept[0]));
	if (kept == NULL)
		return false;
	rcpts++;
	if (!flowing && kept_count < KEPT && keep(row))
		return true;
	flow();
	print(row);
	return ferror(stdout) == 0;
}

uint64_t
queue_view_count(void)
{
	return rcpts;
}

void
queue_view_end(uint64_t *rcpt_count, uint64_t *message_count)
{
	flow();
	if (form == QUEUE_FORM_JSON && last_id != 0)
		puts("]}");
	free(kept);
	kept = NULL;
	*rcpt_count = rcpts;
	*message_count = messages;
}
