/* SPDX-License-Identifier: ISC
 * Fuzzes queue/record and queue/envelope: any bytes as a record (none of them
 * has a right checksum), as a segment's header, and as the content of a record
 * whose checksum is right.  What is taken lies within the input.
 */
#include <stdlib.h>
#include <string.h>

#include "queue/envelope.h"
#include "queue/record.h"
#include "tests/fuzz/within.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const unsigned char key[RECORD_KEY];

static void
check_strings(struct str all, struct strings s)
{
	struct str one;
	uint32_t n = 0;
	uint32_t count = s.count;
	while (strings_next(&s, &one)) {
		check_within(all, one);
		n++;
	}
	if (n != count)
		abort();
}

static void
try_contents(struct str in)
{
	struct envelope e;
	struct replacement r;
	struct mark m;
	if (envelope_open(in, &e)) {
		check_within(in, e.sender);
		check_within(in, e.sid);
		check_strings(in, e.recipients);
		for (size_t i = 0; i < e.finished.n / 4; i++)
			(void)envelope_finished(&e, i);
	}
	if (replacement_open(in, &r))
		check_strings(in, r.by);
	struct str rest = in;
	while (mark_next(&rest, &m))
		;
	if (rest.n >= ENVELOPE_MARK)
		abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str in = { (const char *)data, size };
	struct record r;
	struct segment_head h;
	struct str meta, body;
	if (record_open(key, 4096, in, &r, &meta, &body)) {
		check_within(in, meta);
		check_within(in, body);
	}
	(void)segment_open(key, in, &h);
	try_contents(in);
	return 0;
}
