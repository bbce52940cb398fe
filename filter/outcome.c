/* SPDX-License-Identifier: ISC
 * outcome: contract in outcome.h.  Pure.
 */
#include "filter/outcome.h"

#include <string.h>
#include <sys/wait.h>

/* notqmail's qmail.c, qmail_close; what is not here: 11-40 failed for good,
 * all else for now. */
static const struct {
	int code;
	const char *text;
} codes[] = {
	{ 11, "5.1.3 Envelope address too long" },
	{ 31, "5.7.1 Message refused by local policy" },
	{ 51, "4.3.0 Out of memory" },
	{ 52, "4.3.0 Timeout" },
	{ 53, "4.3.0 Write error or disk full" },
	{ 54, "4.3.0 Unable to read the message or envelope" },
	{ 55, "4.3.0 Unable to read a configuration file" },
	{ 56, "4.3.0 Network trouble on this host" },
	{ 61, "4.3.0 Trouble with the queue's directory" },
	{ 62, "4.3.0 Trouble making a file in the queue" },
	{ 63, "4.3.0 Trouble naming a file in the queue" },
	{ 64, "4.3.0 Trouble making a file in the queue" },
	{ 65, "4.3.0 Trouble making a file in the queue" },
	{ 66, "4.3.0 Trouble naming a file in the queue" },
	{ 71, "4.3.0 Mail server temporarily refused the message" },
	{ 72, "4.4.1 Connection to mail server timed out" },
	{ 73, "4.4.1 Connection to mail server refused" },
	{ 74, "4.4.2 Connection to mail server died" },
	{ 81, "4.3.0 Internal bug of a filter" },
	{ 91, "4.3.0 Envelope format error of a filter" },
	{ 120, "4.3.0 A filter cannot be run" },
};

enum { PERMANENT_FROM = 11, PERMANENT_TO = 40 };

/* ---- the report ---- */

static bool
is_report(struct str s)
{
	uint64_t id;

	if (s.n == 0)
		return false;
	if (s.p[0] == 'K')
		return s.n == 1 || str_hex64(str_skip(s, 1), &id);
	return s.p[0] == 'Z' || s.p[0] == 'D';
}

static void
end_line(struct outcome_report *r)
{
	struct str line = { .p = r->line, .n = r->n };

	if (r->n <= sizeof(r->line))
		line = str_trim(line);
	if (r->n <= sizeof(r->line) && is_report(line)) {
		memcpy(r->last, line.p, line.n);
		r->last_n = line.n;
	}
	r->n = 0;
}

void
outcome_feed(struct outcome_report *r, struct str bytes)
{
	for (size_t i = 0; i < bytes.n; i++) {
		if (bytes.p[i] == '\n') {
			end_line(r);
			continue;
		}
		if (r->n < sizeof(r->line))
			r->line[r->n] = bytes.p[i];
		if (r->n <= sizeof(r->line))
			r->n++;
	}
}

struct str
outcome_end(struct outcome_report *r)
{
	end_line(r);
	return (struct str){ .p = r->last, .n = r->last_n };
}

/* ---- the decision ---- */

/* RFC 3463 2: class "." subject "." detail, of this class. */
static bool
has_status(struct str text, char class)
{
	struct str parts[3], rest;
	uint64_t n;

	(void)str_cut(text, ' ', &text, &rest);
	if (!str_cut(text, '.', &parts[0], &rest) ||
	    !str_cut(rest, '.', &parts[1], &parts[2]))
		return false;
	return parts[0].n == 1 && parts[0].p[0] == class && parts[1].n <= 3 &&
	       str_u64(parts[1], 999, &n) && parts[2].n <= 3 &&
	       str_u64(parts[2], 999, &n);
}

static void
put_printable(struct buf *b, struct str text)
{
	text = str_head(text, buf_room(b));
	for (size_t i = 0; i < text.n; i++)
		buf_putc(
		    b, text.p[i] >= ' ' && text.p[i] <= '~' ? text.p[i] : '?');
}

/* Z or D and a text of the program's own. */
static void
by_report(struct outcome *o, struct str report)
{
	bool fails = report.p[0] == 'D';
	struct str text = str_trim(str_skip(report, 1));
	const char *words = fails ? "Message refused" : "Try again later";

	o->verdict = fails ? VERDICT_FAIL : VERDICT_DEFER;
	o->result = fails ? OUTCOME_REFUSED : OUTCOME_DEFERRED;
	if (!has_status(text, fails ? '5' : '4'))
		buf_puts(&o->text, fails ? "5.7.1 " : "4.7.1 ");
	else if (str_find(text, ' ') == text.n) { /* and nothing else */
		buf_put(&o->text, text);
		buf_putc(&o->text, ' ');
		text = STR("");
	}
	put_printable(&o->text, text.n > 0 ? text : str_of(words));
}

static void
by_code(struct outcome *o, int code)
{
	bool fails = code >= PERMANENT_FROM && code <= PERMANENT_TO;
	const char *text = fails ? "5.3.0 Message refused by a filter"
				 : "4.3.0 Trouble with a filter";

	for (size_t i = 0; i < N_ELEMENTS(codes); i++)
		if (codes[i].code == code)
			text = codes[i].text;
	o->verdict = fails ? VERDICT_FAIL : VERDICT_DEFER;
	o->result = fails ? OUTCOME_REFUSED : OUTCOME_DEFERRED;
	buf_puts(&o->text, text);
}

static void
accept(struct outcome *o, struct str report)
{
	o->verdict = VERDICT_OK;
	o->result = report.n > 0 ? OUTCOME_ACCEPTED : OUTCOME_DISCARDED;
	buf_put(&o->text, str_skip(report, 1));
}

static void
fail(struct outcome *o)
{
	o->verdict = VERDICT_DEFER;
	o->result = OUTCOME_TROUBLE;
	buf_puts(&o->text, "4.3.0 Trouble with a filter, try again later");
}

static void
put_end(struct buf *why, int status, const char *stopped)
{
	if (stopped != NULL) {
		buf_puts(why, stopped);
	} else if (WIFEXITED(status) && WEXITSTATUS(status) != 0) {
		buf_puts(why, "exit ");
		buf_put_u64(why, (uint64_t)WEXITSTATUS(status));
	} else if (WIFSIGNALED(status)) {
		buf_puts(why, "signal ");
		buf_put_u64(why, (uint64_t)WTERMSIG(status));
	}
}

void
outcome_decide(
    struct outcome *o, int status, const char *stopped, struct str report)
{
	bool spoke = stopped == NULL && WIFEXITED(status);
	bool queued = report.n > 0 && report.p[0] == 'K';

	o->text = BUF_ON(o->text_room);
	o->why = BUF_ON(o->why_room);
	put_end(&o->why, status, stopped);
	if (!spoke && queued)
		accept(o, report); /* another answer would make a copy of it */
	else if (!spoke)
		fail(o);
	else if (report.n > 0 && !queued)
		by_report(o, report); /* also of one who says 0 all the same */
	else if (WEXITSTATUS(status) == 0)
		accept(o, report);
	else
		by_code(o, WEXITSTATUS(status));
}
