/* SPDX-License-Identifier: ISC
 * answer: a DNS message (RFC 1035 4) read into the records of dnsd's answer
 * (INTERNALS.md "Ask: dnsd").  The bytes are a stranger's.  Pure.  Public: what
 * types and states are called.
 */
#ifndef ANSWER_H
#define ANSWER_H

#include "common/buf.h"

enum answer_type {
	ANSWER_A = 1,
	ANSWER_PTR = 12,
	ANSWER_MX = 15,
	ANSWER_TXT = 16,
	ANSWER_AAAA = 28,
	ANSWER_TLSA = 52
};

enum answer_status {
	ANSWER_OK,
	ANSWER_NO_NAME,
	ANSWER_NO_RECORD,
	ANSWER_FAILED,
	ANSWER_BOGUS
};

enum {
	ANSWER_RECORDS = 64, /* at the most; of MXs, the most preferred */
	ANSWER_NAME = 255    /* of a name as text */
};

struct answer {
	enum answer_status status;
	uint32_t ttl;	/* the least of the records'; 0 without records */
	uint32_t count; /* of records put */
};

/* Types that dnsd answers. */
bool answer_type_known(uint32_t type);
/* Reads the answer section of `message` and puts its records of `type`, as they
 * stand in the packet, to `records` (emptied first; what does not fit is left
 * out whole).  Host names come in lower case without final dot; records whose
 * host name no mail server can have are left out; the root (RFC 7505) is the
 * empty name.  A message that is cut short or malformed is FAILED, as are
 * response codes but no error and no such name. */
struct answer answer_parse(
    struct str message, enum answer_type type, struct buf *records);

#endif
