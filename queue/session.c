/* SPDX-License-Identifier: ISC
 * session: contract in session.h.
 */
#include "queue/session.h"

#include <string.h>
#include "common/facts.h"
#include "common/frame.h"
#include "common/log.h"
#include "queue/commit.h"

enum { IN_FLIGHT = 8 /* messages of one session without an answer */ };

static const char too_large[] = "5.3.4 Message too big";
static const char no_relaying[] = "5.7.1 Relaying denied";

static struct spool *spool;
static struct session_limits limits;

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
		if (s->draft != NULL)
			s->draft->bounce = s->kind == SESSION_BOUNCE;
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
	struct draft *d = draft_of(s);
	if (d == NULL)
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
	while (!session_must_wait(s)) {
		char type;
		struct str payload;
		size_t used;
		switch (frame_next(*in, LIMIT_FRAME, &type, &payload, &used)) {
		case FRAME_OK:
			*in = str_skip(*in, used);
			if (!on_frame(s, type, payload))
				return false;
			break;
		case FRAME_MORE:
			return true;
		case FRAME_BAD:
			return false;
		}
	}
	return true;
}
