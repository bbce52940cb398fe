/* SPDX-License-Identifier: ISC
 * byhand: a postern-dnsd of one's own, for programs that are run by hand.
 * Public.
 */
#ifndef DNS_BYHAND_H
#define DNS_BYHAND_H

#include <stdbool.h>

/* Starts `postern-dnsd --ask`, which ends with the socket; its log goes to
 * stderr when `verbose`, else nowhere.  The socket for questions and answers
 * (INTERNALS.md "Ask: dnsd"), which the caller owns, or -1 with errno. */
int byhand_start(bool verbose);

#endif
