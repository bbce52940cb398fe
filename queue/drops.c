/* SPDX-License-Identifier: ISC
 * drops: contract in drops.h.  A list: pickup has few files at a time.
 */
#include "queue/drops.h"

#include <errno.h>
#include <stdlib.h>
#include "common/die.h"
#include "queue/found.h"

struct drop {
	uint64_t key, id;
};

static struct drop *drops;
static size_t drop_count, drop_room;

static bool
make_room(size_t n)
{
	if (n <= drop_room)
		return true;
	n += DROPS_MAX;
	struct drop *more = reallocarray(drops, n, sizeof(*drops));
	if (more == NULL)
		return false;
	drops = more;
	drop_room = n;
	return true;
}

void
drops_found(const struct envelope *e, uint64_t id)
{
	uint64_t key;
	if (!envelope_drop(e, &key))
		return;
	if (!make_room(drop_count + 1))
		die(EXITCODE_TEMPORARY, "recovery", ENOMEM);
	drops_add(key, id);
}

bool
drops_reserve(size_t n)
{
	return drop_count + n <= DROPS_MAX && make_room(drop_count + n);
}

void
drops_add(uint64_t key, uint64_t id)
{
	drops[drop_count++] = (struct drop){ .key = key, .id = id };
}

/* Its file is gone, and the mark of that durable. */
static bool
is_over(struct spool *s, const struct drop *d)
{
	uint32_t slot = found_slot(s, d->id);
	return slot == LEDGER_NONE ||
	       ledger_is_done(ledger_at(&s->ledger, slot), 0);
}

bool
drops_find(struct spool *s, uint64_t key, uint64_t *id)
{
	for (size_t i = 0; i < drop_count; i++)
		if (drops[i].key == key && !is_over(s, &drops[i])) {
			*id = drops[i].id;
			return true;
		}
	return false;
}

void
drops_forget(uint64_t key)
{
	for (size_t i = 0; i < drop_count; i++)
		if (drops[i].key == key)
			drops[i--] = drops[--drop_count];
}

static bool
is_among(uint64_t key, struct str keys)
{
	struct packet p = { .rest = keys };
	while (p.rest.n > 0)
		if (packet_get_u64(&p) == key)
			return true;
	return false;
}

bool
drops_next_missing(
    struct spool *s, size_t *i, struct str keys, uint64_t *key, uint64_t *id)
{
	while (*i < drop_count) {
		if (is_over(s, &drops[*i])) {
			drops[*i] = drops[--drop_count];
			continue;
		}
		*key = drops[*i].key;
		*id = drops[*i].id;
		(*i)++;
		if (!is_among(*key, keys))
			return true;
	}
	return false;
}
