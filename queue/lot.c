/* SPDX-License-Identifier: ISC
 * lot: contract in lot.h.
 */
#include "queue/lot.h"

#include <stdlib.h>
#include "queue/index.h"
#include "queue/names.h"

/* More than so many recipients of a message, or messages of a sender, in the
 * queue: bulk. */
enum { BULK_RECIPIENTS = 100, BULK_MESSAGES = 100 };

enum rank
rank_of(uint32_t message)
{
	const struct message *m = message_at(message);
	if (m->sender == 0 || str_eq(names_str(m->sender), STR("#@[]")))
		return RANK_BOUNCE;
	if (m->live > BULK_RECIPIENTS || names_uses(m->sender) > BULK_MESSAGES)
		return RANK_BULK;
	return RANK_NORMAL;
}

struct lot *
lot_new(uint32_t message)
{
	struct lot *lot = must_alloc(sizeof(*lot));
	lot->message = message;
	lot->room = 1;
	lot->rank = rank_of(message);
	return lot;
}

struct entry *
lot_entry(struct lot *lot, uint32_t i)
{
	return lot->more == NULL ? &lot->one : &lot->more[i];
}

void
lot_add(struct lot *lot, uint32_t rcpt, uint32_t target)
{
	if (lot->n == lot->room) {
		struct entry *old = lot->more;
		lot->room *= 4;
		lot->more = must_grow(old, lot->room, sizeof(*lot->more));
		if (old == NULL)
			lot->more[0] = lot->one;
	}
	*lot_entry(lot, lot->n) =
	    (struct entry){ .rcpt = rcpt, .target = target };
	lot->n++;
	lot->left++;
}

void
lot_trim(struct lot *lot, bool (*wanted)(uint32_t rcpt))
{
	uint32_t kept = 0;
	for (uint32_t i = 0; i < lot->n; i++) {
		struct entry e = *lot_entry(lot, i);
		if (wanted(e.rcpt))
			*lot_entry(lot, kept++) = e;
		else
			names_drop(e.target);
	}
	lot->n = lot->left = kept;
}

void
lot_free(struct lot *lot)
{
	for (uint32_t i = 0; i < lot->n; i++)
		names_drop(lot_entry(lot, i)->target);
	free(lot->more);
	free(lot);
}
