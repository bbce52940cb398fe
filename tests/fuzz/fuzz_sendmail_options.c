/* SPDX-License-Identifier: ISC
 * Fuzz harness of inject/options: NUL-parted arguments; what is handed out is
 * one of them, or a part.
 */
#include <string.h>
#include "inject/options.h"
#include "tests/fuzz/within.h"

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

enum { ARGUMENTS = 32, BYTES = 1024 };

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static char text[BYTES + 1];
	static char name[] = "sendmail";
	char *argv[ARGUMENTS + 2] = { name };
	struct options o;
	int argc = 1;

	if (size > BYTES)
		return 0;
	memcpy(text, data, size);
	text[size] = '\0';
	for (size_t i = 0; i < size && argc <= ARGUMENTS;
	     i += strlen(text + i) + 1)
		argv[argc++] = text + i;
	argv[argc] = NULL;
	struct str all = { .p = text, .n = size + 1 };

	if (!options_parse(argc, argv, &o)) {
		if (o.problem == NULL)
			abort();
		check_within(all, o.about);
		return 0;
	}
	if (o.recipient_count >= (size_t)argc)
		abort();
	for (size_t i = 0; i < o.recipient_count; i++)
		check_within(all, str_of(o.recipients[i]));
	check_within(all, str_of(o.sender));
	check_within(all, o.run);
	return 0;
}
