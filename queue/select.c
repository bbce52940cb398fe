/* SPDX-License-Identifier: ISC
 * select: contract in select.h.  Pure.
 */
#include "queue/select.h"

#include "common/address.h"

static char
lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : c;
}

bool
select_glob(struct str pattern, struct str text)
{
	size_t p = 0, t = 0;
	size_t star = SIZE_MAX; /* the last * seen, */
	size_t taken = 0;	/* and where what it stands for ends */
	while (t < text.n) {
		char c = p < pattern.n ? pattern.p[p] : '\0';
		if (p < pattern.n && c == '*') {
			star = p++;
			taken = t;
		} else if (p < pattern.n &&
			   (c == '?' || lower(c) == lower(text.p[t]))) {
			p++;
			t++;
		} else if (star != SIZE_MAX) {
			p = star + 1;
			t = ++taken;
		} else {
			return false;
		}
	}
	while (p < pattern.n && pattern.p[p] == '*')
		p++;
	return p == pattern.n;
}

static bool
has_wildcard(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] == '*' || s.p[i] == '?')
			return true;
	return false;
}

static bool
starts_here(struct str needle, struct str text, size_t at)
{
	for (size_t i = 0; i < needle.n; i++)
		if (lower(needle.p[i]) != lower(text.p[at + i]))
			return false;
	return true;
}

static bool
contains(struct str needle, struct str text)
{
	for (size_t at = 0; at + needle.n <= text.n; at++)
		if (starts_here(needle, text, at))
			return true;
	return false;
}

static bool
any_or_glob(struct str pattern, struct str text)
{
	return pattern.n == 0 || select_glob(pattern, text);
}

void
selection_get(struct packet *p, struct selection *s)
{
	s->id = packet_get_u64(p);
	s->born_from = packet_get_u64(p);
	s->born_until = packet_get_u64(p);
	s->size_from = packet_get_u64(p);
	s->size_until = packet_get_u64(p);
	s->sender = packet_get_str(p, SELECT_PATTERN);
	s->rcpt = packet_get_str(p, SELECT_PATTERN);
	s->domain = packet_get_str(p, SELECT_PATTERN);
	s->reason = packet_get_str(p, SELECT_PATTERN);
	s->states = packet_get_str(p, SELECT_STATES);
}

void
selection_put(struct buf *b, const struct selection *s)
{
	packet_u64(b, s->id);
	packet_u64(b, s->born_from);
	packet_u64(b, s->born_until);
	packet_u64(b, s->size_from);
	packet_u64(b, s->size_until);
	packet_str(b, s->sender);
	packet_str(b, s->rcpt);
	packet_str(b, s->domain);
	packet_str(b, s->reason);
	packet_str(b, s->states);
	b->full = b->full || s->sender.n > SELECT_PATTERN ||
		  s->rcpt.n > SELECT_PATTERN || s->domain.n > SELECT_PATTERN ||
		  s->reason.n > SELECT_PATTERN || s->states.n > SELECT_STATES;
}

bool
selection_message(const struct selection *s, const struct selected_message *m)
{
	if ((s->id != 0 && s->id != m->id) || m->birth < s->born_from ||
	    (s->born_until != 0 && m->birth > s->born_until) ||
	    m->size < s->size_from ||
	    (s->size_until != 0 && m->size > s->size_until))
		return false;
	if (str_eq(s->sender, STR("<>")))
		return m->sender.n == 0;
	return any_or_glob(s->sender, m->sender);
}

static bool
has_state(struct str states, char state)
{
	for (size_t i = 0; i < states.n; i++)
		if (states.p[i] == state)
			return true;
	return states.n == 0;
}

bool
selection_rcpt(const struct selection *s, char state, struct str address,
    struct str reason)
{
	if (!has_state(s->states, state) || !any_or_glob(s->rcpt, address))
		return false;
	if (s->domain.n > 0 &&
	    !select_glob(s->domain, address_split(address).domain))
		return false;
	if (s->reason.n == 0)
		return true;
	return has_wildcard(s->reason) ? select_glob(s->reason, reason)
				       : contains(s->reason, reason);
}
