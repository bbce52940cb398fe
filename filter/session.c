/* SPDX-License-Identifier: ISC
 * session: contract in session.h.
 */
#include "filter/session.h"

#include <string.h>
#include "common/frame.h"
#include "common/log.h"

static const char no_relaying[] = "5.7.1 Relaying denied";

static const struct domains *domains;

void
session_set_domains(const struct domains *d)
{
	domains = d;
}

void
session_set_facts(struct session *s, const struct facts *f)
{
	struct str sid = str_head(f->sid, sizeof(s->sid));
	struct str peer = str_head(f->peer_ip, sizeof(s->peer));

	if (sid.n > 0)
		memcpy(s->sid, sid.p, sid.n);
	s->sid_n = (uint8_t)sid.n;
	if (peer.n > 0) /* who connects here has none */
		memcpy(s->peer, peer.p, peer.n);
	s->peer_n = (uint8_t)peer.n;
	s->relay = f->relay;
}

struct facts
session_facts(const struct session *s)
{
	return (struct facts){ .sid = { .p = s->sid, .n = s->sid_n },
		.peer_ip = { .p = s->peer, .n = s->peer_n },
		.relay = s->relay };
}

void
session_reset(struct session *s)
{
	message_free(s->message);
	s->message = NULL;
	s->committed = false;
}

static bool
on_facts(struct session *s, struct str payload)
{
	struct packet p = { .rest = payload };
	struct facts facts;

	if (!facts_take(&p, &facts) || !s->may_tell_facts)
		return false;
	session_set_facts(s, &facts);
	s->may_tell_facts = false;
	return true;
}

static void
on_recipient(const struct session *s, struct str address)
{
	if (!s->relay && !domains_has(domains, address)) {
		LOG(INFO, "relaying-denied", F_STR("sid", session_facts(s).sid),
		    F_STR("rcpt", address));
		message_refuse(s->message, 'D', no_relaying);
		return;
	}
	message_recipient(s->message, address);
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
	if (s->message == NULL)
		s->message = message_new();
	if (s->message == NULL)
		return false;
	switch (type) {
	case 'F':
		message_sender(s->message, payload);
		return true;
	case 'T':
		on_recipient(s, payload);
		return true;
	case 'B':
		message_body(s->message, payload);
		return true;
	case 'C':
		s->committed = true;
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

	while (!s->committed) {
		status = frame_take(in, LIMIT_FRAME, &type, &payload);
		if (status != FRAME_OK)
			break;
		if (!on_frame(s, type, payload))
			return false;
	}
	return status != FRAME_BAD;
}
