/* SPDX-License-Identifier: ISC
 * ask: see the header.
 */
#include "common/address.h"
#include "common/verdict.h"
#include "users/ask.h"
#include "users/resolve.h"

enum { WHY_END = 2048 }; /* room for the last lines */

static const char no_tables[] = "4.3.5 the user tables cannot be read";
static const char why_no_tables[] =
    "tables: wrong, see the log\naccepted: no, 4.3.5\n";

void
ask_put_verdict(struct buf *out, char verdict, const char *text)
{
	packet_begin(out, verdict);
	if (verdict != VERDICT_OK)
		packet_str(out, str_of(text));
}

/* ---- R ---- */

static void
put_acceptance(struct buf *out, const struct resolved *r)
{
	if (r->kind == RESOLVE_FOREIGN)
		packet_begin(out, 'N');
	else if (resolve_accepts(r))
		packet_begin(out, VERDICT_OK);
	else if (r->kind == RESOLVE_EARLY)
		ask_put_verdict(out, VERDICT_DEFER, resolve_text(r->kind));
	else if (r->kind == RESOLVE_MX)
		ask_put_verdict(
		    out, VERDICT_FAIL, resolve_text(RESOLVE_UNKNOWN));
	else
		ask_put_verdict(out, VERDICT_FAIL, resolve_text(r->kind));
}

/* ---- W ---- */

/* The address that a virtual mailbox's mail is delivered to: as asked, but in
 * lower case, so that Delivered-To knows it again. */
static void
put_virtual(struct buf *out, const struct tables *t, const struct resolved *r,
    struct str asked)
{
	char room[2 * LIMIT_ADDRESS];
	struct buf address = BUF_ON(room);
	buf_put_lower(&address, asked);
	if (address_split(asked).domain.n == 0) {
		buf_putc(&address, '@');
		buf_put(&address, t->me);
	}
	packet_begin(out, 'V');
	packet_str(out, r->mailbox);
	packet_str(out, buf_str(&address));
}

static void
put_targets(struct buf *out, struct str targets)
{
	struct str rest = targets, one;
	uint32_t n = 0;
	while (tables_target(&rest, &one))
		n++;
	packet_begin(out, 'A');
	packet_u32(out, n);
	while (tables_target(&targets, &one))
		packet_str(out, one);
}

static void
put_way(struct buf *out, const struct tables *t, const struct resolved *r,
    struct str asked)
{
	switch (r->kind) {
	case RESOLVE_VIRTUAL:
		put_virtual(out, t, r, asked);
		break;
	case RESOLVE_SYSTEM:
		packet_begin(out, 'S');
		packet_str(out, r->user);
		packet_str(out, r->extension);
		break;
	case RESOLVE_ALIAS:
		put_targets(out, r->targets);
		break;
	case RESOLVE_MX: /* the next host knows its users best */
	case RESOLVE_FOREIGN:
		packet_begin(out, 'N');
		break;
	case RESOLVE_NOBODY:
	case RESOLVE_EARLY:
		ask_put_verdict(out, VERDICT_DEFER, resolve_text(r->kind));
		break;
	case RESOLVE_UNKNOWN:
	case RESOLVE_LOOP:
	case RESOLVE_SYNTAX:
		ask_put_verdict(out, VERDICT_FAIL, resolve_text(r->kind));
		break;
	}
}

/* ---- Q ---- */

static void
why_way(struct buf *why, const struct resolved *r)
{
	switch (r->kind) {
	case RESOLVE_VIRTUAL:
		buf_puts(why, "delivery: mailbox ");
		buf_put(why, r->mailbox);
		buf_puts(why, "\nas: the mailbox owner\n");
		break;
	case RESOLVE_SYSTEM:
		buf_puts(why, "delivery: by .qmail, else Maildir, at home\n"
			      "as: ");
		buf_put(why, r->user);
		buf_putc(why, '\n');
		break;
	case RESOLVE_ALIAS:
		buf_puts(why, "delivery: to the targets\n");
		break;
	case RESOLVE_MX:
	case RESOLVE_FOREIGN:
		buf_puts(
		    why, "delivery: by SMTP to the domain's MX or route\n");
		break;
	case RESOLVE_NOBODY:
	case RESOLVE_UNKNOWN:
	case RESOLVE_LOOP:
	case RESOLVE_EARLY:
	case RESOLVE_SYNTAX:
		buf_puts(why, "delivery: none, ");
		buf_puts(why, resolve_text(r->kind));
		buf_putc(why, '\n');
		break;
	}
}

static void
why_acceptance(struct buf *why, const struct resolved *r)
{
	if (r->kind == RESOLVE_FOREIGN)
		buf_puts(why, "accepted: only from who may relay\n");
	else if (resolve_accepts(r))
		buf_puts(why, "accepted: yes\n");
	else {
		buf_puts(why, "accepted: no, ");
		buf_puts(why,
		    resolve_text(
			r->kind == RESOLVE_MX ? RESOLVE_UNKNOWN : r->kind));
		buf_putc(why, '\n');
	}
}

static char
why_verdict(const struct resolved *r)
{
	if (r->kind == RESOLVE_NOBODY || r->kind == RESOLVE_EARLY)
		return VERDICT_DEFER;
	return resolve_accepts(r) ? VERDICT_OK : VERDICT_FAIL;
}

static void
put_why(struct buf *out, const struct tables *t, const struct table *accounts,
    struct str address)
{
	static char room[RESOLVE_TEXT + WHY_END];
	struct resolved r;
	struct buf why = { .p = room, .cap = RESOLVE_TEXT };
	resolve(t, accounts, address, &r, &why);
	if (why.full)
		buf_cut(&why, RESOLVE_TEXT - 16);
	struct buf end = { .p = room, .n = why.n, .cap = sizeof(room) };
	if (why.full)
		buf_puts(&end, "\ncut: there is more\n");
	why_acceptance(&end, &r);
	why_way(&end, &r);
	packet_begin(out, 'T');
	packet_u8(out, (uint8_t)why_verdict(&r));
	packet_str(out, buf_str(&end));
}

bool
ask_answer(const struct tables *t, const struct table *accounts,
    struct packet *q, struct buf *out)
{
	struct resolved r;
	struct str address = packet_get_str(q, LIMIT_ADDRESS);
	if (!packet_end(q) ||
	    (q->type != 'R' && q->type != 'W' && q->type != 'Q'))
		return false;
	if (!t && q->type == 'Q') {
		packet_begin(out, 'T');
		packet_u8(out, VERDICT_DEFER);
		packet_str(out, str_of(why_no_tables));
	} else if (!t) {
		ask_put_verdict(out, VERDICT_DEFER, no_tables);
	} else if (q->type == 'Q') {
		put_why(out, t, accounts, address);
	} else {
		resolve(t, accounts, address, &r, NULL);
		if (q->type == 'R')
			put_acceptance(out, &r);
		else
			put_way(out, t, &r, address);
	}
	return true;
}
