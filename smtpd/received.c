/* SPDX-License-Identifier: ISC
 * received: contract in received.h.  Pure.
 */
#include <string.h>
#include "common/clock.h"
#include "smtpd/received.h"

static void
put_helo(struct buf *out, struct str helo)
{
	for (size_t i = 0; i < helo.n; i++) {
		char c = helo.p[i];
		bool plain = byte_is_alpha(c) || byte_is_digit(c) ||
			     (c != '\0' && strchr(".-_:[]", c) != NULL);

		buf_putc(out, plain ? c : '?');
	}
}

/* TCP-info (RFC 5321 4.4): an address literal, perhaps a name before it */
static void
put_peer(struct buf *out, struct str name, struct str ip)
{
	if (ip.n == 0) {
		buf_put(out, name.n > 0 ? name : STR("unknown"));
		return;
	}
	buf_put(out, name);
	buf_puts(out, name.n > 0 ? " [" : "[");
	if (str_find(ip, ':') < ip.n)
		buf_puts(out, "IPv6:");
	buf_put(out, ip);
	buf_putc(out, ']');
}

void
received_put(struct buf *out, const struct received *r)
{
	buf_puts(out, "Received: from ");
	put_helo(out, r->helo);
	buf_puts(out, " (");
	put_peer(out, r->peer_name, r->peer_ip);
	buf_puts(out, ")\n\tby ");
	buf_put(out, r->me);
	buf_puts(out, r->esmtp ? " with ESMTP id " : " with SMTP id ");
	buf_put(out, r->sid);
	buf_puts(out, ";\n\t");
	clock_put_rfc5322(out, r->now);
	buf_putc(out, '\n');
}
