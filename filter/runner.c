/* SPDX-License-Identifier: ISC
 * runner: contract in runner.h.
 */
#include "filter/runner.h"

#include <errno.h>
#include <string.h>
#include "common/clock.h"
#include "common/die.h"
#include "common/link.h"
#include "common/log.h"
#include "common/verdict.h"
#include "filter/keeper.h"
#include "filter/outcome.h"

static void take_answer(struct link *, struct packet *, int *, size_t);
static void keeper_lost(struct link *);
static void begin_more(struct link *);

static struct link keeper =
    LINK_DOWN("keeper", take_answer, begin_more, keeper_lost);
static struct runner_job *running[KEEPER_MESSAGES];
static unsigned running_count, waiting_count, places = 1;
static struct runner_job *first, **last = &first; /* those that wait */
static int timeout_ms;

/* ---- answers ---- */

static const char *
result_name(char result)
{
	switch (result) {
	case OUTCOME_ACCEPTED:
		return "accepted";
	case OUTCOME_DISCARDED:
		return "discarded";
	case OUTCOME_REFUSED:
		return "refused";
	case OUTCOME_DEFERRED:
		return "deferred";
	default:
		return "trouble";
	}
}

static void
tell(const struct runner_job *j, char result, struct str text, struct str why)
{
	struct str sid = j->facts.sid;
	const char *name = result_name(result);
	int64_t took = clock_mono_ms() - j->begun_ms;
	uint64_t id;

	if (str_hex64(text, &id))
		LOG(INFO, "filtered", F_STR("sid", sid), F_ID(id),
		    F_TEXT("result", name), F_NUM("took", took));
	else if (result == OUTCOME_TROUBLE)
		LOG(WARN, "filtered", F_STR("sid", sid), F_TEXT("result", name),
		    F_NUM("took", took), F_STR("why", why));
	else
		LOG(INFO, "filtered", F_STR("sid", sid), F_TEXT("result", name),
		    F_NUM("took", took), F_STR("text", text),
		    F_STR("why", why));
}

static void
finish(struct runner_job *j, char result, char verdict, struct str text,
    struct str why)
{
	tell(j, result, text, why);
	j->done(j, verdict, text);
}

static void
take_answer(struct link *l, struct packet *p, int *fds, size_t nfds)
{
	(void)fds;
	(void)nfds;
	uint32_t slot = packet_get_u32(p);
	char verdict = (char)packet_get_u8(p);
	char result = (char)packet_get_u8(p);
	struct str text = packet_get_str(p, OUTCOME_TEXT);
	struct str why = packet_get_str(p, OUTCOME_TEXT);
	uint64_t id;
	bool known =
	    verdict == VERDICT_DEFER || verdict == VERDICT_FAIL ||
	    (verdict == VERDICT_OK && (text.n == 0 || str_hex64(text, &id)));

	if (p->type != 'X' || !packet_end(p) || slot >= KEEPER_MESSAGES ||
	    running[slot] == NULL || !known) {
		link_complain(l, p->type);
		return;
	}
	struct runner_job *j = running[slot];
	running[slot] = NULL;
	running_count--;
	finish(j, result, verdict, text, why);
	begin_more(l);
}

/* start runs us again, with a fresh one. */
static void
keeper_lost(struct link *l)
{
	(void)l;
	die(EXITCODE_TEMPORARY, "the keeper of filter programs is gone", 0);
}

/* ---- beginning ---- */

static uint32_t
free_slot(void)
{
	for (uint32_t i = 0; i < KEEPER_MESSAGES; i++)
		if (running[i] == NULL)
			return i;
	bug("no slot for a message");
}

static bool
hand_over(struct runner_job *j)
{
	char space[FACTS_ROOM + 32];
	struct buf b = BUF_ON(space);
	int fds[] = { j->message->body_fd, j->message->envelope_fd };
	uint32_t slot = free_slot();
	int64_t left = j->deadline_ms - clock_mono_ms();

	packet_begin(&b, 'P');
	packet_u32(&b, slot);
	packet_u32(&b, left > 1 ? (uint32_t)left : 1);
	facts_put(&b, &j->facts);
	if (!link_send_fds(&keeper, &b, fds, N_ELEMENTS(fds)))
		return false;
	message_let_go(j->message);
	running[slot] = j;
	running_count++;
	return true;
}

static struct runner_job *
take_first(void)
{
	struct runner_job *j = first;

	first = j->next;
	if (first == NULL)
		last = &first;
	waiting_count--;
	return j;
}

static void
begin_more(struct link *l)
{
	(void)l;
	while (first != NULL && running_count < places && hand_over(first))
		(void)take_first(); /* it is in running[] now */
}

void
runner_begin(struct runner_job *j)
{
	j->begun_ms = clock_mono_ms();
	j->deadline_ms = j->begun_ms + timeout_ms;
	j->next = NULL;
	*last = j;
	last = &j->next;
	waiting_count++;
	begin_more(&keeper);
}

int
runner_run(void)
{
	int64_t now = clock_mono_ms();

	/* of one timeout: the first has the first deadline, but for a reload */
	while (first != NULL && first->deadline_ms <= now)
		finish(take_first(), OUTCOME_TROUBLE, VERDICT_DEFER,
		    STR("4.3.2 Too busy, try again later"),
		    STR("waited too long for a place"));
	return first == NULL ? -1 : (int)(first->deadline_ms - now);
}

/* ---- settings ---- */

unsigned
runner_busy(void)
{
	return running_count + waiting_count;
}

void
runner_limit(unsigned programs, int ms)
{
	places = programs < KEEPER_MESSAGES ? programs : KEEPER_MESSAGES;
	timeout_ms = ms;
}

void
runner_reload(void)
{
	struct buf b = { .p = (char[1]){ 0 }, .cap = 1 };

	packet_begin(&b, 'H');
	if (!link_send(&keeper, &b, -1))
		LOG(ERROR, "reload",
		    F_TEXT("result", "the filter program stays as it was"));
	begin_more(&keeper);
}

void
runner_init(int fd)
{
	if (!link_open(&keeper, fd))
		die(EXITCODE_TEMPORARY, "the keeper of filter programs", errno);
}
