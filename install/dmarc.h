/* SPDX-License-Identifier: ISC
 * dmarc: the policy in a DMARC record (RFC 7489 6.3).  Pure; the record is a
 * stranger's bytes.
 */
#ifndef DMARC_H
#define DMARC_H

#include "common/str.h"

enum dmarc_policy {
	DMARC_NO_RECORD,
	DMARC_WRONG,
	DMARC_NONE,
	DMARC_QUARANTINE,
	DMARC_REJECT
};

/* NO_RECORD: this TXT record is none; WRONG: it is, but without a policy. */
enum dmarc_policy dmarc_parse(struct str txt);
/* "none", "quarantine", "reject" */
const char *dmarc_policy_name(enum dmarc_policy);

#endif
