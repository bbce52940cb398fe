/* SPDX-License-Identifier: ISC
 * Fuzz: control/locals, virtualdomains and rcpthosts, then look-ups in them.
 * The input is cut at NULs: the three files, then domains to find.
 */
#include <stdlib.h>
#include "common/domains.h"
#include "tests/fuzz/scratch.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static const char *const names[] = { "locals", "virtualdomains",
		"rcpthosts" };
	struct str rest = { .p = (const char *)data, .n = n }, part, prepend;
	for (size_t i = 0; i < N_ELEMENTS(names); i++) {
		str_cut(rest, '\0', &part, &rest);
		scratch_put(names[i], part);
	}
	struct domains *d = domains_load(scratch_dir());
	while (d && str_cut(rest, '\0', &part, &rest)) {
		enum domain_kind k = domains_find(d, part, &prepend);
		if (k != DOMAIN_VIRTUAL && prepend.n)
			abort();
	}
	domains_free(d);
	return 0;
}
