/* SPDX-License-Identifier: ISC
 * `postern trace`: a message's whole life, from the log.  Run by whoever may
 * read that.  The log is read several times in constant memory: to learn which
 * ids belong together, and to print.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "common/exitcode.h"
#include "install/cli.h"
#include "install/logfiles.h"
#include "install/progress.h"
#include "install/trace_set.h"
#include "install/trace_view.h"

enum { NOTHING = 1, PASSES = 8 };

static const char help[] =
    "usage: postern trace [--log FILE ...] [--json | --raw] ID|ADDRESS\n"
    "\n"
    "Tells what became of a message: every log line about it, from the\n"
    "connection to the last delivery or the bounce, and about its bounces.\n"
    "ID is a queue id (qid=) or a session id (sid=); ADDRESS is a sender's or "
    "a\n"
    "recipient's: all messages of it, and sessions in which it was refused.\n"
    "\n"
    "--log FILE  read this file (- is standard input), plain or gzipped;\n"
    "            otherwise the file that the running suite writes to, with\n"
    "            FILE.1, FILE.2.gz and so on before it\n"
    "--json      an object a line; its fields are those of postern-log(5)\n"
    "--raw       the lines as they are\n"
    "\n"
    "Exit status: 0 found, 1 nothing found, 100 wrong usage, 111 a log cannot\n"
    "be read.  Times are UTC.\n";

static struct {
	enum trace_form form;
	const char *what;
	bool has_log, failed;
	uint64_t printed, qids;
} self;

static int
usage(void)
{
	fputs(help, stderr);
	return EXITCODE_PERMANENT;
}

static void
learn(struct str line)
{
	if (!trace_set_learn(line))
		self.failed = true;
}

static void
print(struct str line)
{
	if (!trace_set_wants(line))
		return;
	trace_view_line(line);
	self.printed++;
}

/* Standard input can be read once: what is learned late comes too late. */
static void
learn_and_print(struct str line)
{
	learn(line);
	print(line);
}

static bool
take_key(void)
{
	struct str what = str_of(self.what);
	uint64_t id;

	if (str_find(what, '@') < what.n) {
		trace_set_address(what);
		return true;
	}
	return trace_set_add(
	    str_hex64(what, &id) ? TRACE_QID : TRACE_SID, what);
}

static bool
read_args(int argc, char **argv)
{
	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--json") == 0) {
			self.form = TRACE_JSON;
		} else if (strcmp(argv[i], "--raw") == 0) {
			self.form = TRACE_RAW;
		} else if (strcmp(argv[i], "--log") == 0 && i + 1 < argc) {
			i++; /* added later, when all else is right */
			self.has_log = true;
		} else if (argv[i][0] == '-' || argv[i][0] == '\0' ||
			   self.what != NULL) {
			return false;
		} else {
			self.what = argv[i];
		}
	}
	return self.what != NULL;
}

static bool
open_logs(int argc, char **argv)
{
	for (int i = 1; i + 1 < argc; i++)
		if (strcmp(argv[i], "--log") == 0 &&
		    !logfiles_add(argv[++i], false))
			return false;
	if (self.has_log)
		return true;
	const char *path = logfiles_of_suite();
	return path != NULL && logfiles_add(path, true);
}

/* Reads until nothing new is learned. */
static bool
follow(void)
{
	size_t before;
	int passes = 0;
	bool ok = true;

	do {
		before = trace_set_count();
		ok = logfiles_read(learn, progress_at);
	} while (ok && !self.failed && trace_set_count() > before &&
		 ++passes < PASSES);
	return ok;
}

static int
trace(void)
{
	bool colour = self.form == TRACE_WORDS && isatty(STDOUT_FILENO) == 1;
	bool ok;

	if (!take_key()) {
		fputs("postern trace: out of memory: free some, or give fewer "
		      "log files\n",
		    stderr);
		return EXITCODE_TEMPORARY;
	}
	if (logfiles_can_repeat()) {
		progress_begin("trace", false);
		ok = follow();
		progress_end();
		trace_view_begin(self.form, true, colour);
		ok = logfiles_read(print, NULL) && ok;
	} else {
		trace_view_begin(self.form, true, colour);
		ok = logfiles_read(learn_and_print, NULL);
	}
	if (self.failed)
		fputs("postern trace: out of memory: free some, or give fewer "
		      "log files\n",
		    stderr);
	if (self.failed || !ok)
		return EXITCODE_TEMPORARY;
	if (self.printed > 0)
		return EXITCODE_DONE;
	fprintf(
	    stderr, "postern trace: the log says nothing of %s\n", self.what);
	return NOTHING;
}

int
cli_trace(int argc, char **argv)
{
	if (argc == 2 && strcmp(argv[1], "--help") == 0) {
		fputs(help, stdout);
		return EXITCODE_DONE;
	}
	if (!read_args(argc, argv))
		return usage();
	if (!open_logs(argc, argv))
		return EXITCODE_TEMPORARY;
	int code = trace();
	if (fflush(stdout) != 0 || ferror(stdout)) {
		fprintf(stderr, "postern trace: standard output: %s\n",
		    strerror(errno));
		return EXITCODE_TEMPORARY;
	}
	return code;
}
