/* SPDX-License-Identifier: ISC
 * dmarc: contract in dmarc.h.
 */
#include "install/dmarc.h"

/* Takes "name = value" from the front, up to a semicolon. */
static bool
tag_next(struct str *rest, struct str *name, struct str *value)
{
	struct str tag;

	if (rest->n == 0)
		return false;
	str_cut(*rest, ';', &tag, rest);
	str_cut(tag, '=', name, value);
	*name = str_trim(*name);
	*value = str_trim(*value);
	return true;
}

const char *
dmarc_policy_name(enum dmarc_policy p)
{
	static const char *const names[] = {
		[DMARC_NO_RECORD] = "no record",
		[DMARC_WRONG] = "wrong",
		[DMARC_NONE] = "none",
		[DMARC_QUARANTINE] = "quarantine",
		[DMARC_REJECT] = "reject",
	};

	return names[p];
}

enum dmarc_policy
dmarc_parse(struct str txt)
{
	struct str name;
	struct str value;

	/* the version comes first */
	if (!tag_next(&txt, &name, &value) || !str_ieq(name, STR("v")) ||
	    !str_eq(value, STR("DMARC1")))
		return DMARC_NO_RECORD;
	while (tag_next(&txt, &name, &value)) {
		if (!str_ieq(name, STR("p")))
			continue;
		for (enum dmarc_policy p = DMARC_NONE; p <= DMARC_REJECT; p++)
			if (str_ieq(value, str_of(dmarc_policy_name(p))))
				return p;
		return DMARC_WRONG;
	}
	return DMARC_WRONG;
}
