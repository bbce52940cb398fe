/* SPDX-License-Identifier: ISC
 * localtask: one recipient of a system user and the lines of its .qmail file;
 * contract in localwork.h.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "common/address.h"
#include "common/die.h"
#include "common/io.h"
#include "common/log.h"
#include "send/localwork.h"
#include "send/programenv.h"

enum { TRIES_MAX = 64, OTHERS_MAY_WRITE = 0002, STICKY = 01000 };

/* ---- ends ---- */

static void
end_report(struct localwork *w, struct localwork_task *t, enum verdict verdict,
    const char *text)
{
	reports_add(&w->reports, t->id, t->idx, verdict, text);
	localwork_release(w, t);
	t->state = TASK_FREE;
}

/* ---- forwards ---- */

/* The canonical address of a forward line; one without a domain is in that of
 * the recipient.  False: it is none. */
static bool
put_forward(struct buf *b, const struct localwork_task *t, struct str line)
{
	struct address a;
	if (address_parse(line, true, &a) != ADDRESS_OK || a.local.n == 0)
		return false;
	if (a.domain.n == 0)
		a.domain = (struct str){ .p = t->domain, .n = t->domain_n };
	if (a.domain.n == 0)
		return false;
	address_put(b, a);
	return !b->full && b->n <= LIMIT_ADDRESS;
}

static uint32_t
count_forwards(const struct localwork_task *t)
{
	struct str content = { .p = t->content, .n = t->at };
	struct dotqmail_line line;
	size_t at = 0;
	uint32_t n = 0;
	while (dotqmail_next(content, &at, &line))
		n += line.kind == DOTQMAIL_FORWARD;
	return n;
}

void
localwork_put_forward(
    const struct localwork *w, const struct report *report, struct buf *b)
{
	const struct localwork_task *t = &w->tasks[report->task];
	struct str content = { .p = t->content, .n = t->at };
	struct dotqmail_line line;
	size_t at = 0;
	packet_begin(b, 'W');
	packet_u64(b, t->id);
	packet_u32(b, t->idx);
	packet_u32(b, count_forwards(t));
	while (dotqmail_next(content, &at, &line)) {
		char text[LIMIT_ADDRESS + 64];
		struct buf address = BUF_ON(text);
		if (line.kind != DOTQMAIL_FORWARD)
			continue;
		if (!put_forward(&address, t, line.text))
			bug("a forward was not checked");
		packet_str(b, buf_str(&address));
	}
	if (b->full)
		bug("forwards were not measured");
}

/* ---- the file ---- */

/* NULL, or why the file cannot be followed. */
static const char *
check_line(const struct localwork *w, struct localwork_task *t,
    const struct dotqmail_line *line, size_t *room)
{
	char text[LIMIT_ADDRESS + 64];
	struct buf address = BUF_ON(text);
	struct str path;
	bool delivers = line->kind == DOTQMAIL_MAILDIR ||
			line->kind == DOTQMAIL_MBOX ||
			line->kind == DOTQMAIL_PROGRAM;
	if (delivers && t->forwards_only)
		return "4.7.0 .qmail has a delivery but may only forward";
	switch (line->kind) {
	case DOTQMAIL_MAILDIR:
		return dotqmail_path(line->text, w->home, &path)
			   ? NULL
			   : "4.2.1 .qmail names a Maildir outside the home";
	case DOTQMAIL_MBOX:
		return "4.2.1 .qmail: mbox is not supported; a Maildir line "
		       "ends with /";
	case DOTQMAIL_PROGRAM:
		return NULL;
	case DOTQMAIL_FORWARD:
		if (!put_forward(&address, t, line->text))
			return "4.2.1 .qmail forwards to what is no address";
		if (*room < address.n + 4)
			return "4.2.1 .qmail forwards to too many addresses";
		*room -= address.n + 4;
		return NULL;
	case DOTQMAIL_LIST:
		t->forwards_only = true;
		return NULL;
	case DOTQMAIL_BLANK:
		return "4.2.1 the first line of .qmail is blank";
	case DOTQMAIL_BAD:
		return "4.2.1 .qmail has a line that is not understood";
	}
	return "4.3.0 .qmail";
}

static const char *
check_content(const struct localwork *w, struct localwork_task *t)
{
	struct str content = { .p = t->content, .n = t->content_n };
	struct dotqmail_line line;
	size_t at = 0, room = PACKET_MAX - 64;
	unsigned maildirs = 0, others = 0;
	const char *wrong = NULL;
	while (wrong == NULL && dotqmail_next(content, &at, &line)) {
		wrong = check_line(w, t, &line, &room);
		maildirs += line.kind == DOTQMAIL_MAILDIR;
		others += line.kind == DOTQMAIL_PROGRAM ||
			  line.kind == DOTQMAIL_FORWARD;
	}
	/* a program may defer, and then the Maildir line above it comes again:
	 * look for what was delivered */
	t->mixed = maildirs > 0 && others > 0;
	return wrong;
}

/* 1: read; 0: no such file; -1: *wrong says what. */
static int
read_one(const struct localwork *w, struct localwork_task *t, const char *name,
    const char **wrong)
{
	int fd = openat(w->base_fd, name,
	    O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
	if (fd < 0 && errno == ENOENT)
		return 0;
	*wrong = errno == ELOOP ? "4.7.0 .qmail is a symbolic link"
				: "4.3.0 .qmail cannot be read";
	if (fd < 0)
		return -1;
	struct stat st;
	int result = -1;
	if (fstat(fd, &st) < 0) {
		result = -1;
	} else if (!S_ISREG(st.st_mode)) {
		result = 0; /* as qmail-local does */
	} else if ((st.st_mode & OTHERS_MAY_WRITE) != 0) {
		*wrong = "4.7.0 .qmail can be written by others";
	} else if (st.st_uid != w->uid && st.st_uid != 0) {
		*wrong = "4.7.0 .qmail is another user's";
	} else {
		int64_t n = io_slurp(fd, t->content, sizeof(t->content));
		if (n < 0 && errno == EFBIG)
			*wrong = "4.2.1 .qmail is too large";
		t->content_n = n < 0 ? 0 : (size_t)n;
		t->forwards_only = (st.st_mode & S_IXUSR) != 0;
		result = n < 0 ? -1 : 1;
	}
	close(fd);
	return result;
}

static void
use_default(struct localwork_task *t)
{
	static const char line[] = "./Maildir/\n";
	memcpy(t->content, line, sizeof(line) - 1);
	t->content_n = sizeof(line) - 1;
	t->forwards_only = false;
}

static const char *
check_home(const struct localwork *w)
{
	struct stat st;
	if (fstat(w->base_fd, &st) < 0)
		return "4.3.0 the home directory cannot be looked at";
	if ((st.st_mode & OTHERS_MAY_WRITE) != 0)
		return "4.7.0 the home directory can be written by others";
	if ((st.st_mode & STICKY) != 0)
		return "4.2.1 the home directory is sticky: its user is "
		       "editing .qmail";
	return NULL;
}

/* Finds and reads the file; NULL, or what to report with *verdict. */
static const char *
load(const struct localwork *w, struct localwork_task *t, enum verdict *verdict)
{
	char text[DOTQMAIL_NAME];
	struct buf name = BUF_ON(text);
	*verdict = VERDICT_DEFER;
	const char *wrong = check_home(w);
	if (wrong != NULL)
		return wrong;
	int found = 0;
	for (unsigned try = 0; found == 0 && try < TRIES_MAX; try++) {
		if (!dotqmail_name(&name, t->extension, try, &t->matched))
			break;
		t->by_default = try > 0;
		const char *cname = buf_cstr(&name);
		found = cname == NULL ? 0 : read_one(w, t, cname, &wrong);
	}
	if (found < 0)
		return wrong;
	if (found == 0 && t->extension.n > 0) {
		*verdict = VERDICT_FAIL;
		return "5.1.1 no mailbox here by that name";
	}
	if (found == 0 || t->content_n == 0)
		use_default(t);
	return check_content(w, t);
}

void
localtask_begin(struct localwork *w, struct localwork_task *t,
    struct localwork_job *j, uint32_t idx, struct str address,
    struct str extension)
{
	t->job = j;
	t->id = j->id;
	t->idx = idx;
	t->address = address;
	t->extension = extension;
	struct str domain = address_split(address).domain;
	t->domain_n = domain.n <= LIMIT_DOMAIN ? domain.n : 0;
	memcpy(t->domain, domain.p, t->domain_n);
	t->by_default = t->forwards_only = t->mixed = t->failed = false;
	t->matched = t->waiting = 0;
	t->at = t->content_n = 0;
	j->tasks++;
	enum verdict verdict;
	const char *wrong = load(w, t, &verdict);
	if (wrong != NULL)
		end_report(w, t, verdict, wrong);
	else
		t->state = TASK_READY;
}

/* ---- the lines ---- */

static void
finish(struct localwork *w, struct localwork_task *t)
{
	if (t->failed) {
		end_report(w, t, t->verdict, t->text);
		return;
	}
	if (count_forwards(t) == 0) {
		end_report(w, t, VERDICT_OK, "2.0.0 delivered");
		return;
	}
	reports_add_forward(&w->reports, t->id, t->idx, (int)(t - w->tasks));
	localwork_release(w, t);
	t->state = TASK_FORWARDED;
}

static void
fail(struct localwork_task *t, enum verdict verdict, const char *text)
{
	t->failed = true;
	t->verdict = verdict;
	t->text = text;
}

static void
deliver(struct localwork *w, struct localwork_task *t, struct str line)
{
	struct str path;
	if (!dotqmail_path(line, w->home, &path))
		bug("a line was not checked");
	bool search = t->mixed || (t->job->flags & LOCALWORK_SEEN_BEFORE) != 0;
	if (localwork_write(w, t->job, t, t->idx, path, t->address, search) < 0)
		fail(t, VERDICT_DEFER, maildir_text(errno));
	else
		t->waiting++;
}

void
localtask_run(struct localwork *w, struct localwork_task *t)
{
	struct str content = { .p = t->content, .n = t->content_n };
	struct dotqmail_line line;
	size_t start = t->at;
	while (!t->failed && dotqmail_next(content, &t->at, &line)) {
		if (line.kind == DOTQMAIL_MAILDIR)
			deliver(w, t, line.text);
		if (line.kind == DOTQMAIL_PROGRAM) {
			t->at = start; /* come back to it */
			t->state = t->waiting > 0 ? TASK_WRITTEN : TASK_WANTS;
			return;
		}
		start = t->at;
	}
	if (t->waiting > 0)
		t->state = TASK_WRITTEN;
	else
		finish(w, t);
}

/* ---- programs ---- */

void
localtask_start_program(struct localwork *w, struct localwork_task *t)
{
	static char space[4 * 1024];
	struct str content = { .p = t->content, .n = t->content_n };
	struct dotqmail_line line;
	struct buf environment = BUF_ON(space);
	struct buf packet = BUF_ON(w->packet);
	struct programenv env = { .sender = t->job->sender,
		.recipient = t->address,
		.extension = t->extension,
		.matched = t->matched,
		.by_default = t->by_default,
		.birth =
		    (int64_t)(t->job->birth <= INT64_MAX ? t->job->birth : 0),
		.user = w->user,
		.home = w->home };
	if (!dotqmail_next(content, &t->at, &line) ||
	    line.kind != DOTQMAIL_PROGRAM)
		bug("a task wants no program");
	struct runner_request r = { .slot = (uint32_t)(t - w->tasks),
		.body_fd = t->job->body.fd,
		.offset = t->job->body.offset,
		.size = t->job->body.size,
		.command = line.text };
	if (!programenv_put(&environment, &env) || environment.full) {
		end_report(w, t, VERDICT_FAIL,
		    "5.1.7 an address has characters that are not given to "
		    "programs");
		return;
	}
	r.environment = buf_str(&environment);
	if (w->runner_fd < 0 || runner_send(w->runner_fd, &packet, &r) < 0) {
		LOG(WARN, "program-not-started", F_ID(t->id), F_ERRNO(errno));
		end_report(w, t, VERDICT_DEFER,
		    "4.3.0 the program could not be started");
		return;
	}
	w->programs++;
	t->state = TASK_RUNNING;
}

void
localtask_program_ended(struct localwork *w, struct localwork_task *t,
    const struct runner_answer *a)
{
	if (a->stop)
		t->content_n = t->at;
	if (a->verdict == VERDICT_OK) {
		/* what it printed is not kept: there is nothing to explain */
		t->state = TASK_READY;
		return;
	}
	reports_add_text(&w->reports, t->id, t->idx, a->verdict, a->text);
	localwork_release(w, t);
	t->state = TASK_FREE;
}
