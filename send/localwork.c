/* SPDX-License-Identifier: ISC
 * localwork: contract in localwork.h.
 */
#include "send/localwork.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>
#include "common/die.h"
#include "common/io.h"
#include "common/log.h"
#include "send/headscan.h"

static const char loop_text[] =
    "5.4.6 mail loop: this message has been delivered here before";

void
localwork_init(struct localwork *w, struct str host)
{
	maildir_init(&w->maildir, w->base_fd, host);
	reports_init(&w->reports);
	for (size_t i = LOCALWORK_JOBS; i-- > 0;)
		w->free[w->free_n++] = &w->jobs[i];
	w->tasks_n = 0; /* its page is the template's: one fault, not two */
}

/* ---- jobs ---- */

struct localwork_job *
localwork_place(struct localwork *w)
{
	return w->free_n > 0 ? w->free[w->free_n - 1] : NULL;
}

static bool
get_recipient(
    struct packet *p, uint32_t *idx, struct str *address, struct str *target)
{
	*idx = packet_get_u32(p);
	*address = packet_get_str(p, LIMIT_ADDRESS);
	*target = packet_get_str(p, MAILDIR_PATH);
	return !p->bad && mailname_clean(*address);
}

static bool
read_job(struct localwork_job *j, struct str bytes)
{
	struct packet p = packet_open(bytes);
	j->id = packet_get_u64(&p);
	j->birth = packet_get_u64(&p);
	j->body = (struct maildir_body){ .fd = -1 };
	j->body.offset = packet_get_u64(&p);
	j->body.size = packet_get_u64(&p);
	j->flags = packet_get_u8(&p);
	j->sender = packet_get_str(&p, LIMIT_ADDRESS);
	j->count = packet_get_u32(&p);
	j->recipients = p;
	if (p.type != 'J' || p.bad || j->count > LIMIT_RECIPIENTS ||
	    !mailname_clean(j->sender) || j->body.offset > INT64_MAX ||
	    j->body.size > INT64_MAX - j->body.offset)
		return false;
	for (uint32_t i = 0; i < j->count; i++) {
		uint32_t idx;
		struct str address, target;
		if (!get_recipient(&p, &idx, &address, &target))
			return false;
	}
	return packet_end(&p);
}

bool
localwork_take(struct localwork *w, struct localwork_job *j, struct str bytes,
    int *fds, size_t nfds)
{
	if (!read_job(j, bytes) || nfds != 1) {
		packet_close_fds(fds, nfds);
		return false;
	}
	w->free_n--;
	j->body.fd = fds[0];
	j->tasks = 1; /* until all of its recipients are begun */
	w->queue[w->queue_n++] = j;
	return true;
}

static void
free_job(struct localwork *w, struct localwork_job *j)
{
	io_close(&j->body.fd);
	w->free[w->free_n++] = j;
}

void
localwork_release(struct localwork *w, struct localwork_task *t)
{
	struct localwork_job *j = t->job;
	t->job = NULL;
	if (j->tasks == 0)
		bug("a job with too few tasks");
	if (--j->tasks == 0)
		free_job(w, j);
}

/* ---- loops ---- */

static void
mark_loops(const struct localwork_job *j, struct str address, bool *loops)
{
	struct packet p = j->recipients;
	for (uint32_t i = 0; i < j->count; i++) {
		uint32_t idx;
		struct str recipient, target;
		if (get_recipient(&p, &idx, &recipient, &target) &&
		    str_ieq(recipient, address))
			loops[i] = true;
	}
}

/* Reads the header; loops[i] = the i-th recipient stands in a Delivered-To.
 * False: the message cannot be read (errno). */
static bool
find_loops(struct localwork *w, struct localwork_job *j, bool *loops)
{
	struct headscan scan = { .ended = false };
	uint64_t at = 0;
	do {
		struct str piece = maildir_load(&w->maildir, &j->body, at);
		if (piece.p == NULL)
			return false;
		at += piece.n;
		enum headscan_status status;
		do {
			struct str address;
			size_t used;
			status = headscan_feed(&scan, piece, &address, &used);
			if (status == HEADSCAN_FOUND)
				mark_loops(j, address, loops);
			piece = str_skip(piece, used);
		} while (status == HEADSCAN_FOUND);
	} while (!scan.ended && at < j->body.size);
	return true;
}

/* ---- delivering ---- */

static void
on_committed(void *arg, unsigned tag, int error)
{
	struct localwork *w = arg;
	struct localwork_task *t = w->aims[tag].task;
	if (t == NULL) {
		reports_add(&w->reports, w->aims[tag].id, w->aims[tag].idx,
		    error == 0 ? VERDICT_OK : VERDICT_DEFER,
		    error == 0 ? "2.0.0 delivered" : maildir_text(error));
	} else {
		t->waiting--;
		if (error != 0 && !t->failed) {
			t->failed = true;
			t->verdict = VERDICT_DEFER;
			t->text = maildir_text(error);
		}
		if (t->waiting == 0 && t->state == TASK_WRITTEN)
			t->state = TASK_READY;
	}
	if (error != 0)
		LOG(WARN, "delivery-failed", F_ID(w->aims[tag].id),
		    F_ERRNO(error));
}

static void
commit(struct localwork *w)
{
	w->committed += (unsigned)w->maildir.file_count;
	for (size_t i = 0; i < w->maildir.file_count; i++)
		w->committed_bytes += w->maildir.files[i].size;
	maildir_commit(&w->maildir, on_committed, w);
}

int
localwork_write(struct localwork *w, struct localwork_job *j,
    struct localwork_task *t, uint32_t idx, struct str path, struct str address,
    bool search)
{
	struct maildir_message m = { .id = j->id,
		.sender = j->sender,
		.recipient = address,
		.body = &j->body,
		.search = search };
	if (maildir_is_full(&w->maildir) ||
	    maildir_is_pending(&w->maildir, path, &m))
		commit(w);
	unsigned tag = (unsigned)w->maildir.file_count;
	if (maildir_add(&w->maildir, path, &m, tag) < 0) {
		int saved = errno;
		LOG(WARN, "delivery-failed", F_ID(j->id),
		    F_STR("maildir", path), F_ERRNO(saved));
		errno = saved;
		return -1;
	}
	w->aims[tag].id = j->id;
	w->aims[tag].idx = idx;
	w->aims[tag].task = t;
	return 0;
}

static void
deliver_virtual(struct localwork *w, struct localwork_job *j, uint32_t idx,
    struct str address, struct str path)
{
	if (!dotqmail_path_is_plain(path, MAILDIR_PATH))
		reports_add(&w->reports, j->id, idx, VERDICT_DEFER,
		    "4.3.5 the mailbox's path is not one below the mail "
		    "directory");
	else if (localwork_write(w, j, NULL, idx, path, address,
		     (j->flags & LOCALWORK_SEEN_BEFORE) != 0) < 0)
		reports_add(&w->reports, j->id, idx, VERDICT_DEFER,
		    maildir_text(errno));
}

static struct localwork_task *
free_task(struct localwork *w)
{
	for (size_t i = 0; i < w->tasks_n; i++)
		if (w->tasks[i].state == TASK_FREE)
			return &w->tasks[i];
	return w->tasks_n < LOCALWORK_TASKS ? &w->tasks[w->tasks_n++] : NULL;
}

/* False: as many are under way as can be. */
static bool
deliver_system(struct localwork *w, struct localwork_job *j, uint32_t idx,
    struct str address, struct str extension)
{
	struct localwork_task *t = free_task(w);
	if (t == NULL)
		return false;
	localtask_begin(w, t, j, idx, address, extension);
	if (t->state == TASK_READY)
		localtask_run(w, t);
	return true;
}

static bool
in_work(const struct localwork *w, uint64_t id, uint32_t idx)
{
	for (size_t i = 0; i < w->tasks_n; i++)
		if (w->tasks[i].state != TASK_FREE && w->tasks[i].id == id &&
		    w->tasks[i].idx == idx)
			return true;
	return reports_has(&w->reports, id, idx);
}

/* False: j keeps the recipients that have to wait. */
static bool
begin_job(struct localwork *w, struct localwork_job *j)
{
	bool loops[LIMIT_RECIPIENTS] = { false };
	bool readable = find_loops(w, j, loops);
	const char *unreadable = maildir_text(errno);
	bool again = (j->flags & LOCALWORK_SEEN_BEFORE) != 0;
	struct packet p = j->recipients;
	for (uint32_t i = 0; i < j->count; i++) {
		struct packet here = p;
		uint32_t idx;
		struct str address, target;
		if (!get_recipient(&p, &idx, &address, &target))
			bug("a job was not checked");
		if (again && in_work(w, j->id, idx))
			continue; /* its report comes, or goes out again */
		if (!readable)
			reports_add(
			    &w->reports, j->id, idx, VERDICT_DEFER, unreadable);
		else if (loops[i])
			reports_add(
			    &w->reports, j->id, idx, VERDICT_FAIL, loop_text);
		else if (!w->system_user)
			deliver_virtual(w, j, idx, address, target);
		else if (!deliver_system(w, j, idx, address, target)) {
			j->recipients = here;
			j->count -= i;
			return false;
		}
	}
	if (--j->tasks == 0)
		free_job(w, j);
	return true;
}

/* Recipients that have no report yet but will: they need room for it. */
static size_t
reports_due(const struct localwork *w)
{
	size_t n = w->maildir.file_count;
	for (size_t i = 0; i < w->tasks_n; i++)
		n += w->tasks[i].state != TASK_FREE &&
		     w->tasks[i].state != TASK_FORWARDED;
	return n;
}

static size_t
free_task_count(const struct localwork *w)
{
	size_t n = LOCALWORK_TASKS - w->tasks_n;
	for (size_t i = 0; i < w->tasks_n; i++)
		n += w->tasks[i].state == TASK_FREE;
	return n;
}

static bool
can_begin(const struct localwork *w, const struct localwork_job *j)
{
	if (reports_room(&w->reports) < reports_due(w) + j->count)
		return false;
	if (!w->system_user)
		return true;
	size_t n = free_task_count(w);
	return n >= j->count || n >= LOCALWORK_TASKS / 2;
}

/* True: some recipient was begun. */
static bool
begin_jobs(struct localwork *w)
{
	bool any = false, whole = true;
	size_t n = 0;
	while (whole && n < w->queue_n && can_begin(w, w->queue[n])) {
		whole = begin_job(w, w->queue[n]);
		n += whole;
		any = true;
	}
	w->queue_n -= n;
	for (size_t i = 0; i < w->queue_n; i++)
		w->queue[i] = w->queue[i + n];
	return any;
}

static bool
run_ready(struct localwork *w)
{
	bool any = false;
	for (size_t i = 0; i < w->tasks_n; i++) {
		if (w->tasks[i].state != TASK_READY)
			continue;
		localtask_run(w, &w->tasks[i]);
		any = true;
	}
	return any;
}

static void
start_programs(struct localwork *w)
{
	w->wants_runner = false;
	for (size_t i = 0; i < w->tasks_n; i++) {
		if (w->tasks[i].state != TASK_WANTS)
			continue;
		if (w->runner_fd < 0)
			w->wants_runner = true;
		else if (w->programs < RUNNER_PROGRAMS)
			localtask_start_program(w, &w->tasks[i]);
	}
}

void
localwork_run(struct localwork *w)
{
	bool any;
	do {
		any = begin_jobs(w);
		do {
			commit(w);
		} while (run_ready(w));
		start_programs(w);
	} while (any && w->queue_n > 0);
}

/* ---- programs ---- */

static void
lose_runner(struct localwork *w)
{
	static const struct runner_answer lost = { .verdict = VERDICT_DEFER,
		.text = { "4.3.0 the program's process was lost", 36 } };
	LOG(ERROR, "runner-lost", F_NUM("programs", w->programs));
	w->programs = 0;
	for (size_t i = 0; i < w->tasks_n; i++)
		if (w->tasks[i].state == TASK_RUNNING)
			localtask_program_ended(w, &w->tasks[i], &lost);
}

void
localwork_no_runner(struct localwork *w)
{
	for (size_t i = 0; i < w->tasks_n; i++)
		if (w->tasks[i].state == TASK_WANTS)
			localtask_start_program(w, &w->tasks[i]);
	w->wants_runner = false;
}

void
localwork_on_runner(struct localwork *w)
{
	struct runner_answer a;
	int n;
	while ((n = runner_receive(
		    w->runner_fd, w->packet, sizeof(w->packet), &a)) == 1) {
		if (a.slot >= w->tasks_n ||
		    w->tasks[a.slot].state != TASK_RUNNING) {
			n = -1;
			break;
		}
		w->programs--;
		localtask_program_ended(w, &w->tasks[a.slot], &a);
	}
	if (n < 0) {
		io_close(&w->runner_fd);
		lose_runner(w);
	}
}

/* ---- what qmgr is told ---- */

bool
localwork_is_idle(const struct localwork *w)
{
	return w->queue_n == 0 && reports_due(w) == 0;
}

void
localwork_acknowledge(struct localwork *w, uint64_t id, uint32_t idx)
{
	int task = reports_acknowledge(&w->reports, id, idx);
	if (task != REPORTS_NO_TASK)
		w->tasks[task].state = TASK_FREE;
}

static void
job_in_flight(const struct localwork_job *j,
    void (*each)(void *arg, uint64_t id, uint32_t idx), void *arg)
{
	struct packet p = j->recipients;
	for (uint32_t i = 0; i < j->count; i++) {
		uint32_t idx;
		struct str address, target;
		if (get_recipient(&p, &idx, &address, &target))
			each(arg, j->id, idx);
	}
}

void
localwork_in_flight(const struct localwork *w,
    void (*each)(void *arg, uint64_t id, uint32_t idx), void *arg)
{
	for (size_t i = 0; i < w->queue_n; i++)
		job_in_flight(w->queue[i], each, arg);
	for (size_t i = 0; i < w->tasks_n; i++)
		if (w->tasks[i].state != TASK_FREE &&
		    w->tasks[i].state != TASK_FORWARDED)
			each(arg, w->tasks[i].id, w->tasks[i].idx);
}
