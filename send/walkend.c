/* SPDX-License-Identifier: ISC
 * walkend: contracts in walk.h and walkend.h.
 */
#include "send/walkend.h"

#include <string.h>

static struct str
domain_of(const struct walk *w)
{
	return (struct str){ w->domain, w->domain_n };
}

void
walk_end(struct walk *w, enum verdict verdict, struct str text)
{
	if (w->over)
		return;
	w->over = true;
	w->verdict = verdict;
	text = str_head(text, sizeof(w->text));
	if (text.p != w->text)
		memcpy(w->text, text.p, text.n);
	w->text_n = text.n;
}

void
walkend_with(struct walk *w, enum verdict verdict, const char *before,
    const char *behind)
{
	char storage[LIMIT_REPORT];
	struct buf text = BUF_ON(storage);

	buf_puts(&text, before);
	buf_put(&text, domain_of(w));
	buf_puts(&text, behind);
	walk_end(w, verdict, buf_str(&text));
}

void
walkend_addresses(struct walk *w)
{
	if (w->attempts > 0)
		walk_end(w, VERDICT_DEFER, (struct str){ w->text, w->text_n });
	else if (w->skipped > 0)
		walkend_with(w, VERDICT_DEFER, "4.4.1 no other address for ",
		    " is left to try");
	else if (w->bogus)
		walkend_with(w, VERDICT_DEFER, "4.7.0 the DNS answers about ",
		    " fail their DNSSEC check");
	else if (w->failed_dns && w->routed && !w->named)
		walkend_with(w, VERDICT_DEFER,
		    "4.4.3 no DNS answer about the host that smtproutes has "
		    "for ",
		    "");
	else if (w->failed_dns)
		walkend_with(w, VERDICT_DEFER,
		    "4.4.3 no DNS answer about the mail hosts of ", "");
	else if (w->self)
		walkend_with(w, VERDICT_FAIL, "5.4.6 the best MX of ",
		    " is this host, which does not know the domain");
	else if (w->cut)
		walkend_with(w, VERDICT_DEFER,
		    "4.4.4 none of the most preferred mail hosts of ",
		    " can be used, and there are too many to try all");
	else if (w->refused > 0)
		walkend_with(w, VERDICT_FAIL, "5.4.4 the mail hosts of ",
		    " have only addresses that are never connected to");
	else if (w->named)
		walkend_with(
		    w, VERDICT_FAIL, "5.1.2 the host ", " has no address");
	else if (w->routed)
		walkend_with(w, VERDICT_DEFER,
		    "4.4.4 the host that smtproutes has "
		    "for ",
		    " has no address");
	else if (w->implicit)
		walkend_with(w, VERDICT_FAIL,
		    "5.1.2 no mail host: ", " has neither MX nor address");
	else
		walkend_with(
		    w, VERDICT_FAIL, "5.4.4 no MX of ", " has an address");
}

void
walk_failed(struct walk *w, const struct walk_target *target, const char *why)
{
	struct buf text = BUF_ON(w->text);

	buf_puts(&text, "4.4.1 ");
	buf_put(&text, target->host);
	buf_puts(&text, " (");
	ip_put(&text, &target->ip);
	buf_puts(&text, ") cannot be connected to: ");
	buf_puts(&text, why);
	w->text_n = text.n;
	w->attempts++;
}

void
walk_met_self(struct walk *w)
{
	w->self = true;
	walkend_addresses(w);
}
