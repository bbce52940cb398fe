/* SPDX-License-Identifier: ISC
 * data: contract in data.h.  Pure.
 */
#include <endian.h>
#include <string.h>
#include "smtpd/data.h"

void
data_begin(struct data *d, uint64_t max)
{
	*d = (struct data){ .place = PLACE_START, .max = max };
}

static void
set_problem(struct data *d, enum data_problem problem)
{
	bool grave = problem == DATA_BARE || problem == DATA_NUL;
	bool has_grave = d->problem == DATA_BARE || d->problem == DATA_NUL;

	if (d->problem == DATA_GOOD || (grave && !has_grave))
		d->problem = problem;
}

static void
count_size(struct data *d, size_t n)
{
	d->size += n;
	if (d->max > 0 && d->size > d->max)
		set_problem(d, DATA_TOO_LARGE);
}

/* Bytes up to the next CR; how many were taken, 0 when there is no room. */
static size_t
take_text(struct data *d, struct str in, struct buf *out)
{
	struct str run = str_head(in, str_find(in, '\r'));
	size_t lf = str_find(run, '\n');
	size_t nul = str_find(str_head(run, lf), '\0');

	if (nul < lf)
		set_problem(d, DATA_NUL);
	else if (lf < run.n)
		set_problem(d, DATA_BARE);
	if (d->problem == DATA_GOOD) {
		run = str_head(run, buf_room(out));
		count_size(d, run.n);
		hops_feed(&d->hops, run);
		if (d->hops.count > LIMIT_RECEIVED)
			set_problem(d, DATA_LOOP);
		buf_put(out, run);
	}
	return run.n;
}

/* The LF behind a CR; false when there is no room. */
static bool
take_line_end(struct data *d, struct buf *out)
{
	if (d->problem == DATA_GOOD) {
		if (buf_room(out) == 0)
			return false;
		buf_putc(out, '\n');
		count_size(d, 2);
		hops_feed(&d->hops, STR("\n"));
	}
	d->place = PLACE_START;
	return true;
}

typedef unsigned char block __attribute__((vector_size(16)));

/* Where the first byte up to CR may stand in it; 16: in none. */
static size_t
find_low(block x)
{
	block low = (block)(x <= '\r');
	uint64_t half[2];

	memcpy(half, &low, sizeof(half));
	if (half[0] != 0)
		return (size_t)__builtin_ctzll(le64toh(half[0])) / 8;
	if (half[1] != 0)
		return 8 + (size_t)__builtin_ctzll(le64toh(half[1])) / 8;
	return sizeof(x);
}

static bool
ends_text(char c)
{
	return c == '\r' || c == '\n' || c == '\0';
}

/* Copies up to the first CR, LF or NUL; how many bytes. */
static size_t
copy_text(char *to, struct str from)
{
	size_t i = 0;

	while (i + sizeof(block) <= from.n) {
		block x;

		memcpy(&x, from.p + i, sizeof(x));
		memcpy(to + i, &x, sizeof(x));
		size_t n = find_low(x);
		i += n;
		if (n == sizeof(x))
			continue;
		if (ends_text(from.p[i]))
			return i;
		i++; /* a tab, say: copied */
	}
	for (; i < from.n && !ends_text(from.p[i]); i++)
		to[i] = from.p[i];
	return i;
}

/* Whole lines of a body, as nearly all are: bytes taken, 0 when what comes is
 * not one, or none that fits. */
static size_t
take_lines(struct data *d, struct str in, struct buf *out)
{
	char *to = buf_tail(out);
	size_t room = buf_room(out), put = 0, used = 0;

	while (used < in.n && in.p[used] != '.') {
		struct str rest = { .p = in.p + used, .n = in.n - used };
		size_t fits = room - put < rest.n ? room - put : rest.n;
		size_t n =
		    copy_text(to + put, (struct str){ .p = rest.p, .n = fits });

		if (n == room - put || n + 2 > rest.n || rest.p[n] != '\r' ||
		    rest.p[n + 1] != '\n' ||
		    (d->max > 0 && d->size + used + n + 2 > d->max))
			break;
		to[put + n] = '\n';
		put += n + 1;
		used += n + 2;
	}
	buf_grew(out, put);
	d->size += used;
	return used;
}

/* One step; *n is how many bytes it took.  MORE: go on. */
static enum data_status
step(struct data *d, struct str in, struct buf *out, size_t *n)
{
	char c = in.p[0];

	*n = 1;
	switch (d->place) {
	case PLACE_START:
		if (d->hops.in_body && d->problem == DATA_GOOD) {
			*n = take_lines(d, in, out);
			if (*n > 0)
				break;
		}
		d->place = c == '.' ? PLACE_DOT : PLACE_TEXT;
		*n = c == '.';
		break;
	case PLACE_DOT:
		d->place = c == '\r' ? PLACE_DOT_CR : PLACE_TEXT;
		*n = c == '\r';
		break;
	case PLACE_DOT_CR:
		if (c == '\n')
			return DATA_END;
		set_problem(d, DATA_BARE);
		d->place = c == '\r' ? PLACE_CR : PLACE_TEXT;
		*n = c == '\r';
		break;
	case PLACE_TEXT:
		if (c == '\r') {
			d->place = PLACE_CR;
			break;
		}
		*n = take_text(d, in, out);
		return *n == 0 ? DATA_FULL : DATA_MORE;
	case PLACE_CR:
		if (c == '\n') {
			*n = take_line_end(d, out);
			return *n == 0 ? DATA_FULL : DATA_MORE;
		}
		set_problem(d, DATA_BARE);
		if (c != '\r')
			d->place = PLACE_TEXT;
		*n = c == '\r';
		break;
	}
	return DATA_MORE;
}

enum data_status
data_feed(struct data *d, struct str in, struct buf *out, size_t *used)
{
	size_t total = in.n;
	enum data_status status = DATA_MORE;

	while (in.n > 0 && status == DATA_MORE) {
		size_t n;

		status = step(d, in, out, &n);
		in = str_skip(in, n);
	}
	*used = total - in.n;
	return status;
}
