/* SPDX-License-Identifier: ISC
 * reply: lines of the SMTP server's replies (RFC 5321 4.2, RFC 2034).  Pure.
 */
#ifndef SMTPD_REPLY_H
#define SMTPD_REPLY_H

#include "common/buf.h"

/* No single reply takes more; the session keeps so much room in its buffer. */
enum { REPLY_MAX = 2048, REPLY_TEXT_MAX = 480 };

/* Puts "CODE STATUS text" CRLF.  status is the enhanced code, or NULL where RFC
 * 2034 wants none.  Bytes of text that are not printable ASCII become '?', and
 * at most REPLY_TEXT_MAX are put. */
void reply_put(
    struct buf *, unsigned code, const char *status, struct str text);
/* A line of a multi-line reply, without enhanced code: "CODE-text", or "CODE
 * text" when it is the last. */
void reply_line(struct buf *, unsigned code, bool last, struct str text);
/* As reply_put, for a text of another role that should begin with an enhanced
 * code of the same class as code; where it does not, status is used. */
void reply_relay(
    struct buf *, unsigned code, const char *status, struct str text);
/* The enhanced code at the start of text ("4.3.1"), or the empty str. */
struct str reply_status(struct str text);

#endif
