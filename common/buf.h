/* SPDX-License-Identifier: ISC
 * buf: a byte buffer on the caller's storage; it never grows.  After the first
 * put that does not fit it is `full` and every later put does nothing, so that
 * a row of puts is checked once, at its end.
 */
#ifndef BUF_H
#define BUF_H

#include "common/str.h"

struct buf {
	char *p;
	size_t n, cap;
	bool full;
};

#define BUF_ON(array)                                                          \
	((struct buf){                                                         \
	    .p = (array), .n = 0, .cap = sizeof(array), .full = false })

/* Puts all of s, or nothing: then the buffer is full. */
void buf_put(struct buf *, struct str s);
void buf_putc(struct buf *, char c);
void buf_puts(struct buf *, const char *cstr);
void buf_put_u64(struct buf *, uint64_t v);
/* v with at least `digits` decimal digits, zeros in front. */
void buf_put_padded(struct buf *, uint64_t v, unsigned digits);
/* v as 16 lower-case hexadecimal digits (a queue id). */
void buf_put_hex64(struct buf *, uint64_t v);
/* s with ASCII capitals made small. */
void buf_put_lower(struct buf *, struct str s);
/* Empties the buffer and forgets `full`. */
void buf_reset(struct buf *);
/* Takes the first n bytes (at most all) away and moves the rest to the front.
 */
void buf_drop(struct buf *, size_t n);
/* Cuts the content down to its first n bytes; `full` stays as it is. */
void buf_cut(struct buf *, size_t n);
/* The content; valid until the next change. */
struct str buf_str(const struct buf *);
/* Bytes that still fit. */
size_t buf_room(const struct buf *);
/* Where the next bytes go, for read(2); tell buf_grew how many came. */
char *buf_tail(struct buf *);
void buf_grew(struct buf *, size_t n);
/* The content as a C string: puts a NUL behind it (not counted).  NULL when
 * there is no room for it, the buffer is full, or the content holds a NUL. */
const char *buf_cstr(struct buf *);

#endif
