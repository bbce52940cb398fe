/* SPDX-License-Identifier: ISC
 * Fuzzes install/logline: any bytes as a line of a log.  What is found lies
 * within the line, and a field that is read is found again.
 */
#include <stdlib.h>
#include <string.h>

#include "install/logline.h"
#include "tests/fuzz/within.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str in = { (const char *)data, size };
	char space[256];
	struct logline l;
	check_within(in, logline_find(in, STR("qid=")));
	if (!logline_read(in, &l))
		return 0;
	check_within(in, l.event);
	for (size_t i = 0; i < l.count; i++) {
		struct buf b = BUF_ON(space);
		check_within(in, l.field[i].key);
		check_within(in, l.field[i].value);
		logline_unescape(&b, l.field[i].value);
		if (buf_str(&b).n > l.field[i].value.n)
			abort();
		check_within(in, logline_value(&l, l.field[i].key));
	}
	return 0;
}
