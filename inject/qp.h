/* SPDX-License-Identifier: ISC
 * qp: quoted-printable (RFC 2045 6.7) of a text of LF lines.  Pure; the same
 * result however the input is cut.  A line of a single dot and "From " at a
 * line's start are encoded, too, for what lies beyond the next host.
 */
#ifndef QP_H
#define QP_H

#include "common/buf.h"

/* Zero it to begin. */
struct qp {
	size_t column; /* bytes on the output line */
	char held[5];  /* the line's first bytes, or one space, held back */
	size_t held_n;
};

/* Bytes that the output of n bytes of input can take at the most, what was held
 * back included. */
#define QP_ROOM(n) ((n)*5 + 32)

void qp_feed(struct qp *, struct str in, struct buf *out);
/* Puts what was held back. */
void qp_end(struct qp *, struct buf *out);

#endif
