/* SPDX-License-Identifier: ISC
 * Fuzzes the reading of /etc/aliases: any bytes; it ends, what is handed out
 * lies within the text, and lines only grow.
 */
#include <stdlib.h>

#include "tests/fuzz/within.h"
#include "users/aliasfile.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
targets(struct str text, struct aliasfile f)
{
	struct aliasfile_target t;
	unsigned last = 0;

	while (aliasfile_target(&f, &t)) {
		check_within(text, t.text);
		if (t.line < last)
			abort();
		last = t.line;
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str text = { (const char *)data, size };
	struct aliasfile f = { .rest = text, .line = 1 };
	struct aliasfile_entry e;
	const char *wrong;
	unsigned last = 0;

	targets(text, f);
	while (aliasfile_entry(&f, &e, &wrong)) {
		check_within(text, e.name);
		check_within(text, e.values.rest);
		if (e.line <= last || e.line >= f.line)
			abort();
		last = e.line;
		targets(text, e.values);
	}
	return 0;
}
