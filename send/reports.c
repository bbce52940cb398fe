/* SPDX-License-Identifier: ISC
 * reports: contract in reports.h.
 */
#include "send/reports.h"

#include <string.h>
#include "common/die.h"
#include "common/packet.h"

enum {
	REPORT_ROOM = 4 + 1 + 4 + LIMIT_REPORT, /* one recipient in an R */
};

void
reports_init(struct reports *r)
{
	r->count = 0;
	r->free_count = REPORTS_TEXTS;
	for (size_t i = 0; i < REPORTS_TEXTS; i++)
		r->free_slots[i] = (uint8_t)i;
}

size_t
reports_room(const struct reports *r)
{
	return REPORTS_MAX - r->count;
}

static struct report *
add(struct reports *r, uint64_t id, uint32_t idx, enum verdict verdict)
{
	if (r->count == REPORTS_MAX)
		bug("no room for a report");
	struct report *report = &r->list[r->count++];
	*report = (struct report){ .id = id,
		.idx = idx,
		.verdict = verdict,
		.task = REPORTS_NO_TASK };
	return report;
}

void
reports_add(struct reports *r, uint64_t id, uint32_t idx, enum verdict verdict,
    const char *fixed)
{
	add(r, id, idx, verdict)->fixed = fixed;
}

void
reports_add_text(struct reports *r, uint64_t id, uint32_t idx,
    enum verdict verdict, struct str text)
{
	struct report *report = add(r, id, idx, verdict);
	if (r->free_count == 0) {
		report->fixed =
		    verdict == VERDICT_OK ? "2.0.0 delivered"
		    : verdict == VERDICT_DEFER
			? "4.3.0 delivery is deferred (its text is lost)"
			: "5.3.0 delivery has failed (its text is lost)";
		return;
	}
	text = str_head(text, LIMIT_REPORT);
	report->slot = r->free_slots[--r->free_count];
	memcpy(r->texts[report->slot], text.p, text.n);
	r->lengths[report->slot] = (uint16_t)text.n;
}

void
reports_add_forward(struct reports *r, uint64_t id, uint32_t idx, int task)
{
	struct report *report = add(r, id, idx, VERDICT_OK);
	report->task = task;
	report->fixed = "";
}

static struct report *
find(struct reports *r, uint64_t id, uint32_t idx)
{
	for (size_t i = 0; i < r->count; i++)
		if (r->list[i].id == id && r->list[i].idx == idx)
			return &r->list[i];
	return NULL;
}

bool
reports_has(const struct reports *r, uint64_t id, uint32_t idx)
{
	for (size_t i = 0; i < r->count; i++)
		if (r->list[i].id == id && r->list[i].idx == idx)
			return true;
	return false;
}

int
reports_acknowledge(struct reports *r, uint64_t id, uint32_t idx)
{
	struct report *report = find(r, id, idx);
	if (report == NULL)
		return REPORTS_NO_TASK;
	int task = report->task;
	if (report->fixed == NULL)
		r->free_slots[r->free_count++] = (uint8_t)report->slot;
	*report = r->list[--r->count];
	return task;
}

void
reports_resend(struct reports *r)
{
	for (size_t i = 0; i < r->count; i++)
		r->list[i].sent = false;
}

/* ---- packets ---- */

static struct str
text_of(const struct reports *r, const struct report *report)
{
	if (report->fixed != NULL)
		return str_of(report->fixed);
	return (struct str){ .p = r->texts[report->slot],
		.n = r->lengths[report->slot] };
}

static bool
belongs(const struct report *report, uint64_t id)
{
	return !report->sent && report->id == id &&
	       report->task == REPORTS_NO_TASK;
}

/* The unsent reports of one message, as many as fit in one packet and stand in
 * one run of the list. */
static size_t
run_length(const struct reports *r, size_t first)
{
	size_t n = first, room = PACKET_MAX - 64;
	while (n < r->count && belongs(&r->list[n], r->list[first].id) &&
	       room >= REPORT_ROOM) {
		room -= REPORT_ROOM;
		n++;
	}
	return n - first;
}

static bool
first_unsent(const struct reports *r, size_t *first)
{
	for (*first = 0; *first < r->count; (*first)++)
		if (!r->list[*first].sent)
			return true;
	return false;
}

bool
reports_next(struct reports *r, struct buf *b, const struct report **forward)
{
	size_t first;
	*forward = NULL;
	if (!first_unsent(r, &first))
		return false;
	if (r->list[first].task != REPORTS_NO_TASK) {
		*forward = &r->list[first];
		return true;
	}
	size_t n = run_length(r, first);
	packet_begin(b, 'R');
	packet_u64(b, r->list[first].id);
	packet_u32(b, (uint32_t)n);
	for (size_t i = first; i < first + n; i++) {
		packet_u32(b, r->list[i].idx);
		packet_u8(b, (uint8_t)r->list[i].verdict);
		packet_str(b, text_of(r, &r->list[i]));
	}
	if (b->full)
		bug("a report does not fit");
	return true;
}

void
reports_sent(struct reports *r)
{
	size_t first;
	if (!first_unsent(r, &first))
		return;
	size_t n =
	    r->list[first].task != REPORTS_NO_TASK ? 1 : run_length(r, first);
	for (size_t i = first; i < first + n; i++)
		r->list[i].sent = true;
}
