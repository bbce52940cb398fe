/* SPDX-License-Identifier: ISC
 * addrlist: contract in addrlist.h.  Pure.
 */
#include "inject/addrlist.h"

#include "common/address.h"
#include "inject/phrase.h"

static bool
fail(struct addrlist *l, const char *problem, struct str at)
{
	l->problem = problem;
	l->at = at;
	return false;
}

/* ---- one address ---- */

static bool
is_all_blank(struct part p)
{
	for (size_t i = 0; i < p.n; i++)
		if (!token_is_blank(&p.t[i]))
			return false;
	return true;
}

static bool
is_word(const struct token *t)
{
	return t->kind == TOKEN_ATOM || t->kind == TOKEN_QUOTED ||
	       t->kind == TOKEN_LITERAL;
}

/* Without the obsolete route "@a,@b:" that may stand at its start. */
static struct part
without_route(struct part p)
{
	struct part q = p;

	while (q.n > 0 && token_is_blank(&q.t[0]))
		q.t++, q.n--;
	if (q.n == 0 || !token_is(&q.t[0], '@'))
		return p;
	while (q.n > 0 && !token_is(&q.t[0], ':'))
		q.t++, q.n--;
	if (q.n > 0)
		q.t++, q.n--;
	return q;
}

/* Puts the addr-spec without spaces and comments; *at is where its last @
 * stands, or its length. */
static bool
join(struct addrlist *l, struct part p, struct buf *spec, size_t *at)
{
	const struct token *before = NULL;
	bool has_at = false;

	for (size_t i = 0; i < p.n; i++) {
		const struct token *t = &p.t[i];

		if (token_is_blank(t))
			continue;
		if (before != NULL && is_word(before) && is_word(t))
			return fail(l,
			    "put a comma between addresses, or <> around one",
			    t->text);
		if (token_is(t, '@')) {
			*at = buf_str(spec).n;
			has_at = true;
		}
		buf_put(spec, t->text);
		before = t;
	}
	if (!has_at)
		*at = buf_str(spec).n;
	return true;
}

static bool
is_this_host(struct str domain)
{
	return str_ieq(domain, STR("localhost")) ||
	       str_ieq(domain, STR("localhost.localdomain"));
}

/* Gives the addr-spec, whose @ is at `at`, a whole domain. */
static void
complete(const struct addr_defaults *d, struct buf *spec, size_t at)
{
	struct str domain = str_skip(buf_str(spec), at + 1);

	if (at >= buf_str(spec).n || is_this_host(domain)) {
		buf_cut(spec, at);
		buf_putc(spec, '@');
		buf_put(spec, d->host);
	} else if (str_ends(domain, STR("+")) && d->plusdomain.n > 0) {
		buf_cut(spec, buf_str(spec).n - 1);
		buf_putc(spec, '.');
		buf_put(spec, d->plusdomain);
	} else if (domain.n > 0 && d->domain.n > 0 && domain.p[0] != '[' &&
		   str_find(domain, '.') == domain.n) {
		buf_putc(spec, '.');
		buf_put(spec, d->domain);
	}
}

static bool
check(struct addrlist *l, struct buf *spec, struct str at)
{
	char room[ADDRLIST_SPEC];
	struct buf canonical = BUF_ON(room);
	struct address a;

	if (token_is_8bit(buf_str(spec)))
		return fail(l, "not ASCII: such addresses need SMTPUTF8", at);
	switch (spec->full ? ADDRESS_TOO_LONG
			   : address_parse(buf_str(spec), false, &a)) {
	case ADDRESS_TOO_LONG:
		return fail(l, "the address is too long", at);
	case ADDRESS_SYNTAX:
		return fail(l, "this is no address", at);
	case ADDRESS_OK:
		break;
	}
	address_put(&canonical, a);
	l->mailboxes++;
	if (l->each != NULL)
		l->each(l->arg, buf_str(&canonical));
	return true;
}

/* All that the part was in the list. */
static struct str
text_of(struct part p)
{
	const struct str *last;

	if (p.n == 0)
		return STR("");
	last = &p.t[p.n - 1].text;
	return (struct str){ .p = p.t[0].text.p,
		.n = (size_t)(last->p + last->n - p.t[0].text.p) };
}

/* Reads the address and puts it, completed, into spec; an empty one is the null
 * path, where that is allowed. */
static bool
take_address(struct addrlist *l, struct part p, bool angle, struct buf *spec)
{
	struct str whole = str_trim(text_of(p));
	size_t at = 0;

	p = without_route(p);
	if (!join(l, p, spec, &at))
		return false;
	if (spec->full)
		return fail(l, "the address is too long", whole);
	if (buf_str(spec).n == 0 && angle && l->allow_null) {
		l->mailboxes++;
		if (l->each != NULL)
			l->each(l->arg, STR(""));
		return true;
	}
	if (buf_str(spec).n == 0)
		return fail(l, "there is no address between < and >", whole);
	complete(l->defaults, spec, at);
	return check(l, spec, whole);
}

/* ---- members ---- */

static void
put_comma(struct addrlist *l)
{
	if (l->needs_comma && l->out != NULL)
		buf_putc(l->out, ',');
	l->needs_comma = true;
	l->empty = false;
}

/* phrase <address> comments */
static bool
take_named(struct addrlist *l, size_t open)
{
	char room[ADDRLIST_SPEC];
	struct buf spec = BUF_ON(room);
	size_t close = open + 1;

	while (close < l->count && !token_is(&l->tokens[close], '>'))
		close++;
	struct part name = { l->tokens, open };
	struct part inside = { l->tokens + open + 1, close - open - 1 };

	if (close == l->count)
		return fail(l, "a < without its >", l->tokens[open].text);
	struct part after = { l->tokens + close + 1, l->count - close - 1 };

	if (!is_all_blank(after))
		return fail(l, "put a comma between addresses", text_of(after));
	if (!take_address(l, inside, true, &spec))
		return false;
	put_comma(l);
	if (l->out == NULL)
		return true;
	if (!phrase_put(l->out, name))
		return fail(l, "the name is too long", text_of(name));
	buf_putc(l->out, '<');
	buf_put(l->out, buf_str(&spec));
	buf_putc(l->out, '>');
	phrase_put_blanks(l->out, inside);
	phrase_put_blanks(l->out, after);
	return true;
}

/* address, with comments around and within it */
static bool
take_bare(struct addrlist *l)
{
	char room[ADDRLIST_SPEC];
	struct buf spec = BUF_ON(room);
	struct part all = { l->tokens, l->count };
	size_t lead = 0;

	while (token_is_blank(&all.t[lead]))
		lead++;
	if (!take_address(l, all, false, &spec))
		return false;
	put_comma(l);
	if (l->out == NULL)
		return true;
	phrase_put_blanks(l->out, (struct part){ all.t, lead });
	buf_put(l->out, buf_str(&spec));
	phrase_put_blanks(l->out, (struct part){ all.t + lead, all.n - lead });
	return true;
}

static bool
end_member(struct addrlist *l)
{
	struct part all = { l->tokens, l->count };
	size_t open = 0;
	bool ok;

	while (open < l->count && !token_is(&l->tokens[open], '<'))
		open++;
	if (is_all_blank(all))
		ok = true; /* "a,,b" (RFC 5322 4.4) */
	else if (l->after_group)
		ok = fail(l, "put a comma behind the group", text_of(all));
	else if (open < l->count)
		ok = take_named(l, open);
	else
		ok = take_bare(l);
	l->count = 0;
	return ok;
}

static bool
begin_group(struct addrlist *l, struct str colon)
{
	struct part name = { l->tokens, l->count };

	if (l->in_group || l->after_group || is_all_blank(name))
		return fail(l, "a colon where none may stand", colon);
	put_comma(l);
	if (l->out != NULL) {
		if (!phrase_put(l->out, name))
			return fail(l, "the name is too long", text_of(name));
		buf_putc(l->out, ':');
	}
	l->needs_comma = false;
	l->in_group = true;
	l->count = 0;
	return true;
}

static bool
end_group(struct addrlist *l, struct str semicolon)
{
	if (!l->in_group)
		return fail(l, "put commas, not semicolons, between addresses",
		    semicolon);
	if (!end_member(l))
		return false;
	if (l->out != NULL)
		buf_putc(l->out, ';');
	l->in_group = false;
	l->after_group = true;
	l->needs_comma = true;
	return true;
}

/* What the token ends, or its place in the member. */
static bool
take_token(struct addrlist *l, const struct token *t)
{
	if (t->kind == TOKEN_BAD)
		return fail(
		    l, "unbalanced quotes, parentheses or brackets", t->text);
	if (token_is(t, '<') || token_is(t, '>')) {
		if (l->in_angle == token_is(t, '<'))
			return fail(l, "< and > do not match", t->text);
		l->in_angle = !l->in_angle;
	} else if (!l->in_angle && token_is(t, ',')) {
		if (!end_member(l))
			return false;
		l->after_group = false;
		return true;
	} else if (!l->in_angle && token_is(t, ':')) {
		return begin_group(l, t->text);
	} else if (!l->in_angle && token_is(t, ';')) {
		return end_group(l, t->text);
	}
	if (l->count == ADDRLIST_TOKENS)
		return fail(l, "the address is too long", t->text);
	l->tokens[l->count++] = *t;
	return true;
}

bool
addrlist_run(struct addrlist *l, struct str list)
{
	struct token t;

	l->mailboxes = 0;
	l->problem = NULL;
	l->empty = true;
	l->count = 0;
	l->in_group = l->after_group = l->in_angle = l->needs_comma = false;
	while ((t = token_next(&list)).kind != TOKEN_END)
		if (!take_token(l, &t))
			return false;
	if (l->in_angle)
		return fail(l, "a < without its >", STR(""));
	if (!end_member(l))
		return false;
	if (l->in_group) /* "a: b, c" is a group whose end was forgotten */
		return fail(l, "a group without its semicolon", STR(""));
	return true;
}
