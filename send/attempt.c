/* SPDX-License-Identifier: ISC
 * attempt: contract in attempt.h.  What the child says is checked as if it were
 * the server's own words: it may be, by now.
 */
#include "send/attempt.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "common/exitcode.h"
#include "common/io.h"
#include "common/packet.h"
#include "common/template.h"
#include "send/job.h"

static char packet_bytes[PACKET_MAX];

void
attempt_decide(
    struct attempt_recipient *r, enum verdict verdict, struct str text)
{
	if (r->decided)
		return;
	text = str_head(text, sizeof(r->text));
	r->decided = true;
	r->verdict = verdict;
	r->text_n = text.n;
	memcpy(r->text, text.p, text.n);
}

static void
fail(struct attempt_end *end, enum verdict verdict, struct str text)
{
	if (end->failed)
		return;
	text = str_head(text, sizeof(end->text));
	end->failed = true;
	end->verdict = verdict;
	end->text_n = text.n;
	memcpy(end->text, text.p, text.n);
}

/* ---- the child ---- */

/* Its pid, or -1 with errno. */
static int
child_start(const struct delivery_setup *with, int job, int control,
    void (*sandbox)(void))
{
	struct delivery_setup setup = *with;
	const int keep[] = { setup.net, job, control };
	int pid = template_fork(keep, N_ELEMENTS(keep));

	if (pid != 0)
		return pid;
	setup.job = job;
	setup.control = control;
	sandbox();
	delivery_run(&setup);
	_exit(EXITCODE_DONE);
}

/* ---- what is asked of it ---- */

/* The next at most 100 that are not decided, of whom there are some.  True also
 * when the child is gone: it may have said why, which hear finds. */
static bool
give_job(int job, const struct attempt_mail *mail)
{
	const struct message *m = &mail->message;
	struct buf packet = BUF_ON(packet_bytes);
	uint32_t n = 0;

	packet_begin(&packet, 'J');
	packet_u64(&packet, 1); /* id */
	packet_u64(&packet, 0); /* birth */
	packet_u64(&packet, 0); /* offset */
	packet_u64(&packet, m->size);
	packet_u8(&packet, m->eight_bit ? JOB_EIGHT_BIT : 0);
	packet_str(&packet, mail->sender);
	size_t count_at = packet.n;
	packet_u32(&packet, 0);
	for (size_t i = 0; i < mail->count && n < CLIENT_RECIPIENTS; i++) {
		if (mail->recipients[i].decided)
			continue;
		n++;
		packet_u32(&packet, (uint32_t)i);
		packet_str(&packet, mail->recipients[i].address);
		packet_str(&packet, STR("")); /* target: for local */
	}
	packet_bytes[count_at + 3] = (char)n;
	return !packet.full &&
	       (packet_send(job, buf_str(&packet), &m->fd, 1) == 0 ||
		   errno == EPIPE || errno == ECONNRESET);
}

static bool
is_verdict(unsigned v)
{
	return v == VERDICT_OK || v == VERDICT_DEFER || v == VERDICT_FAIL;
}

/* Puts into taken what the child may forget then. */
static bool
take_reports(
    struct packet *p, const struct attempt_mail *mail, struct buf *taken)
{
	uint32_t n = packet_get_u32(p);

	packet_begin(taken, 'K');
	packet_u32(taken, n);
	for (uint32_t i = 0; i < n && !p->bad; i++) {
		uint64_t id = packet_get_u64(p);
		uint32_t idx = packet_get_u32(p);
		unsigned verdict = packet_get_u8(p);
		struct str text = packet_get_str(p, LIMIT_REPORT);

		if (p->bad || id != 1 || idx >= mail->count ||
		    !is_verdict(verdict))
			return false;
		attempt_decide(
		    &mail->recipients[idx], (enum verdict)verdict, text);
		packet_u64(taken, id);
		packet_u32(taken, idx);
	}
	return packet_end(p);
}

enum heard { HEARD_REPORTS, HEARD_END };

static enum heard
hear(int job, const struct attempt_mail *mail, struct attempt_end *end)
{
	static char taken_bytes[PACKET_MAX];
	struct buf taken = BUF_ON(taken_bytes);
	int fds[PACKET_FDS];
	size_t nfds = 0;
	struct str bytes;
	int r = packet_recv(
	    job, packet_bytes, sizeof(packet_bytes), 0, &bytes, fds, &nfds);

	packet_close_fds(fds, nfds);
	if (r < 0 && errno == EINTR)
		return HEARD_REPORTS;
	if (r <= 0) {
		fail(end, VERDICT_DEFER,
		    STR("4.3.0 the process that spoke to the server ended"));
		return HEARD_END;
	}
	struct packet p = packet_open(bytes);
	if (p.type == 'F') {
		unsigned verdict = packet_get_u8(&p);
		struct str text = packet_get_str(&p, LIMIT_REPORT);

		if (packet_end(&p) && verdict == VERDICT_FAIL)
			fail(end, VERDICT_FAIL, text);
		else if (packet_end(&p) && verdict == VERDICT_DEFER)
			fail(end, VERDICT_DEFER, text);
		fail(end, VERDICT_DEFER, STR("4.3.0 bad report"));
		return HEARD_END;
	}
	if (p.type == 'R' && take_reports(&p, mail, &taken)) {
		/* should it be gone, the next packet says so */
		(void)packet_send(job, buf_str(&taken), NULL, 0);
		return HEARD_REPORTS;
	}
	fail(end, VERDICT_DEFER, STR("4.3.0 bad report"));
	return HEARD_END;
}

static size_t
undecided(const struct attempt_mail *mail)
{
	size_t n = 0;

	for (size_t i = 0; i < mail->count; i++)
		n += !mail->recipients[i].decided;
	return n;
}

static void
converse(int job, const struct attempt_mail *mail, struct attempt_end *end)
{
	size_t left = undecided(mail);

	while (left > 0 && give_job(job, mail)) {
		size_t until =
		    left > CLIENT_RECIPIENTS ? left - CLIENT_RECIPIENTS : 0;

		while (undecided(mail) > until)
			if (hear(job, mail, end) == HEARD_END)
				return;
		left = undecided(mail);
	}
	if (left > 0)
		fail(end, VERDICT_DEFER,
		    STR("4.3.0 the process that spoke to the server ended"));
}

void
attempt_run(const struct delivery_setup *setup, const struct attempt_mail *mail,
    void (*sandbox)(void), struct attempt_end *end)
{
	int job[2] = { -1, -1 }, control[2] = { -1, -1 };
	int net = setup->net;
	int pid = -1;

	*end = (struct attempt_end){ .failed = false };
	if (io_pair(SOCK_SEQPACKET, job) == 0 &&
	    io_pair(SOCK_SEQPACKET, control) == 0)
		pid = child_start(setup, job[0], control[0], sandbox);
	if (pid < 0)
		fail(end, VERDICT_DEFER,
		    STR("4.3.0 no process to speak to the server"));
	io_close(&net);
	io_close(&job[0]);
	io_close(&control[0]);
	if (pid > 0)
		converse(job[1], mail, end);
	/* the child says QUIT and ends; nobody need wait for that */
	io_close(&job[1]);
	io_close(&control[1]);
}
