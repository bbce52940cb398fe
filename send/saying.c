/* SPDX-License-Identifier: ISC
 * saying: see saying.h.
 */
#include "send/saying.h"

void
saying_put(struct buf *out, struct str s)
{
	buf_put(out, str_head(s, buf_room(out)));
}

void
saying_put_host(struct buf *out, struct str host, struct str ip)
{
	saying_put(out, host);
	saying_put(out, STR(" ("));
	saying_put(out, ip);
	saying_put(out, STR(")"));
}

static void
put_status(struct buf *out, enum verdict verdict, const struct reply *r)
{
	struct str own = reply_enhanced(r);
	char class = '5';

	if (verdict != VERDICT_FAIL)
		class = verdict == VERDICT_OK ? '2' : '4';
	if (own.n > 0 && own.p[0] == class) {
		saying_put(out, own);
		return;
	}
	buf_putc(out, class);
	/* 552 at RCPT is 452 in disguise (RFC 5321 4.5.3.1.10) */
	saying_put(
	    out, class == '4' && r->code == 552 ? STR(".5.3") : STR(".0.0"));
}

struct str
saying_of(struct str host, struct str ip, enum verdict verdict,
    const struct reply *r, char *storage)
{
	struct buf out = { .p = storage, .cap = LIMIT_REPORT };

	put_status(&out, verdict, r);
	saying_put(&out, STR(" "));
	saying_put_host(&out, host, ip);
	saying_put(&out, STR(" said: "));
	buf_put_u64(&out, r->code);
	saying_put(&out, STR(" "));
	saying_put(&out, reply_text(r));
	return buf_str(&out);
}
