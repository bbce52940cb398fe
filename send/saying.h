/* SPDX-License-Identifier: ISC
 * saying: the texts of reports: an enhanced status code, then what which host
 * said or did.  Pure.
 */
#ifndef SAYING_H
#define SAYING_H

#include "common/verdict.h"
#include "send/reply.h"

/* As much of s as fits; never makes the buffer full. */
void saying_put(struct buf *, struct str s);
/* "mx.example (192.0.2.1)" */
void saying_put_host(struct buf *, struct str host, struct str ip);
/* "5.1.1 mx.example (192.0.2.1) said: 550 5.1.1 no such user" into storage,
 * which has room for LIMIT_REPORT.  The code is the peer's own when its class
 * fits the verdict. */
struct str saying_of(struct str host, struct str ip, enum verdict,
    const struct reply *, char *storage);

#endif
