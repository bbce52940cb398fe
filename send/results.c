/* SPDX-License-Identifier: ISC
 * results: contract in results.h.
 */
#include "send/results.h"

#include <unistd.h>
#include "common/die.h"
#include "common/io.h"
#include "common/log.h"

enum {
	EXIT_REFUSED = 1,
	SAFE_TEXT = LIMIT_REPORT * 4, /* each byte may become \xHH */
	SAFE_NAME = LIMIT_ADDRESS * 4,
	LINE = SAFE_TEXT + SAFE_NAME + 64
};

struct totals {
	size_t taken, deferred, refused;
	/* of each, NULL: none is decided so */
	const struct attempt_recipient *first_taken, *first_deferred,
	    *first_refused;
};

static struct totals
count(const struct attempt_mail *mail, const struct attempt_end *failure)
{
	struct totals t = { .taken = 0 };

	for (size_t i = 0; i < mail->count; i++) {
		const struct attempt_recipient *r = &mail->recipients[i];
		enum verdict v = r->decided	   ? r->verdict
				 : failure != NULL ? failure->verdict
						   : VERDICT_DEFER;

		t.taken += v == VERDICT_OK;
		t.deferred += v == VERDICT_DEFER;
		t.refused += v == VERDICT_FAIL;
		const struct attempt_recipient **first =
		    v == VERDICT_OK	 ? &t.first_taken
		    : v == VERDICT_DEFER ? &t.first_deferred
					 : &t.first_refused;
		if (r->decided && *first == NULL)
			*first = r;
	}
	return t;
}

/* ---- qmail-remote's form ---- */

/* A text may be a stranger's: it cannot end a report or begin another. */
static bool
report(char letter, struct str text)
{
	char room[LINE];
	struct buf b = BUF_ON(room);

	buf_putc(&b, letter);
	log_safe(&b, text, SAFE_TEXT);
	buf_putc(&b, '\0');
	return io_write_all(STDOUT_FILENO, buf_str(&b)) == 0;
}

static char
letter_of(enum verdict v)
{
	return v == VERDICT_OK ? 'r' : v == VERDICT_FAIL ? 'h' : 's';
}

/* What stands for the whole: the best that happened. */
static bool
message_report(const struct totals *t, const struct attempt_end *failure)
{
	const struct attempt_recipient *r = t->first_taken;

	if (r != NULL)
		return report('K', (struct str){ r->text, r->text_n });
	if (failure != NULL)
		return report(t->deferred > 0 ? VERDICT_DEFER : VERDICT_FAIL,
		    (struct str){ failure->text, failure->text_n });
	r = t->first_deferred != NULL ? t->first_deferred : t->first_refused;
	if (r != NULL)
		return report(
		    (char)r->verdict, (struct str){ r->text, r->text_n });
	bug("nobody was decided, and nothing failed");
}

static bool
reports(const struct attempt_mail *mail, const struct attempt_end *failure,
    const struct totals *t)
{
	bool good = true;

	/* when nobody was spoken of the message's report says it all */
	bool any = t->first_taken != NULL || t->first_deferred != NULL ||
		   t->first_refused != NULL;
	for (size_t i = 0; any && good && i < mail->count; i++) {
		const struct attempt_recipient *r = &mail->recipients[i];

		good =
		    r->decided
			? report(letter_of(r->verdict),
			      (struct str){ r->text, r->text_n })
			: report(letter_of(failure->verdict),
			      (struct str){ failure->text, failure->text_n });
	}
	return good && message_report(t, failure);
}

/* ---- for people ---- */

static bool
line(struct str name, enum verdict v, struct str text)
{
	static const char *const words[] = {
		": taken: ", ": refused: ", ": not yet: "
	};
	char room[LINE];
	struct buf b = BUF_ON(room);

	log_safe(&b, name, SAFE_NAME);
	buf_puts(&b, words[v == VERDICT_OK ? 0 : v == VERDICT_FAIL ? 1 : 2]);
	log_safe(&b, text, SAFE_TEXT);
	buf_putc(&b, '\n');
	return io_write_all(STDOUT_FILENO, buf_str(&b)) == 0;
}

static bool
lines(struct str host, char **names, const struct attempt_mail *mail,
    const struct attempt_end *failure)
{
	bool good = true;

	for (size_t i = 0; i < mail->count; i++) {
		const struct attempt_recipient *r = &mail->recipients[i];

		if (r->decided)
			good = good && line(str_of(names[i]), r->verdict,
					   (struct str){ r->text, r->text_n });
	}
	if (failure != NULL)
		good =
		    good && line(host, failure->verdict,
				(struct str){ failure->text, failure->text_n });
	return good;
}

int
results_print(const struct results_form *form, struct str host, char **names,
    const struct attempt_mail *mail, const struct attempt_end *failure)
{
	struct totals t = count(mail, failure);
	bool good = form->text ? lines(host, names, mail, failure)
			       : reports(mail, failure, &t);

	if (!good)
		return EXITCODE_TEMPORARY;
	if (!form->exit_status)
		return EXITCODE_DONE;
	if (t.deferred > 0)
		return EXITCODE_TEMPORARY;
	return t.refused > 0 ? EXIT_REFUSED : EXITCODE_DONE;
}
