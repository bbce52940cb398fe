/* SPDX-License-Identifier: ISC
 * places: contract in places.h.
 */
#include "queue/places.h"

#include "queue/index.h"
#include "queue/names.h"

struct place {
	bool taken, suspect, brief;
	uint8_t kind, rank;
	uint32_t sender; /* a name, used */
};

struct list {
	struct destination *first, *last;
	unsigned count, fresh; /* fresh: that may have a brief place */
};

enum { LOOK_AT = 8 }; /* of those who starve, at a time */

static struct place *places;
static uint32_t place_end, place_room;
static unsigned taken[2], limits[2];
static unsigned brief; /* of the remote ones taken */
static struct list starving[2][RANKS];

void
places_limit(enum schedule_channel kind, unsigned limit)
{
	limits[kind] = limit;
}

bool
places_stopped(enum schedule_channel kind)
{
	return limits[kind] == 0;
}

unsigned
places_taken(enum schedule_channel kind)
{
	return taken[kind];
}

/* ---- who waits for one ---- */

bool
places_starving(enum schedule_channel kind, enum rank rank)
{
	for (enum rank r = RANK_NORMAL; r <= rank; r++)
		if (starving[kind][r].count > 0)
			return true;
	return false;
}

unsigned
places_starving_fresh(enum schedule_channel kind)
{
	unsigned count = 0;
	for (enum rank r = RANK_NORMAL; r < RANKS; r++)
		count += starving[kind][r].fresh;
	return count;
}

unsigned
places_starving_count(enum schedule_channel kind)
{
	unsigned count = 0;
	for (enum rank r = RANK_NORMAL; r < RANKS; r++)
		count += starving[kind][r].count;
	return count;
}

static void
sate(struct destination *d)
{
	struct list *l = &starving[d->kind][d->starving_rank];
	if (d->starving_before != NULL)
		d->starving_before->starving_after = d->starving_after;
	else
		l->first = d->starving_after;
	if (d->starving_after != NULL)
		d->starving_after->starving_before = d->starving_before;
	else
		l->last = d->starving_before;
	d->starving_before = d->starving_after = NULL;
	d->starving = false;
	l->count--;
	l->fresh -= d->starving_fresh;
}

/* Puts d behind that one; NULL: first. */
static void
link_in(struct list *l, struct destination *d, struct destination *before)
{
	struct destination *after =
	    before == NULL ? l->first : before->starving_after;
	d->starving_before = before;
	d->starving_after = after;
	if (before == NULL)
		l->first = d;
	else
		before->starving_after = d;
	if (after == NULL)
		l->last = d;
	else
		after->starving_before = d;
}

static void
starve(struct destination *d, enum rank rank)
{
	if (d->starving && d->starving_rank <= rank)
		return;
	if (d->starving)
		sate(d); /* better mail has come */
	struct list *l = &starving[d->kind][rank];
	d->starving = true;
	d->starving_rank = rank;
	d->starving_fresh = !d->glimpsed;
	/* one that had a brief place was in line before those who had none */
	link_in(l, d, d->glimpsed ? NULL : l->last);
	l->count++;
	l->fresh += d->starving_fresh;
}

/* ---- who may have one ---- */

static bool
is_suspect(const struct destination *d)
{
	return d->kind == SCHEDULE_LOCAL ? d->slow : d->failures > 0;
}

static uint32_t
sender_of(struct destination *d)
{
	const struct lot *lot = destination_peek(d);
	return lot == NULL ? 0 : message_at(lot->message)->sender;
}

struct shares {
	unsigned lower, bounces, suspects, sender;
};

static struct shares
count_shares(enum schedule_channel kind, uint32_t sender)
{
	struct shares n = { 0 };
	for (uint32_t i = 0; i < place_end; i++) {
		const struct place *p = &places[i];
		if (!p->taken || p->kind != kind)
			continue;
		n.lower += p->rank != RANK_NORMAL;
		n.bounces += p->rank == RANK_BOUNCE;
		n.suspects += p->suspect;
		n.sender += p->sender == sender;
	}
	return n;
}

static unsigned
quarter(unsigned n)
{
	return n / 4;
}

static unsigned
suspects_max(enum schedule_channel kind)
{
	unsigned n = limits[kind];
	if (kind == SCHEDULE_LOCAL)
		return n - quarter(n);
	return quarter(n) > 0 ? quarter(n) : 1;
}

static bool
share_free(struct destination *d, enum rank rank)
{
	unsigned n = limits[d->kind];
	uint32_t sender = sender_of(d);
	struct shares have = count_shares(d->kind, sender);
	unsigned most = n - quarter(n);
	if (rank != RANK_NORMAL && have.lower >= most)
		return false;
	if (rank == RANK_BOUNCE && have.bounces >= n - n / 2)
		return false;
	if (is_suspect(d) && have.suspects >= suspects_max(d->kind))
		return false;
	return sender == 0 || have.sender < most;
}

/* The last quarter of the remote places is only for a brief look. */
static bool
brief_only(enum schedule_channel kind)
{
	unsigned n = limits[kind];
	return kind == SCHEDULE_REMOTE && taken[kind] - brief >= n - quarter(n);
}

static bool
may_have(struct destination *d, enum rank rank)
{
	unsigned n = limits[d->kind];
	if (taken[d->kind] >= n ||
	    (brief_only(d->kind) && (d->glimpsed || is_suspect(d))))
		return false;
	if (d->open > 0 && (n - taken[d->kind] <= quarter(n) ||
			       places_starving(d->kind, rank)))
		return false; /* one more for d comes last */
	return share_free(d, rank);
}

bool
places_free(struct destination *d)
{
	enum rank rank = destination_rank(d);
	if (d->kind == SCHEDULE_LOCAL && d->name == 0)
		return limits[d->kind] > 0;
	if (may_have(d, rank)) {
		if (d->starving)
			sate(d);
		return true;
	}
	if (d->open == 0)
		starve(d, rank);
	return false;
}

struct destination *
places_next(enum schedule_channel kind)
{
	/* a brief place is for who came last: it goes from hand to hand */
	bool newest = brief_only(kind);
	for (enum rank r = RANK_NORMAL; r < RANKS; r++) {
		/* its first may be one that failed lately or the sender of all
		 * the others: some behind it may have what it may not */
		const struct list *l = &starving[kind][r];
		struct destination *d = newest ? l->last : l->first;
		for (int i = 0; d != NULL && i < LOOK_AT; i++) {
			if (d->waiting == 0 || may_have(d, r)) {
				sate(d);
				return d;
			}
			d = newest ? d->starving_before : d->starving_after;
		}
	}
	return NULL;
}

unsigned
places_patience(enum schedule_channel kind)
{
	unsigned n = limits[kind];
	unsigned waiting = places_starving_count(kind);
	unsigned most = n - quarter(n);
	most = most > waiting ? most - waiting : 0;
	return most > quarter(n) ? most : quarter(n);
}

/* ---- taking and giving ---- */

static uint32_t
new_place(void)
{
	uint32_t i = 0;
	while (i < place_end && places[i].taken)
		i++;
	if (i == place_room) {
		place_room = place_room == 0 ? 128 : place_room * 2;
		places = must_grow(places, place_room, sizeof(places[0]));
	}
	if (i == place_end)
		place_end++;
	return i;
}

uint32_t
places_take(struct destination *d)
{
	uint32_t i = new_place();
	bool is_brief = brief_only(d->kind);
	places[i] = (struct place){ .taken = true,
		.suspect = is_suspect(d),
		.brief = is_brief,
		.kind = (uint8_t)d->kind,
		.rank = (uint8_t)(d->waiting > 0 ? destination_rank(d)
						 : RANK_NORMAL),
		.sender = names_again(sender_of(d)) };
	taken[d->kind]++;
	brief += is_brief;
	d->open++;
	d->glimpsed = d->glimpsed && is_brief;
	return i;
}

bool
places_brief(uint32_t place)
{
	return places[place].brief;
}

void
places_keep(uint32_t place)
{
	brief -= places[place].brief;
	places[place].brief = false;
}

void
places_give(struct destination *d, uint32_t place)
{
	struct place *p = &places[place];
	names_drop(p->sender);
	brief -= p->brief;
	*p = (struct place){ .taken = false };
	while (place_end > 0 && !places[place_end - 1].taken)
		place_end--;
	taken[d->kind]--;
	d->open--;
}
