/* SPDX-License-Identifier: ISC
 * resolve: see the header.
 */
#include "common/address.h"
#include "users/line.h"
#include "users/resolve.h"

enum { WALK_MAX = 4096 };

/* What one look at the tables needs. */
struct look {
	const struct tables *t;
	const struct table *accounts;
	struct str local, domain; /* of the key */
	struct str key;
	struct str prepend;
	enum domain_kind kind;
	struct resolved *out;
	struct buf *why;
};

/* ---- the explanation ---- */

static void
explain(const struct look *l, const char *rule, const char *said, struct str s)
{
	if (!l->why)
		return;
	buf_puts(l->why, rule);
	buf_puts(l->why, ": ");
	buf_puts(l->why, said);
	buf_put(l->why, s);
	buf_putc(l->why, '\n');
}

static void
explain_domain(const struct look *l)
{
	static const char *const said[] = {
		[DOMAIN_FOREIGN] = " is not ours",
		[DOMAIN_LOCAL] = " is ours, by control/locals",
		[DOMAIN_VIRTUAL] = " is ours, by control/virtualdomains",
		[DOMAIN_RELAYED] = " is relayed, by control/rcpthosts",
	};
	if (!l->why)
		return;
	buf_puts(l->why, "domain: ");
	buf_put(l->why, l->domain);
	buf_puts(l->why, said[l->kind]);
	buf_putc(l->why, '\n');
}

/* ---- the rules; each returns true when it decides ---- */

static bool
rule_virtual(const struct look *l)
{
	struct str value, hash;
	if (!table_get(l->t->users, l->key, &value)) {
		explain(l, "virtual user", "none", STR(""));
		return false;
	}
	str_cut(value, ':', &hash, &l->out->mailbox);
	l->out->kind = RESOLVE_VIRTUAL;
	explain(l, "virtual user", "yes, mailbox ", l->out->mailbox);
	return true;
}

static void
explain_targets(const struct look *l, const char *rule)
{
	if (!l->why)
		return;
	struct str targets = l->out->targets, one;
	const char *comma = ": yes, to ";
	buf_puts(l->why, rule);
	while (tables_target(&targets, &one)) {
		buf_puts(l->why, comma);
		buf_put(l->why, one);
		comma = ", ";
	}
	buf_putc(l->why, '\n');
}

static bool
found_alias(const struct look *l, const struct table *aliases, const char *rule,
    struct str key)
{
	if (!table_get(aliases, key, &l->out->targets)) {
		explain(l, rule, "none for ", key);
		return false;
	}
	l->out->kind = RESOLVE_ALIAS;
	explain_targets(l, rule);
	return true;
}

static bool
rule_alias(const struct look *l)
{
	const struct tables *t = l->t;

	if (found_alias(l, t->aliases, "alias", l->key))
		return true;
	return l->kind == DOMAIN_LOCAL &&
	       (found_alias(l, t->aliases, "bare alias", l->local) ||
		   found_alias(l, t->imported, "imported alias", l->local));
}

/* The account with the longest name that is all of s, or all before a hyphen
 * in it; *ext is what stands behind. */
static bool
find_account(const struct look *l, struct str s, bool extensions,
    struct str *user, struct str *ext)
{
	struct str head = s, tail;
	*ext = STR("");
	if (table_get(l->accounts, s, user))
		return true;
	while (extensions && str_rcut(head, '-', &head, &tail)) {
		*ext = str_skip(s, head.n + 1);
		if (table_get(l->accounts, head, user))
			return true;
	}
	return false;
}

static bool
found_system(const struct look *l)
{
	l->out->kind = RESOLVE_SYSTEM;
	explain(l, "system user", "yes, ", l->out->user);
	if (l->out->extension.n)
		explain(l, "extension", "", l->out->extension);
	return true;
}

/* qmail's `domain:user`: user, or user-ext, and the local part behind. */
static bool
rule_prepend(const struct look *l)
{
	struct resolved *out = l->out;
	struct buf ext = BUF_ON(out->room);
	struct str base;
	char room[LIMIT_ADDRESS + 2];
	struct buf name = BUF_ON(room);
	buf_put_lower(&name, l->prepend);
	if (!find_account(l, buf_str(&name), true, &out->user, &base)) {
		explain(l, "system user", "no account for ", l->prepend);
		return false;
	}
	buf_put(&ext, base);
	if (base.n)
		buf_putc(&ext, '-');
	buf_put(&ext, l->local);
	out->extension = buf_str(&ext);
	return !ext.full && found_system(l);
}

static bool
rule_system(const struct look *l)
{
	struct resolved *out = l->out;
	struct str ext;
	if (l->kind == DOMAIN_VIRTUAL && l->prepend.n == 0)
		return false;
	if (!l->accounts) {
		/* no later rule may take what is a system user's mail */
		out->kind = RESOLVE_EARLY;
		explain(l, "system user", "the accounts are not known yet",
		    STR(""));
		return true;
	}
	if (l->kind == DOMAIN_VIRTUAL)
		return rule_prepend(l);
	if (!find_account(l, l->local, l->t->extensions, &out->user, &ext)) {
		explain(l, "system user", "no account for ", l->local);
		return false;
	}
	struct buf kept = BUF_ON(out->room);
	buf_put(&kept, ext);
	out->extension = buf_str(&kept);
	return found_system(l);
}

static bool
rule_catch_all(const struct look *l)
{
	return found_alias(l, l->t->aliases, "catch-all",
	    str_skip(l->key, l->key.n - l->domain.n - 1));
}

static bool
is_postmaster(struct str local)
{
	return str_eq(local, STR("postmaster"));
}

static bool
rule_postmaster(const struct look *l)
{
	struct resolved *out = l->out;
	struct buf one = BUF_ON(out->room);
	/* root's mail is what cron and others tell the administrator */
	if (!is_postmaster(l->local) && !str_eq(l->local, STR("abuse")) &&
	    !(l->kind == DOMAIN_LOCAL && str_eq(l->local, STR("root"))))
		return false;
	buf_putc(&one, (char)l->t->postmaster.n);
	buf_put(&one, l->t->postmaster);
	out->targets = buf_str(&one);
	out->kind = RESOLVE_ALIAS;
	explain_targets(l, "control/postmaster");
	return true;
}

static bool
rule_nobody(const struct look *l)
{
	l->out->kind = RESOLVE_UNKNOWN;
	explain(l, "else", "nobody", STR(""));
	return true;
}

static bool (*const rules[])(const struct look *) = { rule_virtual, rule_alias,
	rule_system, rule_catch_all, rule_postmaster, rule_nobody };

/* Mail for the postmaster of a relayed domain is never refused (RFC 5321
 * 4.5.1). */
static void
relayed(const struct look *l)
{
	struct str none;
	l->out->kind = RESOLVE_MX;
	l->out->listed = true;
	if (table_get(l->t->relays, l->key, &none))
		explain(l, "relayrcpts", "yes, ", l->key);
	else if (table_get(l->t->relays,
		     str_skip(l->key, l->key.n - l->domain.n - 1), &none))
		explain(l, "relayrcpts", "yes, all of @", l->domain);
	else if (is_postmaster(l->local))
		explain(l, "relayrcpts", "postmaster always", STR(""));
	else
		l->out->listed = false;
	if (!l->out->listed)
		explain(
		    l, "relayrcpts", "neither the address nor @", l->domain);
}

/* One step: the rules, without a look at where an alias leads in the end.  True
 * when control/postmaster was the one that decided. */
static bool
step(const struct tables *t, const struct table *accounts, struct str address,
    struct resolved *out, struct buf *why)
{
	char room[LINE_KEY + LIMIT_DOMAIN + 2];
	struct buf key = BUF_ON(room);
	struct look l = {
		.t = t, .accounts = accounts, .out = out, .why = why
	};
	out->kind = RESOLVE_SYNTAX;
	out->listed = false;
	out->mailbox = out->user = out->extension = out->targets = STR("");
	struct address a = address_split(address);
	line_put_key(&key, address);
	if (a.domain.n == 0) {
		buf_putc(&key, '@');
		buf_put(&key, t->me);
	}
	l.key = buf_str(&key);
	str_rcut(l.key, '@', &l.local, &l.domain);
	if (key.full || address.n > LIMIT_ADDRESS || a.local.n == 0 ||
	    l.domain.n == 0)
		return false;
	l.kind = domains_find(t->domains, l.domain, &l.prepend);
	explain_domain(&l);
	if (l.kind == DOMAIN_FOREIGN) {
		out->kind = RESOLVE_FOREIGN;
		return false;
	}
	if (l.kind == DOMAIN_RELAYED) {
		relayed(&l);
		return false;
	}
	if (l.local.n == 0) /* "", whom another host may have */
		return false;
	size_t i = 0;
	while (!rules[i](&l))
		i++;
	return rules[i] == rule_postmaster;
}

/* ---- where an alias leads ---- */

struct place {
	struct str address;
	unsigned depth;
};

struct walk {
	struct place stack[WALK_MAX];
	size_t n;
	unsigned steps;
};

/* What does not fit is not looked at: qmgr's own bound ends such a loop. */
static void
walk_push(struct walk *w, struct str targets, unsigned depth)
{
	struct str one;
	size_t first = w->n;
	while (w->n < WALK_MAX && tables_target(&targets, &one))
		w->stack[w->n++] = (struct place){ one, depth };
	/* the first target on top, so that they are walked in order */
	for (size_t i = first, j = w->n; i + 1 < j; i++) {
		struct place swap = w->stack[--j];
		w->stack[j] = w->stack[i];
		w->stack[i] = swap;
	}
}

static void
explain_place(struct buf *why, const struct place *p, enum resolve_kind kind)
{
	if (!why)
		return;
	buf_puts(why, "target: ");
	for (unsigned i = 1; i < p->depth; i++)
		buf_puts(why, "  ");
	buf_put(why, p->address);
	buf_puts(why, ": ");
	buf_puts(why, resolve_text(kind) + 6);
	buf_putc(why, '\n');
}

static bool
same_key(struct str a, struct str b)
{
	char aroom[LINE_KEY], broom[LINE_KEY];
	struct buf ka = BUF_ON(aroom), kb = BUF_ON(broom);
	line_put_key(&ka, a);
	line_put_key(&kb, b);
	return str_eq(buf_str(&ka), buf_str(&kb));
}

/* Follows all targets down.  True when one of them leads back to `address` or
 * deeper than RESOLVE_DEPTH.  *dead is set when a first target is nobody. */
static bool
leads_round(const struct tables *t, const struct table *accounts,
    struct str address, struct str targets, struct buf *why, bool *dead)
{
	static struct walk w;
	struct resolved at;
	w.n = 0;
	walk_push(&w, targets, 1);
	for (w.steps = 0; w.n > 0 && w.steps < WALK_MAX; w.steps++) {
		struct place p = w.stack[--w.n];
		(void)step(t, accounts, p.address, &at, NULL);
		explain_place(why, &p, at.kind);
		if (p.depth == 1 && at.kind == RESOLVE_UNKNOWN)
			*dead = true;
		if (at.kind != RESOLVE_ALIAS)
			continue;
		if (p.depth >= RESOLVE_DEPTH || same_key(p.address, address))
			return true;
		/* a target made by control/postmaster stands in at.room */
		if (at.targets.p != at.room)
			walk_push(&w, at.targets, p.depth + 1);
		else if (w.n < WALK_MAX)
			w.stack[w.n++] =
			    (struct place){ t->postmaster, p.depth + 1 };
	}
	return false;
}

void
resolve(const struct tables *t, const struct table *accounts,
    struct str address, struct resolved *out, struct buf *why)
{
	bool dead = false;
	bool fallback = step(t, accounts, address, out, why);
	if (out->kind != RESOLVE_ALIAS)
		return;
	bool round =
	    leads_round(t, accounts, address, out->targets, why, &dead);
	if (!fallback) {
		out->kind = round ? RESOLVE_LOOP : RESOLVE_ALIAS;
		return;
	}
	if (round || dead) {
		char room[LINE_KEY];
		struct buf key = BUF_ON(room);
		line_put_key(&key, address);
		out->kind = is_postmaster(address_split(buf_str(&key)).local)
				? RESOLVE_NOBODY
				: RESOLVE_UNKNOWN;
	}
}

bool
resolve_accepts(const struct resolved *r)
{
	switch (r->kind) {
	case RESOLVE_VIRTUAL:
	case RESOLVE_SYSTEM:
	case RESOLVE_ALIAS:
	case RESOLVE_NOBODY:
		return true;
	case RESOLVE_MX:
		return r->listed;
	case RESOLVE_FOREIGN:
	case RESOLVE_UNKNOWN:
	case RESOLVE_LOOP:
	case RESOLVE_EARLY:
	case RESOLVE_SYNTAX:
		return false;
	}
	return false;
}

const char *
resolve_text(enum resolve_kind kind)
{
	switch (kind) {
	case RESOLVE_VIRTUAL:
		return "2.1.5 virtual user";
	case RESOLVE_SYSTEM:
		return "2.1.5 system user";
	case RESOLVE_ALIAS:
		return "2.1.5 alias";
	case RESOLVE_MX:
		return "2.1.5 to its MX";
	case RESOLVE_FOREIGN:
		return "2.1.5 not our domain, to its MX";
	case RESOLVE_UNKNOWN:
		return "5.1.1 no such user here";
	case RESOLVE_LOOP:
		return "5.4.6 the alias leads back to itself";
	case RESOLVE_NOBODY:
		return "4.3.5 control/postmaster names nobody";
	case RESOLVE_EARLY:
		return "4.3.0 the system's accounts are not known yet";
	case RESOLVE_SYNTAX:
		return "5.1.3 not an address";
	}
	return "4.3.0 internal error";
}
