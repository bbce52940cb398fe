/* SPDX-License-Identifier: ISC
 * `postern queue`: what waits, why, and orders about it.  Run by root (or the
 * one user of a one-user suite); asks qmgr at run/qmgr (queue_ask.c); prints
 * with queue_view.c and queue_ages.c.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include "common/clock.h"
#include "common/exitcode.h"
#include "common/io.h"
#include "common/layout.h"
#include "install/cli.h"
#include "install/progress.h"
#include "install/queue_ages.h"
#include "install/queue_ask.h"
#include "install/queue_select.h"
#include "install/queue_show.h"
#include "install/queue_view.h"

enum {
	NOTHING = 1,	 /* exit code: nothing matched */
	GONE_TRIES = 50, /* a fifth of a second each */
	SETTLE_US = 100000,
	TOP = 20
};

static const char help[] =
    "usage: postern queue list    [FILTER ...] [-w] [--json] [ID ...]\n"
    "       postern queue stats   [FILTER ...] [--senders] [--top N] "
    "[--json]\n"
    "       postern queue show    ID ...\n"
    "       postern queue cat     ID\n"
    "       postern queue hold    [--dry-run] ID ... | FILTER ... | --all\n"
    "       postern queue release [--dry-run] ID ... | FILTER ... | --all\n"
    "       postern queue retry   [--dry-run] ID ... | FILTER ... | --all\n"
    "       postern queue delete  [--dry-run] ID ... | FILTER ... | --all\n"
    "       postern queue bounce  [--dry-run] [--text TEXT]\n"
    "                             ID ... | FILTER ... | --all\n"
    "       postern queue settle\n"
    "       postern queue fsck    [ARGUMENT ...]\n"
    "\n"
    "list     what waits: age, attempts, next attempt, and why\n"
    "stats    how old what waits is, by destination\n"
    "show     everything known of a message\n"
    "cat      the message itself\n"
    "hold     leave messages alone, also after a restart, until\n"
    "release  which tries them now\n"
    "retry    try now what is deferred\n"
    "delete   remove without a bounce; final once it returns\n"
    "bounce   give up now; the sender is told, with TEXT as the reason\n"
    "settle   make a file of all that waits, before a backup\n"
    "fsck     check and mend the spool; see postern-fsck(8)\n"
    "\n"
    "FILTER: --sender PATTERN, --recipient PATTERN, --domain PATTERN (of the\n"
    "recipient), --older TIME, --newer TIME (90s 10m 2h 3d 1w), --larger "
    "SIZE,\n"
    "--smaller SIZE (4096 100K 2M), --state NAME[,NAME...] (new deferred held\n"
    "active bouncing done), --reason TEXT, --limit N messages.  All must "
    "hold.\n"
    "A PATTERN knows * and ?; --sender '<>' is the null sender.  An ID has 16\n"
    "hexadecimal digits, as in the log (qid=).\n"
    "\n"
    "Exit status: 0 done, 1 nothing matched, 100 wrong usage, 111 the suite\n"
    "does not answer, or what is asked for is still under way.  More in\n"
    "postern-queue-list(1).\n";

static int
usage(void)
{
	fputs(help, stderr);
	return EXITCODE_PERMANENT;
}

/* must: what else it should have been, or "". */
static int
unknown(const char *id, const char *must)
{
	fprintf(stderr,
	    "postern queue: no message %s is in the queue%s: "
	    "postern trace %s tells what became of it\n",
	    id, must, id);
	return NOTHING;
}

/* ---- list, show, stats ---- */

static bool
view_row(void *arg, const struct queue_row *row)
{
	uint64_t *left = arg; /* messages to go; NULL: no limit */
	static uint64_t last;

	if (left != NULL && row->id != last && (*left)-- == 0)
		return false;
	last = row->id;
	return queue_view_row(row);
}

/* Gives the rows of the ids, or of all that the filters leave, to `each`.  An
 * exit code: NOTHING when an id is unknown. */
static int
fetch(struct queue_args *a, bool (*each)(void *arg, const struct queue_row *),
    void *arg, uint64_t (*counted)(void))
{
	int code = EXITCODE_DONE;

	for (int i = 0; i < a->id_count; i++) {
		uint64_t before = counted();
		if (!queue_args_id(a->ids[i], &a->what.id))
			return EXITCODE_PERMANENT;
		if (queue_ask_rows(&a->what, each, NULL, arg) < 0)
			return queue_ask_failed();
		if (counted() == before)
			code = unknown(
			    a->ids[i], a->filtered ? " and matches" : "");
	}
	if (a->id_count > 0)
		return code;
	if (queue_ask_rows(&a->what, each, progress_at, arg) < 0) {
		progress_end();
		return queue_ask_failed();
	}
	progress_end();
	return code;
}

/* Columns of the terminal, at least 80; of what is no terminal any number. */
static size_t
columns(void)
{
	struct winsize w;

	if (isatty(STDOUT_FILENO) != 1)
		return SIZE_MAX;
	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &w) == 0 && w.ws_col > 80)
		return w.ws_col;
	return 80;
}

static enum queue_form
form_of(const struct queue_args *a)
{
	if (a->json)
		return QUEUE_FORM_JSON;
	return a->wide || isatty(STDOUT_FILENO) != 1 ? QUEUE_FORM_WIDE
						     : QUEUE_FORM_NARROW;
}

static int
list(struct queue_args *a)
{
	uint64_t rcpts, messages;
	uint64_t left = a->limit;
	bool terminal = isatty(STDOUT_FILENO) == 1;

	queue_view_begin(form_of(a), clock_now(), columns());
	progress_begin("queue", terminal);
	int code =
	    fetch(a, view_row, a->limit > 0 ? &left : NULL, queue_view_count);
	progress_end();
	queue_view_end(&rcpts, &messages);
	if (code != EXITCODE_DONE || rcpts > 0)
		return code;
	if (a->filtered || a->id_count > 0) {
		if (!a->json)
			fputs("postern queue: nothing matches\n", stderr);
		return NOTHING;
	}
	if (!a->json)
		puts("The queue is empty.");
	return EXITCODE_DONE;
}

static int
show(struct queue_args *a)
{
	int code = EXITCODE_DONE;

	if (a->id_count == 0 || a->filtered)
		return usage();
	for (int i = 0; i < a->id_count; i++) {
		uint64_t rcpts, messages;
		if (!queue_args_id(a->ids[i], &a->what.id))
			return EXITCODE_PERMANENT;
		queue_view_begin(QUEUE_FORM_DETAILS, clock_now(), 80);
		if (i > 0)
			putchar('\n');
		if (queue_ask_rows(&a->what, view_row, NULL, NULL) < 0)
			return queue_ask_failed();
		queue_view_end(&rcpts, &messages);
		if (rcpts == 0)
			code = unknown(a->ids[i], "");
		else if (!queue_show_header(a->what.id))
			return queue_ask_failed();
	}
	return code;
}

static int
stats(struct queue_args *a)
{
	uint64_t top = a->top > 0 ? a->top : a->json ? UINT64_MAX : TOP;

	if (a->limit > 0)
		return usage();
	queue_ages_begin(a->senders, clock_now());
	progress_begin("queue", false);
	int code = fetch(a, queue_ages_row, NULL, queue_ages_count);
	if (code != EXITCODE_DONE)
		return code;
	if (queue_ages_print(top, a->json, columns()) > 0)
		return EXITCODE_DONE;
	if (!a->json && !a->filtered)
		puts("The queue is empty.");
	return a->filtered ? NOTHING : EXITCODE_DONE;
}

static int
cat(struct queue_args *a)
{
	uint64_t id;

	if (a->id_count != 1 || a->filtered)
		return usage();
	if (!queue_args_id(a->ids[0], &id))
		return EXITCODE_PERMANENT;
	switch (queue_show_body(id)) {
	case 'K':
		return EXITCODE_DONE;
	case 'D':
		return unknown(a->ids[0], "");
	case '\0':
		return queue_ask_failed();
	default:
		return EXITCODE_TEMPORARY;
	}
}

/* ---- orders ---- */

static const struct order {
	const char *name;
	char verb; /* INTERNALS.md, "Ask: qmgr" */
	const char *done, *flying;
	const char *must; /* what a message must be, too; for an error */
} orders[] = {
	{ "hold", 'h', "held", "held if that fails", "" },
	{ "release", 'l', "released", "not touched", " and is held" },
	{ "retry", 'r', "tried now", "not touched",
	    " and is deferred (what is held wants release)" },
	{ "delete", 'd', "removed", "removed if that fails", "" },
	{ "bounce", 'b', "given up", "left alone", "" },
};

static void
say_done(const struct order *o, bool dry, const struct queue_obeyed *sum)
{
	printf("%ju recipient%s of %ju message%s %s%s\n", (uintmax_t)sum->rcpts,
	    sum->rcpts == 1 ? "" : "s", (uintmax_t)sum->messages,
	    sum->messages == 1 ? "" : "s", dry ? "would be " : "", o->done);
	if (sum->flying > 0)
		printf("%ju being delivered now: %s\n", (uintmax_t)sum->flying,
		    o->flying);
}

static bool
count_row(void *arg, const struct queue_row *row)
{
	uint64_t *n = arg;

	(void)row;
	++*n;
	return true;
}

/* Waits until those ids are gone. */
static int
wait_gone(struct queue_args *a)
{
	for (int i = 0, tries = 0; i < a->id_count;) {
		uint64_t n = 0;
		if (!queue_args_id(a->ids[i], &a->what.id))
			return EXITCODE_PERMANENT;
		if (queue_ask_rows(&a->what, count_row, NULL, &n) < 0)
			return queue_ask_failed();
		if (n == 0) {
			i++;
			continue;
		}
		if (++tries > GONE_TRIES) {
			fputs("postern queue: an attempt is still under way; "
			      "the message goes when that ends\n",
			    stderr);
			return EXITCODE_TEMPORARY;
		}
		if (usleep(200000) < 0 && errno != EINTR)
			return queue_ask_failed();
	}
	return EXITCODE_DONE;
}

/* The reason that a bounce gives, with a status code (RFC 3463) in front. */
static struct str
bounce_text(struct str text)
{
	static char space[SELECT_PATTERN + 1];
	struct buf b = BUF_ON(space);

	if (text.n == 0)
		return STR("5.0.0 given up by the postmaster");
	if (!str_starts(text, STR("5.")))
		buf_puts(&b, "5.0.0 ");
	buf_put(&b, text);
	return buf_str(&b);
}

/* Gives the order for the ids, or for what the filters leave. */
static int
give(const struct order *o, struct queue_args *a, struct queue_obeyed *sum)
{
	struct str text = o->verb == 'b' ? bounce_text(a->text) : STR("");
	int code = EXITCODE_DONE;

	for (int i = 0; i < a->id_count; i++) {
		struct queue_obeyed one = { 0 };
		if (!queue_args_id(a->ids[i], &a->what.id))
			return EXITCODE_PERMANENT;
		if (queue_ask_order(
			o->verb, a->dry, 0, &a->what, text, NULL, &one) < 0)
			return queue_ask_failed();
		if (one.rcpts + one.flying + one.messages == 0)
			code = unknown(a->ids[i], o->must);
		sum->messages += one.messages;
		sum->rcpts += one.rcpts;
		sum->flying += one.flying;
	}
	if (a->id_count > 0)
		return code;
	progress_begin(o->name, false);
	int r = queue_ask_order(
	    o->verb, a->dry, a->limit, &a->what, text, progress_at, sum);
	progress_end();
	return r < 0 ? queue_ask_failed() : code;
}

static int
order(const struct order *o, struct queue_args *a)
{
	struct queue_obeyed sum = { 0 };

	if ((a->id_count > 0) + (a->filtered || a->limit > 0) + a->all != 1) {
		fprintf(stderr,
		    "postern queue: %s wants one of: ids, filters, --all\n",
		    o->name);
		return EXITCODE_PERMANENT;
	}
	int code = give(o, a, &sum);
	/* what was done before it failed is done */
	if (code < EXITCODE_PERMANENT || sum.messages > 0)
		say_done(o, a->dry, &sum);
	if (code != EXITCODE_DONE)
		return code;
	if (sum.rcpts + sum.flying + sum.messages == 0)
		return a->all ? EXITCODE_DONE : NOTHING;
	if (o->verb == 'd' && sum.flying > 0 && a->id_count > 0 && !a->dry)
		return wait_gone(a);
	return EXITCODE_DONE;
}

/* ---- the spool ---- */

static int
settle(struct queue_args *a)
{
	uint64_t bound = 0;
	uint64_t left = 0;
	uint64_t most = 0;

	if (a->filtered || a->id_count > 0 || a->limit > 0)
		return usage(); /* it is for all that waits */
	progress_begin("settle", false);
	do {
		if (queue_ask_settle(&bound, &left) < 0) {
			progress_end();
			return queue_ask_failed();
		}
		most = left > most ? left : most;
		progress_at(most - left, most);
		if (left > 0 && usleep(SETTLE_US) < 0 && errno != EINTR) {
			progress_end();
			return queue_ask_failed();
		}
	} while (left > 0);
	progress_end();
	puts("All that waited is in files of its own, below mess/.");
	return EXITCODE_DONE;
}

/* Becomes the program; argv[0] is "fsck". */
static int
fsck(char **argv)
{
	char space[640];
	struct buf path = BUF_ON(space);
	const char *program = layout_program("postern-fsck", &path);

	if (program != NULL)
		(void)execv(program, argv);
	fprintf(stderr, "postern queue: postern-fsck: %s\n", strerror(errno));
	return EXITCODE_TEMPORARY;
}

static const struct view {
	const char *name;
	int (*run)(struct queue_args *);
} views[] = {
	{ "list", list },
	{ "show", show },
	{ "cat", cat },
	{ "stats", stats },
	{ "settle", settle },
};

static const struct view *
view_named(const char *name)
{
	for (size_t i = 0; i < N_ELEMENTS(views); i++)
		if (strcmp(name, views[i].name) == 0)
			return &views[i];
	return NULL;
}

static const struct order *
order_named(const char *name)
{
	for (size_t i = 0; i < N_ELEMENTS(orders); i++)
		if (strcmp(name, orders[i].name) == 0)
			return &orders[i];
	return NULL;
}

int
cli_queue(int argc, char **argv)
{
	struct queue_args a;

	if (argc > 1 && strcmp(argv[1], "fsck") == 0)
		return fsck(argv + 1);
	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--help") == 0) {
			fputs(help, stdout);
			return EXITCODE_DONE;
		}
	}
	if (argc < 2)
		return usage();
	const struct view *v = view_named(argv[1]);
	const struct order *o = order_named(argv[1]);
	if (v == NULL && o == NULL) {
		fprintf(stderr,
		    "postern queue: there is no %s; see postern queue --help\n",
		    argv[1]);
		return EXITCODE_PERMANENT;
	}
	if (!queue_args_read(&a, argc - 2, argv + 2, clock_now()))
		return EXITCODE_PERMANENT;
	int code = queue_ask_open();
	if (code == EXITCODE_DONE)
		code = v != NULL ? v->run(&a) : order(o, &a);
	queue_ask_close();
	if (fflush(stdout) != 0 || ferror(stdout)) {
		fprintf(stderr, "postern queue: standard output: %s\n",
		    strerror(errno));
		return EXITCODE_TEMPORARY;
	}
	return code;
}
