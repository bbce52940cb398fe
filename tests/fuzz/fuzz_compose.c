/* SPDX-License-Identifier: ISC
 * Fuzz harness of inject/field and compose: a header comes out as fields with
 * From, Date and Message-ID, once each if they were missing, and ends with the
 * only empty line; it stays as it is when it is composed again.
 */
#include <string.h>
#include "inject/compose.h"
#include "tests/fuzz/within.h"

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

enum { BYTES = 16 * 1024, OUT = 256 * 1024 };

static const struct compose_request request = {
	.defaults = { .host = { .p = "host.example", .n = 12 } },
	.id_host = { .p = "id.example", .n = 10 },
	.from = { .p = "alice@host.example", .n = 18 },
	.from_name = { .p = "Alice", .n = 5 },
	.recipients = true,
};

static void
count(void *arg, struct str s)
{
	(void)s;
	++*(unsigned *)arg;
}

static bool
run(struct str in, struct buf *out)
{
	static struct compose c;
	struct compose_survey survey;
	struct str header;
	size_t body_at;
	unsigned recipients = 0;

	if (header_find(in, true, &header, &body_at) != HEADER_FOUND ||
	    body_at > in.n)
		abort();
	check_within(in, header);
	compose_survey(header, &survey);
	c = (struct compose){ .request = &request,
		.survey = &survey,
		.out = out,
		.each = count,
		.return_path = count,
		.arg = &recipients };
	if (compose_run(&c, header))
		return !out->full;
	if (c.problem == NULL)
		abort();
	check_within(in, c.at);
	return false;
}

/* One field at a time, and at the end the empty line. */
static void
check_fields(struct str header)
{
	bool from = false, date = false, id = false;
	struct field f;

	if (!str_ends(header, STR("\n\n")))
		abort();
	header.n--;
	while (field_next(&header, &f)) {
		if (f.name.n == 0 || str_trim(f.body).p == NULL)
			abort();
		from = from || f.kind == FIELD_FROM;
		date = date || f.kind == FIELD_DATE;
		id = id || f.kind == FIELD_MESSAGE_ID;
		if (f.kind == FIELD_BCC || f.kind == FIELD_RETURN_PATH)
			abort();
	}
	if (!from || !date || !id)
		abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static char one_room[OUT], two_room[OUT];
	struct buf one = BUF_ON(one_room), two = BUF_ON(two_room);
	struct str in = { .p = (const char *)data, .n = size }, header;
	size_t body_at;

	if (size > BYTES || !run(in, &one))
		return 0;
	check_fields(buf_str(&one));
	if (header_find(buf_str(&one), true, &header, &body_at) !=
		HEADER_FOUND ||
	    body_at != buf_str(&one).n)
		abort();
	(void)run(buf_str(&one), &two);
	return 0;
}
