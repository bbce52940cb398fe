/* SPDX-License-Identifier: ISC
 * outcome: contract in outcome.h.
 */
#include "inject/outcome.h"

#include <string.h>

enum { ABOUT_MAX = 200 };

void
outcome_set(struct outcome *o, enum outcome_kind kind, const char *text)
{
	o->kind = kind;
	o->id[0] = '\0';
	o->text = BUF_ON(o->room);
	buf_puts(&o->text, text);
}

void
outcome_add(struct outcome *o, struct str about)
{
	buf_puts(&o->text, ": ");
	about = str_head(about, ABOUT_MAX);
	for (size_t i = 0; i < about.n; i++) {
		bool plain = about.p[i] >= ' ' && about.p[i] <= '~';

		buf_putc(&o->text, plain ? about.p[i] : '?');
	}
}

void
outcome_set_about(struct outcome *o, enum outcome_kind kind, const char *text,
    struct str about)
{
	outcome_set(o, kind, text);
	outcome_add(o, about);
}

void
outcome_set_errno(
    struct outcome *o, enum outcome_kind kind, const char *text, int error)
{
	outcome_set(o, kind, text);
	outcome_add(o, str_of(strerror(error)));
}
