/* SPDX-License-Identifier: ISC
 * dropname: contract in dropname.h.  Pure.
 */
#include "inject/dropname.h"

const char *
dropname_put(struct buf *b, const struct dropname *d)
{
	buf_put_u64(b, d->uid);
	buf_putc(b, '.');
	buf_put_u64(b, d->slot);
	if (d->tmp)
		buf_puts(b, ".tmp");
	return buf_cstr(b);
}

bool
dropname_parse(struct str name, struct dropname *d)
{
	char text[DROPNAME_ROOM];
	struct buf again = BUF_ON(text);
	struct str uid, rest, end;
	uint64_t u, slot;

	if (!str_cut(name, '.', &uid, &rest))
		return false;
	d->tmp = str_cut(rest, '.', &rest, &end);
	if ((d->tmp && !str_eq(end, STR("tmp"))) ||
	    !str_u64(uid, UINT32_MAX, &u) ||
	    !str_u64(rest, DROPNAME_SLOTS - 1, &slot))
		return false;
	d->uid = (uint32_t)u;
	d->slot = (uint32_t)slot;
	/* one name for each: no zeros in front */
	return dropname_put(&again, d) != NULL && str_eq(buf_str(&again), name);
}
