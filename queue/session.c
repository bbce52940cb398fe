/* SPDX-License-Identifier: ISC
 * session: contract in session.h.
 */
#include "queue/session.h"

#include <limits.h>
#include <string.h>
#include "common/facts.h"
#include "common/frame.h"
#include "common/log.h"
#include "queue/change.h"
#include "queue/commit.h"
#include "queue/drops.h"
#include "queue/found.h"
#include "queue/stream.h"
#include "queue/tellers.h"

enum { IN_FLIGHT = 8 /* messages of one session without an answer */ };

static const char too_large[] = "5.3.4 Message too big";
static const char no_relaying[] = "5.7.1 Relaying denied";

static const char no_text[] =
    "5.6.0 Message holds a CR or NUL byte; lines must end in LF";
static const char no_drops[] = "4.3.2 Too many files without an end";

/* Of no qmgr's link (teller.h): nobody waits for the mark. */
static const unsigned nobody = UINT_MAX;

static struct spool *spool;
static struct session_limits limits;
static unsigned drops_in_flight; /* of all pickup's streams, older ones too */

void
session_init(struct spool *s)
{
	spool = s;
}

void
session_set_limits(const struct session_limits *l)
{
	limits = *l;
}

void
session_set_sid(struct session *s, struct str sid)
{
	sid = str_head(sid, sizeof(s->sid));
	memcpy(s->sid, sid.p, sid.n);
	s->sid_n = (uint8_t)sid.n;
}

void
session_name(struct session *s, const char *prefix, uid_t uid, uint64_t number)
{
	char text[LIMIT_SID + 1];
	struct buf sid = BUF_ON(text);
	facts_put_sid(&sid, prefix, uid, number);
	session_set_sid(s, buf_str(&sid));
}

struct str
session_sid(const struct session *s)
{
	return (struct str){ .p = s->sid, .n = s->sid_n };
}

void
session_reset(struct session *s)
{
	if (s->draft != NULL)
		draft_free(s->draft, spool);
	s->draft = NULL;
}

void
session_relieve(size_t memory)
{
	draft_relieve(spool, memory);
}

void
session_draft_done(struct session *s)
{
	s->in_flight--;
	if (s->kind == SESSION_PICKUP)
		drops_in_flight--;
	if (s->in_flight == 0)
		s->large = false;
}

bool
session_must_wait(const struct session *s)
{
	return s->large || s->in_flight >= IN_FLIGHT;
}

/* The draft that a frame belongs to; begins one.  NULL: no memory at all. */
static struct draft *
draft_of(struct session *s)
{
	if (s->draft == NULL) {
		s->draft = draft_new(s->stream);
		if (s->draft == NULL)
			return NULL;
		s->draft->bounce = s->kind == SESSION_BOUNCE;
		s->draft->of_user = s->of_user || s->kind == SESSION_PICKUP;
	}
	return s->draft;
}

static bool
on_facts(struct session *s, struct str payload)
{
	struct packet p = { .rest = payload };
	struct facts facts;
	if (!facts_take(&p, &facts) || !s->may_tell_facts)
		return false;
	session_set_sid(s, facts.sid);
	s->relay = facts.relay;
	s->may_tell_facts = false;
	return true;
}

/* ---- pickup's frames ---- */

/* The message begun is the drop file `key` of that user. */
static bool
on_drop(struct session *s, struct str payload)
{
	struct packet p = { .rest = payload };
	uint64_t key = packet_get_u64(&p);
	uid_t uid = packet_get_u32(&p);
	if (!packet_end(&p) || !s->may_drop || s->draft != NULL ||
	    draft_of(s) == NULL)
		return false;
	session_name(s, "drop-", uid, key);
	s->relay = !tellers_has(uid);
	draft_drop(s->draft, spool, key);
	return true;
}

/* The file of id is gone.  False: no memory to say so. */
static bool
end_drop(uint64_t key, uint64_t id)
{
	const struct mark m = { .id = id, .idx = 0, .verdict = 'K' };
	if (!change_mark(&m, nobody))
		return false;
	drops_forget(key);
	return true;
}

static bool
on_gone(struct str payload)
{
	struct packet p = { .rest = payload };
	uint64_t key = packet_get_u64(&p);
	uint64_t id;
	if (!packet_end(&p))
		return false;
	/* without memory: asked for by the next list of files */
	if (drops_find(spool, key, &id))
		(void)end_drop(key, id);
	return true;
}

/* False: not all is known yet, or no memory. */
static bool
end_missing_drops(struct str keys)
{
	uint64_t key, id;
	if (drops_in_flight > 0 || found_left(spool))
		return false;
	for (size_t i = 0; drops_next_missing(spool, &i, keys, &key, &id); i--)
		if (!end_drop(key, id))
			return false;
	return true;
}

/* These files pickup has; others that we know are gone. */
static bool
on_have(struct session *s, struct str keys)
{
	if (s->kind != SESSION_PICKUP || keys.n % sizeof(uint64_t) != 0 ||
	    s->draft != NULL)
		return false;
	s->may_drop = end_missing_drops(keys);
	if (s->may_drop)
		stream_answer(s->stream, 'K', STR("2.0.0 Go on"));
	else
		stream_answer(s->stream, 'Z', STR("4.3.2 Ask again"));
	return true;
}

static bool
on_finishes(struct session *s, struct draft *d, struct str payload)
{
	struct packet p = { .rest = payload };
	uint64_t id = packet_get_u64(&p);
	uint32_t count = packet_get_u32(&p);
	if (p.bad || s->kind != SESSION_BOUNCE ||
	    p.rest.n != (size_t)count * sizeof(uint32_t) || count == 0 ||
	    (d->finishes != 0 && d->finishes != id) || id == 0)
		return false;
	draft_finishes(d, spool, id, p.rest);
	return true;
}

static void
on_recipient(const struct session *s, struct draft *d, struct str address)
{
	if (!s->relay && !domains_has(limits.domains, address)) {
		LOG(INFO, "relaying-denied", F_STR("sid", session_sid(s)),
		    F_STR("rcpt", address));
		draft_refuse(d, spool, 'D', no_relaying);
		return;
	}
	draft_recipient(d, spool, address);
}

static void
on_body(const struct session *s, struct draft *d, struct str bytes)
{
	/* what a bounce finishes is told in its record, so it must have one */
	if (s->kind == SESSION_BOUNCE && d->size + bytes.n > LIMIT_SMALL_BODY)
		draft_refuse(d, spool, 'D', too_large);
	bool checked = s->kind == SESSION_SMTP || s->kind == SESSION_BOUNCE;
	if (!checked && (memchr(bytes.p, '\r', bytes.n) != NULL ||
			    memchr(bytes.p, '\0', bytes.n) != NULL))
		draft_refuse(d, spool, 'D', no_text);
	if (limits.databytes != 0 && d->size + bytes.n > limits.databytes)
		draft_refuse(d, spool, 'D', too_large);
	draft_body(d, spool, bytes);
}

static void
on_commit(struct session *s, struct draft *d)
{
	(void)draft_close(
	    d, spool, session_sid(s)); /* refused: answered all the same */
	s->draft = NULL;
	s->in_flight++;
	if (s->kind == SESSION_PICKUP && !drops_reserve(++drops_in_flight))
		draft_refuse(d, spool, 'Z', no_drops);
	s->large = d->fd >= 0;
	commit_draft(d, &s->seen);
}

/* False: this peer does not speak our language. */
static bool
on_frame(struct session *s, char type, struct str payload)
{
	if (type == 'P')
		return on_facts(s, payload);
	s->may_tell_facts = false;
	if (type == 'X' && payload.n == 0) {
		session_reset(s);
		return true;
	}
	if (type == 'H')
		return on_have(s, payload);
	if (type == 'U')
		return on_drop(s, payload);
	if (type == 'G')
		return s->kind == SESSION_PICKUP && on_gone(payload);
	struct draft *d = draft_of(s);
	if (d == NULL || (s->kind == SESSION_PICKUP && !d->dropped))
		return false;
	switch (type) {
	case 'F':
		draft_sender(d, spool, payload);
		return true;
	case 'T':
		on_recipient(s, d, payload);
		return true;
	case 'B':
		on_body(s, d, payload);
		return true;
	case 'O':
		return on_finishes(s, d, payload);
	case 'C':
		on_commit(s, d);
		return payload.n == 0;
	default:
		return false;
	}
}

bool
session_take(struct session *s, struct str *in)
{
	enum frame_status status = FRAME_OK;
	struct str payload;
	char type;

	while (!session_must_wait(s)) {
		status = frame_take(in, LIMIT_FRAME, &type, &payload);
		if (status != FRAME_OK)
			break;
		if (!on_frame(s, type, payload))
			return false;
	}
	return status != FRAME_BAD;
}
