/* SPDX-License-Identifier: ISC
 * verdict: how an attempt or a question ended; one letter on every wire
 * (qmail's K, Z, D).
 */
#ifndef VERDICT_H
#define VERDICT_H

enum verdict {
	VERDICT_OK = 'K',    /* done */
	VERDICT_DEFER = 'Z', /* temporary: try again */
	VERDICT_FAIL = 'D'   /* permanent */
};

#endif
