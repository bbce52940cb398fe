/* SPDX-License-Identifier: ISC
 * handoff: contract in handoff.h.  The child is made before the sandbox and
 * without no_new_privs, since postern-queue may be set-gid for the drop box.
 */
#include "inject/handoff.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>
#include "common/io.h"
#include "common/layout.h"
#include "inject/queue_exit.h"

enum { REPORT_FD = 3, REPORT_MAX = 512, NOT_STARTED = 120, PATH_ROOM = 640 };

static const char report_name[] = "POSTERN_QUEUE_REPORT";

/* ---- the child ---- */

/* Waits for the first byte; ends when there will be none. */
static void
wait_for_message(void)
{
	struct pollfd p = { .fd = STDIN_FILENO, .events = POLLIN };

	while (poll(&p, 1, -1) < 0)
		if (errno != EINTR)
			_exit(NOT_STARTED);
	if ((p.revents & POLLIN) == 0)
		_exit(EXIT_SUCCESS);
}

static _Noreturn void
become_queue(int message, int envelope, int report)
{
	char room[PATH_ROOM];
	struct buf path = BUF_ON(room);
	const char *program = secure_getenv("QMAILQUEUE");
	char name[PATH_ROOM];
	struct buf argument = BUF_ON(name);

	if (program == NULL || program[0] == '\0')
		program = layout_program("postern-queue", &path);
	buf_puts(&argument, program);
	/* out of the way of 0, 1 and 3 */
	message = fcntl(message, F_DUPFD_CLOEXEC, REPORT_FD + 1);
	envelope = fcntl(envelope, F_DUPFD_CLOEXEC, REPORT_FD + 1);
	report = fcntl(report, F_DUPFD_CLOEXEC, REPORT_FD + 1);
	if (buf_cstr(&argument) == NULL || dup2(message, STDIN_FILENO) < 0 ||
	    dup2(envelope, STDOUT_FILENO) < 0 || dup2(report, REPORT_FD) < 0 ||
	    setenv(report_name, "3", 1) < 0)
		_exit(NOT_STARTED);
	wait_for_message();
	char *argv[] = { name, NULL };

	execv(program, argv);
	_exit(NOT_STARTED);
}

/* ---- the parent ---- */

static int
make_pipes(int message[2], int envelope[2], int report[2])
{
	return pipe2(message, O_CLOEXEC) < 0 ||
		       pipe2(envelope, O_CLOEXEC) < 0 ||
		       pipe2(report, O_CLOEXEC) < 0
		   ? -1
		   : 0;
}

int
handoff_start(struct handoff *h)
{
	int message[2], envelope[2], report[2];

	if (make_pipes(message, envelope, report) < 0)
		return -1;
	h->broken = false;
	h->pid = fork();
	if (h->pid < 0)
		return -1;
	if (h->pid == 0) {
		/* who keeps these would wait for himself */
		close(message[1]);
		close(envelope[1]);
		close(report[0]);
		become_queue(message[0], envelope[0], report[1]);
	}
	close(message[0]);
	close(envelope[0]);
	close(report[1]);
	h->message_fd = message[1];
	h->envelope_fd = envelope[1];
	h->report_fd = report[0];
	return signal(SIGPIPE, SIG_IGN) == SIG_ERR ? -1 : 0;
}

void
handoff_print(struct handoff *h)
{
	*h = (struct handoff){ .pid = -1,
		.message_fd = STDOUT_FILENO,
		.envelope_fd = -1,
		.report_fd = -1 };
}

void
handoff_put(struct handoff *h, struct str s)
{
	if (!h->broken && io_write_all(h->message_fd, s) < 0)
		h->broken = true;
}

static int
reap(struct handoff *h)
{
	int status = 0;

	while (waitpid(h->pid, &status, 0) < 0)
		if (errno != EINTR)
			return NOT_STARTED << 8;
	return status;
}

static void
put_envelope(struct handoff *h, const struct envelope *e)
{
	struct str sender = { .p = e->sender, .n = e->sender_n };

	if (io_write_all(h->envelope_fd, STR("F")) < 0 ||
	    io_write_all(h->envelope_fd, sender) < 0 ||
	    io_write_all(h->envelope_fd, STR("\0")) < 0 ||
	    io_write_all(h->envelope_fd, buf_str(&e->recipients)) < 0 ||
	    io_write_all(h->envelope_fd, STR("\0")) < 0)
		h->broken = true;
}

void
handoff_finish(
    struct handoff *h, const struct envelope *e, struct outcome *outcome)
{
	char room[REPORT_MAX];

	if (h->pid < 0) {
		outcome_set(outcome, h->broken ? OUTCOME_LATER : OUTCOME_DONE,
		    "cannot write to standard output");
		return;
	}
	io_close(&h->message_fd);
	if (!h->broken)
		put_envelope(h, e);
	io_close(&h->envelope_fd);
	int status = reap(h);
	/* what it started may still hold the other end */
	ssize_t n = io_nonblock(h->report_fd, true) < 0
			? -1
			: read(h->report_fd, room, sizeof(room));
	struct str report = { .p = room, .n = n > 0 ? (size_t)n : 0 };

	io_close(&h->report_fd);
	handoff_judge(status, report, outcome);
	/* as qmail.c: its 0 alone is not believed when it went too early */
	if (h->broken && outcome->kind == OUTCOME_DONE &&
	    !str_starts(report, STR("K")))
		outcome_set(outcome, OUTCOME_LATER,
		    "the queue program did not read all of the message");
}

void
handoff_drop(struct handoff *h)
{
	if (h->pid < 0)
		return;
	io_close(&h->message_fd);
	io_close(&h->envelope_fd);
	(void)reap(h); /* what it has to report is heard by nobody */
	io_close(&h->report_fd);
}

/* ---- the verdict ---- */

/* For a program that says no more than its exit code. */
static const struct {
	int code;
	enum outcome_kind kind;
	const char *text;
} codes[] = {
	{ QUEUE_EXIT_ADDRESS_LONG, OUTCOME_DATA, "an address is too long" },
	{ QUEUE_EXIT_REFUSED, OUTCOME_REFUSED,
	    "the queue refused the message" },
	{ QUEUE_EXIT_MEMORY, OUTCOME_LATER,
	    "no memory for the queue; try again later" },
	{ QUEUE_EXIT_TIMEOUT, OUTCOME_LATER,
	    "the queue waited too long; try again" },
	{ QUEUE_EXIT_WRITE, OUTCOME_LATER,
	    "the queue cannot write (disk full?); try again later" },
	{ QUEUE_EXIT_READ, OUTCOME_LATER,
	    "the queue could not read the message; try again" },
	{ QUEUE_EXIT_CONFIG, OUTCOME_LATER,
	    "the queue cannot read its configuration; see postern check" },
	{ QUEUE_EXIT_NETWORK, OUTCOME_LATER,
	    "the queue cannot be reached; is Postern running?" },
	{ QUEUE_EXIT_DROP_BOX, OUTCOME_LATER,
	    "Postern is stopped, and there is no drop box; start it, then try "
	    "again" },
	{ QUEUE_EXIT_LOST, OUTCOME_LATER,
	    "the queue went away before it answered; try again" },
	{ QUEUE_EXIT_BUG, OUTCOME_BUG,
	    "the queue program found a bug in itself" },
	{ QUEUE_EXIT_ENVELOPE, OUTCOME_BUG,
	    "the queue program did not like the envelope" },
	{ NOT_STARTED, OUTCOME_LATER,
	    "cannot run the queue program (postern-queue, or what QMAILQUEUE "
	    "names)" },
};

static void
judge_code(int code, struct outcome *o)
{
	for (size_t i = 0; i < N_ELEMENTS(codes); i++)
		if (codes[i].code == code) {
			outcome_set(o, codes[i].kind, codes[i].text);
			return;
		}
	/* as qmail-inject takes the codes that have no name */
	outcome_set(o,
	    code >= 11 && code <= 40 ? OUTCOME_REFUSED : OUTCOME_LATER,
	    code >= 11 && code <= 40 ? "the queue program refused the message"
				     : "the queue program failed; try again");
	char room[24];
	struct buf b = BUF_ON(room);

	buf_puts(&b, "exit code ");
	buf_put_u64(&b, (uint64_t)code);
	outcome_add(o, buf_str(&b));
}

/* What a refusal is about (RFC 3463). */
static enum outcome_kind
refusal_kind(struct str text)
{
	if (str_starts(text, STR("5.1.")))
		return OUTCOME_ADDRESS;
	if (str_starts(text, STR("5.6.")) || str_starts(text, STR("5.3.4")))
		return OUTCOME_DATA;
	return OUTCOME_REFUSED;
}

void
handoff_judge(int status, struct str report, struct outcome *o)
{
	struct str line = str_head(report, str_find(report, '\n'));
	struct str text = str_skip(line, 1);
	char verdict = line.n > 0 ? line.p[0] : '\0';
	uint64_t id;

	if (!WIFEXITED(status)) {
		outcome_set(o, OUTCOME_LATER,
		    "the queue program was killed; try again");
	} else if (WEXITSTATUS(status) == 0) {
		outcome_set(o, OUTCOME_DONE, "");
		if (verdict == 'K' && str_hex64(text, &id)) {
			struct buf b = BUF_ON(o->id);

			buf_put(&b, text);
			(void)buf_cstr(&b);
		}
	} else if (verdict == 'D') {
		outcome_set_about(
		    o, refusal_kind(text), "the queue refused it", text);
	} else if (verdict == 'Z') {
		outcome_set_about(
		    o, OUTCOME_LATER, "not now, try again later", text);
	} else {
		judge_code(WEXITSTATUS(status), o);
	}
}
