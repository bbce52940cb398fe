/* SPDX-License-Identifier: ISC
 * trace_set: contract in trace_set.h.  A hash set of short strings.
 */
#include "install/trace_set.h"

#include <stdlib.h>
#include <string.h>

enum { ID_MAX = 31, FIRST = 1024, ADDRESS_MAX = 1100 };

struct id {
	unsigned char kind; /* 0: empty; else 1 + its kind */
	unsigned char n;
	char text[ID_MAX - 1];
};

static struct id *ids;
static size_t mask, count;
static char address_space[ADDRESS_MAX];
static struct str address; /* in lower case */

static size_t
hash_of(enum trace_kind kind, struct str s)
{
	uint64_t h = 0xcbf29ce484222325u + (uint64_t)kind; /* FNV-1a */

	for (size_t i = 0; i < s.n; i++)
		h = (h ^ (unsigned char)s.p[i]) * 0x100000001b3u;
	return (size_t)(h ^ h >> 29);
}

/* Where it is, or would be. */
static struct id *
place_of(enum trace_kind kind, struct str s)
{
	size_t at = hash_of(kind, s) & mask;

	while (ids[at].kind != 0 &&
	       (ids[at].kind != 1 + (unsigned)kind || ids[at].n != s.n ||
		   memcmp(ids[at].text, s.p, s.n) != 0))
		at = (at + 1) & mask;
	return &ids[at];
}

static bool
grow(void)
{
	struct id *old = ids;
	size_t n = old == NULL ? 0 : mask + 1;
	size_t cap = n == 0 ? FIRST : n * 2;

	ids = calloc(cap, sizeof(*ids));
	if (ids == NULL) {
		ids = old;
		return false;
	}
	mask = cap - 1;
	for (size_t i = 0; i < n; i++) {
		struct str s = { .p = old[i].text, .n = old[i].n };
		if (old[i].kind != 0)
			*place_of((enum trace_kind)(old[i].kind - 1), s) =
			    old[i];
	}
	free(old);
	return true;
}

bool
trace_set_add(enum trace_kind kind, struct str id)
{
	if (id.n == 0 || id.n >= ID_MAX - 1)
		return true; /* not one of ours */
	if ((ids == NULL || count * 2 > mask) && !grow())
		return false;
	struct id *p = place_of(kind, id);
	if (p->kind != 0)
		return true;
	p->kind = (unsigned char)(1 + kind);
	p->n = (unsigned char)id.n;
	memcpy(p->text, id.p, id.n);
	count++;
	return true;
}

bool
trace_set_has(enum trace_kind kind, struct str id)
{
	return count > 0 && id.n > 0 && id.n < ID_MAX - 1 &&
	       place_of(kind, id)->kind != 0;
}

size_t
trace_set_count(void)
{
	return count;
}

void
trace_set_address(struct str s)
{
	struct buf b = BUF_ON(address_space);

	buf_put_lower(&b, s);
	address = buf_str(&b);
}

static bool
ends_here(char c)
{
	return c == ' ' || c == '"' || c == '>' || c == '<' || c == '=' ||
	       c == ',' || c == ':';
}

/* Does the address stand in the line, as a whole? */
static bool
has_address(struct str line)
{
	char first = address.n > 0 ? address.p[0] : '\0';

	for (size_t at = 1; address.n > 0 && at + address.n <= line.n; at++) {
		const char *p = line.p + at;
		if (byte_lower(*p) != first || !ends_here(p[-1]) ||
		    (at + address.n < line.n && !ends_here(p[address.n])))
			continue;
		if (str_ieq((struct str){ .p = p, .n = address.n }, address))
			return true;
	}
	return false;
}

bool
trace_set_learn(struct str line)
{
	struct str qid = logline_find(line, STR("qid="));
	struct str sid = logline_find(line, STR("sid="));
	bool known = trace_set_has(TRACE_QID, qid);

	if (!known && has_address(line)) {
		/* a session that was refused has no message */
		if (!trace_set_add(TRACE_QID, qid) ||
		    (qid.n == 0 && !trace_set_add(TRACE_SID, sid)))
			return false;
		known = qid.n > 0;
	}
	struct str bounce =
	    qid.n == 0 ? STR("") : logline_find(line, STR("bounce="));
	if (known && !trace_set_add(TRACE_SID, sid))
		return false;
	if (known && bounce.n > 0)
		return trace_set_add(TRACE_QID, bounce);
	if (bounce.n > 0 && trace_set_has(TRACE_QID, bounce))
		return trace_set_add(TRACE_QID, qid);
	return true;
}

bool
trace_set_wants(struct str line)
{
	struct str qid = logline_find(line, STR("qid="));

	if (qid.n > 0)
		return trace_set_has(TRACE_QID, qid);
	return trace_set_has(TRACE_SID, logline_find(line, STR("sid=")));
}
