/* SPDX-License-Identifier: ISC
 * modes: contract in modes.h.
 */
#include "inject/modes.h"

#include <errno.h>
#include <string.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>
#include "common/exitcode.h"
#include "common/layout.h"

enum { PATH_ROOM = 640, PATTERN_ROOM = 256, NOT_FOUND = 1 };

static void
cannot_run(struct outcome *o, const char *program)
{
	outcome_set_errno(
	    o, OUTCOME_LATER, "cannot run another program of Postern", errno);
	outcome_add(o, str_of(program));
}

/* In our place; returns only when that fails. */
static int
become(const char *program, const char *const argv[], struct outcome *o)
{
	char room[PATH_ROOM];
	struct buf path = BUF_ON(room);

	/* execv does not change what argv points to */
	union {
		const char *const *given;
		char *const *taken;
	} args = { .given = argv };

	execv(layout_program(program, &path), args.taken);
	cannot_run(o, program);
	return -1;
}

/* Runs `postern ARGUMENT ...`; its exit code, or -1. */
static int
run_postern(const char *const argv[], struct outcome *o)
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		(void)become("postern", argv, o);
		_exit(EXITCODE_TEMPORARY);
	}
	if (pid < 0) {
		cannot_run(o, "postern");
		return -1;
	}
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return EXITCODE_TEMPORARY;
	return WIFEXITED(status) ? WEXITSTATUS(status) : EXITCODE_TEMPORARY;
}

static int
sysexit_of(int code)
{
	switch (code) {
	case EXITCODE_DONE:
		return EX_OK;
	case EXITCODE_PERMANENT:
		return EX_USAGE;
	default:
		return EX_TEMPFAIL;
	}
}

/* May the caller write there?  Yes, also when it does not exist: who is run
 * then says that. */
static bool
may_write(const char *path, const char *refusal, struct outcome *o)
{
	if (access(path, W_OK) == 0 || errno != EACCES)
		return true;
	outcome_set(o, OUTCOME_RIGHT, refusal);
	return false;
}

/* May the caller give orders to the suite? */
static bool
may_order(struct outcome *o)
{
	char room[PATH_ROOM];
	struct buf path = BUF_ON(room);

	return may_write(layout_file(LAYOUT_RUN, "qmgr", &path),
	    "only root may ask this; ask the postmaster, or use sudo", o);
}

static int
list(struct outcome *o)
{
	const char *const argv[] = { "postern", "queue", "list", NULL };
	int code;

	if (!may_order(o))
		return -1;
	code = run_postern(argv, o);
	return code < 0 ? code : sysexit_of(code);
}

/* -q, -qIid, -qRpart-of-recipient, -qSpart-of-sender */
static int
run_queue(struct str run, struct outcome *o)
{
	char room[PATTERN_ROOM];
	struct buf pattern = BUF_ON(room);
	const char *argv[] = { "postern", "queue", "retry", "--all", NULL,
		NULL };
	char kind = run.n > 0 ? run.p[0] : '\0';
	int code;

	if (kind != '\0' && strchr("IRSf", kind) == NULL) {
		outcome_set_about(o, OUTCOME_USAGE,
		    "Postern runs its queue by itself; leave out -q", run);
		return -1;
	}
	if (!may_order(o))
		return -1;
	if (kind == 'R' || kind == 'S') {
		buf_putc(&pattern, '*');
		buf_put(&pattern, str_skip(run, 1));
		buf_putc(&pattern, '*');
		argv[3] = kind == 'R' ? "--recipient" : "--sender";
		argv[4] = buf_cstr(&pattern);
	} else if (kind == 'I') {
		buf_put(&pattern, str_skip(run, 1));
		argv[3] = buf_cstr(&pattern);
	}
	if (pattern.full || argv[3] == NULL) {
		outcome_set_about(o, OUTCOME_USAGE, "too long", run);
		return -1;
	}
	code = run_postern(argv, o);
	return code == NOT_FOUND ? EX_OK : code < 0 ? code : sysexit_of(code);
}

static int
make_aliases(struct outcome *o)
{
	const char *const argv[] = { "postern", "alias", "import",
		"/etc/aliases", NULL };
	int code;

	if (!may_write(layout_path(LAYOUT_USERS),
		"only root may change aliases; ask the postmaster, or use sudo",
		o))
		return -1;
	code = run_postern(argv, o);
	return code == EXITCODE_PERMANENT ? EX_DATAERR
	       : code < 0		  ? code
					  : sysexit_of(code);
}

static int
verify(const struct options *options, struct outcome *o)
{
	int worst = EX_OK;

	if (options->recipient_count == 0) {
		outcome_set(o, OUTCOME_USAGE, "-bv needs addresses");
		return -1;
	}
	if (!may_order(o))
		return -1;
	for (size_t i = 0; i < options->recipient_count; i++) {
		const char *const argv[] = { "postern", "why",
			options->recipients[i], NULL };
		int code = run_postern(argv, o);

		if (code < 0)
			return code;
		if (code != 0)
			worst =
			    code == NOT_FOUND ? EX_NOUSER : sysexit_of(code);
	}
	return worst;
}

static int
speak_smtp(struct outcome *o)
{
	const char *const argv[] = { "postern-smtpd", "--local", NULL };

	return become("postern-smtpd", argv, o);
}

int
modes_run(const struct options *options, struct outcome *o)
{
	switch (options->mode) {
	case MODE_SMTP:
		return speak_smtp(o);
	case MODE_LIST:
		return list(o);
	case MODE_ALIASES:
		return make_aliases(o);
	case MODE_VERIFY:
		return verify(options, o);
	case MODE_RUN:
		return run_queue(options->run, o);
	case MODE_MAIL:
	case MODE_HELP:
	case MODE_VERSION:
		break;
	}
	return -1;
}
