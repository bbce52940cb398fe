/* SPDX-License-Identifier: ISC
 * trace_view: contract in trace_view.h.
 */
#include "install/trace_view.h"

#include <stdio.h>
#include <string.h>
#include "common/log.h"
#include "install/json.h"
#include "install/logline.h"

enum {
	SAFE = 3072,
	TIME = 23, /* "2026-11-22T03:12:01.188" */
	QID = 16,  /* widths of columns */
	ROLE = 11
};

/* What an event says: %{key} is a field's value, %{key|text} is text with the
 * value as its $ when there is one, and nothing otherwise. */
static const struct {
	const char *role, *event, *words; /* role NULL: any */
} phrases[] = {
	{ NULL, "accept", "connection from %{ip} port %{port}" },
	{ "smtpd", "refused", "refused %{command}: %{reply}" },
	{ NULL, "relaying-denied", "may not relay to %{rcpt}" },
	{ "filter", "filtered",
	    "filter: %{result}%{text|: $}%{why| ($)}, after %{took} ms" },
	{ "filter", "filter-said", "filter says: %{text}" },
	{ NULL, "queued",
	    "accepted into the queue: from <%{sender}>, %{size} bytes, "
	    "%{nrcpt} recipient(s)" },
	{ NULL, "picked-up", "was in the drop box, handed in by uid %{uid}" },
	{ NULL, "attempt",
	    "attempt %{attempt} for %{rcpt}%{host| at $}, connected in "
	    "%{connect} ms" },
	{ NULL, "delivered",
	    "delivered to %{rcpt}%{host| at $}, %{delay} s after arrival: "
	    "%{text}" },
	{ NULL, "deferred",
	    "deferred for %{rcpt}%{host| at $}, after %{attempt} attempt(s): "
	    "%{text}" },
	{ NULL, "failed", "failed for %{rcpt}%{host| at $}: %{text}" },
	{ NULL, "forwarded", "%{rcpt} is forwarded to others" },
	{ NULL, "removed", "removed by hand for %{rcpt}" },
	{ NULL, "held", "held: %{text}" },
	{ NULL, "hold", "held by hand" },
	{ NULL, "release", "released by hand" },
	{ NULL, "bounce", "bounce to %{to} written: message %{bounce}" },
	{ NULL, "bounced",
	    "the bounce for %{recipients} recipient(s) is queued" },
	{ NULL, "bounce-deferred", "the bounce cannot be queued now: %{text}" },
	{ NULL, "bounce-failed", "no bounce can be written: %{text}" },
	{ NULL, "not-bounced", "given up without a bounce: %{rcpt}" },
	{ NULL, "double-bounce-dropped", "a bounce of a bounce is dropped" },
	{ NULL, "agent-died", "the delivering process died%{host| at $}" },
	{ NULL, "done", "has left the queue" },
	{ "smtpd", "end",
	    "session ends (%{reason}), %{messages} message(s) taken" },
	{ NULL, "login", "login of %{user}: %{result}%{text|, $}" },
	{ NULL, "pop3",
	    "POP3 session ends (%{end}): %{retr} fetched, %{deleted} deleted" },
};

static enum trace_form form;
static bool many, colour;

/* Bytes of a stranger in the log are escaped already; what a terminal could
 * take for more is escaped here, whoever wrote it. */
static void
put_safe(struct str s)
{
	char space[SAFE];
	struct buf b = BUF_ON(space);

	for (size_t i = 0; i < s.n; i++) {
		unsigned char c = (unsigned char)s.p[i];
		if (c >= 0x20 && c != 0x7f && c < 0x80)
			buf_putc(&b, (char)c);
		else
			buf_puts(&b, "?");
	}
	fwrite(b.p, 1, b.n, stdout);
}

/* The same in a column. */
static void
put_column(struct str s, size_t width)
{
	put_safe(s);
	for (size_t n = s.n; n < width; n++)
		putchar(' ');
	fputs("  ", stdout);
}

/* One %{key} or %{key|text}; p stands behind the brace.  Where it ends. */
static const char *
put_part(const char *p, const struct logline *l)
{
	const char *end = strchr(p, '}');
	struct str spec = { .p = p, .n = (size_t)(end - p) };
	struct str key, text;
	bool optional = str_cut(spec, '|', &key, &text);
	struct str value = logline_value(l, key);

	if (!optional) {
		put_safe(value);
	} else if (value.n > 0) {
		struct str before, after;
		(void)str_cut(text, '$', &before, &after);
		put_safe(before);
		put_safe(value);
		put_safe(after);
	}
	return end + 1;
}

static void
put_phrase(const char *p, const struct logline *l)
{
	while (*p != '\0') {
		if (p[0] == '%' && p[1] == '{') {
			p = put_part(p + 2, l);
			continue;
		}
		putchar(*p++);
	}
}

static void
put_fields(const struct logline *l)
{
	put_safe(l->event);
	for (size_t i = 0; i < l->count; i++) {
		struct str key = l->field[i].key;
		if (str_eq(key, STR("qid")) || str_eq(key, STR("sid")))
			continue;
		putchar(' ');
		put_safe(key);
		putchar('=');
		put_safe(l->field[i].value);
	}
}

static const char *
phrase_of(const struct logline *l)
{
	for (size_t i = 0; i < N_ELEMENTS(phrases); i++)
		if (str_eq(l->event, str_of(phrases[i].event)) &&
		    (phrases[i].role == NULL ||
			str_eq(l->role, str_of(phrases[i].role))))
			return phrases[i].words;
	return NULL;
}

static const char *
colour_of(const struct logline *l)
{
	if (!colour)
		return "";
	if (str_eq(l->event, STR("delivered")))
		return "\033[32m";
	if (str_eq(l->event, STR("deferred")))
		return "\033[33m";
	if (str_eq(l->event, STR("failed")) ||
	    str_eq(l->event, STR("refused")) || str_eq(l->level, STR("error")))
		return "\033[31m";
	return "";
}

static void
print_words(const struct logline *l)
{
	const char *words = phrase_of(l);
	const char *shade = colour_of(l);

	/* 2026-11-22T03:12:01.188674Z, to the millisecond */
	put_safe(str_head(l->t, TIME));
	printf("Z  ");
	if (many)
		put_column(logline_value(l, STR("qid")), QID);
	put_column(l->role, ROLE);
	fputs(shade, stdout);
	if (words != NULL)
		put_phrase(words, l);
	else
		put_fields(l);
	printf("%s\n", *shade == '\0' ? "" : "\033[0m");
}

static void
json_value(struct str v)
{
	char space[SAFE];
	struct buf b = BUF_ON(space);

	logline_unescape(&b, v);
	json_string(buf_str(&b));
}

static void
print_json(const struct logline *l)
{
	fputs("{\"time\":", stdout);
	json_value(l->t);
	fputs(",\"level\":", stdout);
	json_value(l->level);
	fputs(",\"role\":", stdout);
	json_value(l->role);
	fputs(",\"event\":", stdout);
	json_value(l->event);
	for (size_t i = 0; i < l->count; i++) {
		putchar(',');
		json_value(l->field[i].key);
		putchar(':');
		json_value(l->field[i].value);
	}
	puts("}");
}

void
trace_view_begin(enum trace_form f, bool several, bool coloured)
{
	form = f;
	many = several;
	colour = coloured;
}

void
trace_view_line(struct str line)
{
	struct logline l;

	if (form == TRACE_RAW || !logline_read(line, &l)) {
		put_safe(line);
		putchar('\n');
	} else if (form == TRACE_JSON) {
		print_json(&l);
	} else {
		print_words(&l);
	}
}
