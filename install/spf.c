/* SPDX-License-Identifier: ISC
 * spf: contract in spf.h.  Included records wait on a stack of their own.
 */
#include "install/spf.h"

#include <string.h>
#include "common/address.h"

enum {
	DEPTH_MAX = 10,	    /* records that wait for one that they include */
	QUESTIONS_MAX = 10, /* RFC 7208 4.6.4 */
	VOID_MAX = 2
};

struct frame {
	char text[SPF_RECORD];
	struct str rest; /* terms not looked at */
	char name[SPF_NAME];
	struct str domain;
	struct str redirect; /* empty: none */
	char qualifier;	     /* of the include that led here */
};

struct walk {
	const struct spf_dns *dns;
	struct ip ip;
	struct frame *top;
	size_t depth; /* frames in use */
	unsigned questions, voids;
	bool unread; /* something was left out */
	struct buf *why;
};

struct term {
	char qualifier;
	struct str name, value; /* value: behind : or = */
	unsigned bits4, bits6;
	bool is_modifier;
};

static struct frame frames[DEPTH_MAX];

bool
spf_is_record(struct str txt)
{
	static const struct str version = { "v=spf1", 6 };

	return str_istarts(txt, version) &&
	       (txt.n == version.n || txt.p[version.n] == ' ');
}

const char *
spf_result_name(enum spf_result r)
{
	static const char *const names[] = {
		[SPF_PASS] = "pass",
		[SPF_FAIL] = "fail",
		[SPF_SOFTFAIL] = "softfail",
		[SPF_NEUTRAL] = "neutral",
		[SPF_NONE] = "none",
		[SPF_PERMERROR] = "permerror",
		[SPF_TEMPERROR] = "temperror",
		[SPF_UNKNOWN] = "unknown",
	};

	return names[r];
}

static enum spf_result
because(struct walk *w, enum spf_result r, const char *what, struct str s)
{
	buf_reset(w->why);
	buf_puts(w->why, what);
	buf_put(w->why, s);
	return r;
}

/* ---- terms: RFC 7208 4.6.1, 12 ---- */

static bool
bits_parse(struct str s, uint64_t most, unsigned *bits)
{
	uint64_t n;

	if (!str_u64(s, most, &n))
		return false;
	*bits = (unsigned)n;
	return true;
}

/* Takes "/24", "//64" or "/24//64" off the end of *s; false: wrong. */
static bool
lengths_take(struct str *s, struct term *t)
{
	struct str lengths;
	struct str four;
	struct str six;

	if (!str_cut(*s, '/', s, &lengths))
		return true;
	if (lengths.n > 0 && lengths.p[0] == '/') /* only for IPv6 */
		return bits_parse(str_skip(lengths, 1), 128, &t->bits6);
	bool both = str_cut(lengths, '/', &four, &six);
	if (!bits_parse(four, 32, &t->bits4))
		return false;
	return !both || (six.n > 0 && six.p[0] == '/' &&
			    bits_parse(str_skip(six, 1), 128, &t->bits6));
}

static bool
is_qualifier(char c)
{
	return c == '+' || c == '-' || c == '~' || c == '?';
}

/* The next term; false: there is none.  *good: is it written as one? */
static bool
term_next(struct str *rest, struct term *t, bool *good)
{
	struct str word;

	while (rest->n > 0 && rest->p[0] == ' ')
		*rest = str_skip(*rest, 1);
	if (rest->n == 0)
		return false;
	str_cut(*rest, ' ', &word, rest);
	*t = (struct term){ .qualifier = '+', .bits4 = 32, .bits6 = 128 };
	*good = true;
	size_t equals = str_find(word, '=');
	if (equals < word.n && equals < str_find(word, ':') &&
	    equals < str_find(word, '/')) {
		t->is_modifier = true;
		str_cut(word, '=', &t->name, &t->value);
		return true;
	}
	if (is_qualifier(word.p[0])) {
		t->qualifier = word.p[0];
		word = str_skip(word, 1);
	}
	bool has_value = str_cut(word, ':', &t->name, &t->value);
	if (str_ieq(t->name, STR("ip4")) || str_ieq(t->name, STR("ip6")))
		*good = has_value; /* its length belongs to the address */
	else
		*good = lengths_take(has_value ? &t->value : &t->name, t);
	*good = *good && t->name.n > 0 && (!has_value || t->value.n > 0);
	return true;
}

static enum spf_result
result_of(char qualifier)
{
	return qualifier == '+'	  ? SPF_PASS
	       : qualifier == '-' ? SPF_FAIL
	       : qualifier == '~' ? SPF_SOFTFAIL
				  : SPF_NEUTRAL;
}

/* ---- mechanisms ---- */

enum match { NO, YES, WRONG, NOT_NOW, UNREAD };

static bool
is_within(const struct ip *base, const struct walk *w, const struct term *t)
{
	struct ip_net net = { .base = *base };

	net.bits = ip_is_v4(base) ? 96 + t->bits4 : t->bits6;
	return ip_is_v4(base) == ip_is_v4(&w->ip) && ip_net_has(&net, &w->ip);
}

/* May one more be asked?  Counts. */
static bool
may_ask(struct walk *w)
{
	return ++w->questions <= QUESTIONS_MAX;
}

/* False: one answer too many was empty. */
static bool
count_void(struct walk *w, int records)
{
	return records != 0 || ++w->voids <= VOID_MAX;
}

static enum match
any_of(struct walk *w, const struct term *t, struct str name)
{
	struct ip list[SPF_HOSTS];
	int n = w->dns->addresses(w->dns->arg, name, list, N_ELEMENTS(list));

	if (n < 0)
		return NOT_NOW;
	if (!count_void(w, n))
		return WRONG;
	for (int i = 0; i < n; i++)
		if (is_within(&list[i], w, t))
			return YES;
	return NO;
}

static enum match
match_mx(struct walk *w, const struct term *t, struct str name)
{
	char hosts[SPF_HOSTS][SPF_NAME];
	int n = w->dns->exchangers(w->dns->arg, name, hosts, N_ELEMENTS(hosts));

	if (n < 0)
		return NOT_NOW;
	if (!count_void(w, n) || n > QUESTIONS_MAX)
		return WRONG;
	for (int i = 0; i < n; i++) {
		enum match m = any_of(w, t, str_of(hosts[i]));
		if (m != NO)
			return m;
	}
	return NO;
}

static enum match
match_ip(const struct walk *w, const struct term *t)
{
	struct ip_net net;
	bool four = str_ieq(t->name, STR("ip4"));

	if (str_ends(t->value, STR(".")) || !ip_net_parse(t->value, &net) ||
	    (str_find(t->value, ':') < t->value.n) == four)
		return WRONG;
	return ip_is_v4(&net.base) == ip_is_v4(&w->ip) &&
		       ip_net_has(&net, &w->ip)
		   ? YES
		   : NO;
}

/* Those that name a host, or stand for the domain itself. */
static enum match
match_host(struct walk *w, const struct term *t)
{
	struct str name = t->value.n > 0 ? t->value : w->top->domain;

	if (str_find(name, '%') < name.n)
		return UNREAD;
	if (!address_is_domain(name) || !may_ask(w))
		return WRONG;
	return str_ieq(t->name, STR("a")) ? any_of(w, t, name)
					  : match_mx(w, t, name);
}

static enum match
match(struct walk *w, const struct term *t)
{
	if (str_ieq(t->name, STR("all")))
		return t->value.n == 0 ? YES : WRONG;
	if (str_ieq(t->name, STR("ip4")) || str_ieq(t->name, STR("ip6")))
		return match_ip(w, t);
	if (str_ieq(t->name, STR("a")) || str_ieq(t->name, STR("mx")))
		return match_host(w, t);
	if (str_ieq(t->name, STR("ptr")) || str_ieq(t->name, STR("exists")))
		return may_ask(w) ? UNREAD : WRONG;
	return WRONG;
}

/* ---- records ---- */

/* Puts the record of a domain on the stack, or in place of the top one. */
static enum spf_result
record_open(struct walk *w, struct str domain, char qualifier, bool replace)
{
	char name_text[SPF_NAME];
	struct buf name = BUF_ON(name_text);

	if (!replace && w->depth == DEPTH_MAX)
		return because(
		    w, SPF_PERMERROR, "too deep at include:", domain);
	/* domain may lie within the frame that is written over */
	buf_put(&name, domain);
	if (name.full || !address_is_domain(domain))
		return because(w, SPF_PERMERROR, "no domain name: ", domain);
	struct frame *f = &frames[replace ? w->depth - 1 : w->depth++];
	memcpy(f->name, name_text, name.n);
	f->domain = (struct str){ f->name, name.n };
	f->redirect = STR("");
	f->qualifier = qualifier;
	w->top = f;
	struct buf text = BUF_ON(f->text);
	int n = w->dns->record(w->dns->arg, f->domain, &text);
	if (n < 0)
		return because(w, SPF_TEMPERROR, "the DNS does not answer for ",
		    f->domain);
	if (n == 0)
		return because(w, SPF_NONE, "no record at ", f->domain);
	if (n > 1 || text.full)
		return because(w, SPF_PERMERROR,
		    n > 1 ? "several records at " : "too long a record at ",
		    f->domain);
	f->rest = str_skip(buf_str(&text), sizeof("v=spf1") - 1);
	return SPF_PASS;
}

/* A record's end, its result known: those that include it go on, or end too.
 * True: *r holds for all. */
static bool
record_close(struct walk *w, enum spf_result *r)
{
	while (w->depth > 1) {
		char qualifier = w->top->qualifier;
		w->depth--;
		w->top = &frames[w->depth - 1];
		if (*r != SPF_PASS)
			return false; /* the include does not match */
		*r = result_of(qualifier);
	}
	return true;
}

static bool
is_error(enum spf_result r)
{
	return r == SPF_PERMERROR || r == SPF_TEMPERROR;
}

/* What includes a domain, or goes over to it. */
static bool
go_to(struct walk *w, struct str domain, char qualifier, bool replace,
    enum spf_result *r)
{
	if (str_find(domain, '%') < domain.n) {
		*r = because(w, SPF_UNKNOWN, "a macro in ", domain);
		return true;
	}
	*r = may_ask(w) ? record_open(w, domain, qualifier, replace)
			: because(w, SPF_PERMERROR,
			      "more than 10 DNS questions, at ", domain);
	if (*r == SPF_NONE) /* RFC 7208 5.2, 6.1 */
		*r = SPF_PERMERROR;
	return is_error(*r);
}

/* One mechanism.  True: *r holds for all. */
static bool
mechanism(struct walk *w, const struct term *t, enum spf_result *r)
{
	if (str_ieq(t->name, STR("include")))
		return go_to(w, t->value, t->qualifier, false, r);
	switch (match(w, t)) {
	case YES:
		*r = because(w, result_of(t->qualifier), "", t->name);
		if (t->value.n > 0)
			buf_putc(w->why, ':');
		buf_put(w->why, t->value);
		return record_close(w, r);
	case WRONG:
		*r = because(w, SPF_PERMERROR, "a mistake at ", t->name);
		return true;
	case NOT_NOW:
		*r = because(w, SPF_TEMPERROR, "no answer at ", t->name);
		return true;
	case UNREAD:
		w->unread = true;
		return false;
	case NO:
		return false;
	}
	return false;
}

/* The end of the record on top.  True: *r holds for all. */
static bool
at_end(struct walk *w, enum spf_result *r)
{
	struct str redirect = w->top->redirect;

	if (redirect.n > 0)
		return go_to(w, redirect, w->top->qualifier, true, r);
	*r = because(
	    w, SPF_NEUTRAL, "nothing in it speaks of the address", STR(""));
	return record_close(w, r);
}

enum spf_result
spf_check(
    const struct spf_dns *dns, struct ip ip, struct str domain, struct buf *why)
{
	struct walk w = { .dns = dns, .ip = ip, .why = why };
	enum spf_result r = record_open(&w, domain, '+', false);
	bool over = r != SPF_PASS;
	struct term t;
	bool good = true;

	while (!over) {
		if (!term_next(&w.top->rest, &t, &good))
			over = at_end(&w, &r);
		else if (!good) {
			r = because(&w, SPF_PERMERROR, "a mistake at ", t.name);
			over = true;
		} else if (!t.is_modifier)
			over = mechanism(&w, &t, &r);
		else if (str_ieq(t.name, STR("redirect")))
			w.top->redirect = t.value;
	}
	/* what was left out may have matched before */
	return w.unread && r != SPF_PASS && !is_error(r) ? SPF_UNKNOWN : r;
}
