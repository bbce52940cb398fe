/* SPDX-License-Identifier: ISC
 * reports: contract in reports.h.
 */
#include "send/reports.h"

#include <string.h>
#include "common/die.h"
#include "common/packet.h"

enum {
	REPORT_ROOM = 8 + 4 + 1 + 4 + LIMIT_REPORT /* one recipient in an R */
};

void
reports_init(struct reports *r)
{
	r->count = r->start = r->sent = r->end = 0;
	r->free_count = REPORTS_TEXTS;
	for (size_t i = 0; i < REPORTS_TEXTS; i++)
		r->free_slots[i] = (uint8_t)i;
}

size_t
reports_room(const struct reports *r)
{
	return REPORTS_MAX - r->count;
}

/* Closes the gaps that what was taken has left. */
static void
compact(struct reports *r)
{
	size_t to = 0, sent = 0;
	for (size_t i = r->start; i < r->end; i++) {
		if (i == r->sent)
			sent = to;
		if (!r->list[i].taken)
			r->list[to++] = r->list[i];
	}
	r->sent = r->sent == r->end ? to : sent;
	r->start = 0;
	r->end = to;
}

static struct report *
add(struct reports *r, uint64_t id, uint32_t idx, enum verdict verdict)
{
	if (r->count == REPORTS_MAX)
		bug("no room for a report");
	if (r->end == REPORTS_MAX)
		compact(r);
	struct report *report = &r->list[r->end++];
	r->count++;
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

/* qmgr takes them nearly in their order: the oldest first. */
static size_t
find(const struct reports *r, uint64_t id, uint32_t idx)
{
	size_t i = r->start;
	while (i < r->end && (r->list[i].taken || r->list[i].id != id ||
				 r->list[i].idx != idx))
		i++;
	return i;
}

bool
reports_has(const struct reports *r, uint64_t id, uint32_t idx)
{
	return find(r, id, idx) < r->end;
}

int
reports_acknowledge(struct reports *r, uint64_t id, uint32_t idx)
{
	size_t i = find(r, id, idx);
	if (i == r->end)
		return REPORTS_NO_TASK;
	struct report *report = &r->list[i];
	if (report->fixed == NULL)
		r->free_slots[r->free_count++] = (uint8_t)report->slot;
	report->taken = true;
	r->count--;
	while (r->start < r->end && r->list[r->start].taken)
		r->start++;
	if (r->sent < r->start)
		r->sent = r->start;
	return report->task;
}

void
reports_resend(struct reports *r)
{
	r->sent = r->start;
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

/* The first report from `at` on that is still kept; r->end: none. */
static size_t
skip_taken(const struct reports *r, size_t at)
{
	while (at < r->end && r->list[at].taken)
		at++;
	return at;
}

/* The end of what goes into one packet from `first` on, and how many. */
static size_t
run_end(const struct reports *r, size_t first, uint32_t *count)
{
	size_t room = PACKET_MAX - 64, i = first;
	*count = 0;
	for (; i < r->end && room >= REPORT_ROOM; i++) {
		if (r->list[i].taken)
			continue;
		if (r->list[i].task != REPORTS_NO_TASK)
			break;
		room -= REPORT_ROOM - LIMIT_REPORT + text_of(r, &r->list[i]).n;
		(*count)++;
	}
	return i;
}

bool
reports_next(struct reports *r, struct buf *b, const struct report **forward)
{
	uint32_t count;
	*forward = NULL;
	size_t first = skip_taken(r, r->sent);
	if (first == r->end)
		return false;
	if (r->list[first].task != REPORTS_NO_TASK) {
		*forward = &r->list[first];
		return true;
	}
	size_t end = run_end(r, first, &count);
	packet_begin(b, 'R');
	packet_u32(b, count);
	for (size_t i = first; i < end; i = skip_taken(r, i + 1)) {
		packet_u64(b, r->list[i].id);
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
	uint32_t count;
	size_t first = skip_taken(r, r->sent);
	if (first == r->end)
		return;
	r->sent = r->list[first].task != REPORTS_NO_TASK
		      ? first + 1
		      : run_end(r, first, &count);
}
