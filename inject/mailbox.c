/* SPDX-License-Identifier: ISC
 * mailbox: contract in mailbox.h.  Pure.
 */
#include "inject/mailbox.h"

#include "common/limits.h"

enum { QUOTED = 2 * LIMIT_ADDRESS + 8 };

/* Puts raw as a quoted local part with its domain. */
static void
put_quoted(struct buf *out, struct str raw, struct str host)
{
	struct str local, domain;

	if (!str_rcut(raw, '@', &local, &domain))
		domain = host;
	buf_putc(out, '"');
	for (size_t i = 0; i < local.n; i++) {
		if (local.p[i] == '"' || local.p[i] == '\\')
			buf_putc(out, '\\');
		buf_putc(out, local.p[i]);
	}
	buf_puts(out, "\"@");
	buf_put(out, domain);
}

enum address_status
mailbox_put(struct buf *out, struct str raw, struct str host)
{
	char storage[QUOTED];
	struct buf quoted = BUF_ON(storage);
	struct address a;

	if (raw.n > LIMIT_ADDRESS)
		return ADDRESS_TOO_LONG;
	enum address_status status = address_parse(raw, true, &a);
	if (status == ADDRESS_SYNTAX && raw.n > 0 && raw.p[0] != '@') {
		put_quoted(&quoted, raw, host);
		status = address_parse(buf_str(&quoted), false, &a);
	}
	if (status != ADDRESS_OK)
		return status;
	if (a.domain.n == 0)
		a.domain = host;
	size_t before = out->n;
	address_put(out, a);
	if (!out->full && out->n - before <= LIMIT_ADDRESS)
		return ADDRESS_OK;
	buf_cut(out, before);
	return ADDRESS_TOO_LONG;
}

enum address_status
mailbox_put_sender(struct buf *out, struct str raw, struct str host)
{
	if (raw.n > 0 && !str_eq(raw, STR("#@[]")))
		return mailbox_put(out, raw, host);
	buf_put(out, raw);
	return ADDRESS_OK;
}
