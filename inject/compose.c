/* SPDX-License-Identifier: ISC
 * compose: contract in compose.h.  Pure.
 */
#include "inject/compose.h"

#include <string.h>
#include "common/clock.h"
#include "inject/phrase.h"
#include "inject/words.h"

enum { LINE_LIMIT = 998 }; /* RFC 5322 2.1.1 */

/* ---- what is there ---- */

static bool
is_resent(enum field_kind k)
{
	return k >= FIELD_RESENT_FROM && k <= FIELD_RESENT_MESSAGE_ID;
}

/* RFC 5322 3.6.6: each resending puts a block in front, so the newest set ends
 * where a field comes again, or a trace field. */
static void
survey_resent(struct compose_survey *s, enum field_kind kind, size_t i,
    bool *ended, bool content)
{
	if (*ended)
		return;
	if (kind == FIELD_RECEIVED ? s->resent : s->seen[kind]) {
		*ended = true;
		return;
	}
	if (!is_resent(kind))
		return;
	s->resent = true;
	s->resent_end = i + 1;
	s->seen[kind] = content;
}

void
compose_survey(struct str header, struct compose_survey *s)
{
	struct field f;
	bool ended = false;

	*s = (struct compose_survey){ 0 };
	for (size_t i = 0; field_next(&header, &f); i++) {
		bool content = str_trim(f.body).n > 0;

		if (is_resent(f.kind) || f.kind == FIELD_RECEIVED)
			survey_resent(s, f.kind, i, &ended, content);
		else if (content)
			s->seen[f.kind] = true;
	}
	s->mime = s->seen[FIELD_MIME];
}

/* ---- output ---- */

/* Puts the lines of a field; one over the limit is folded where it has space
 * (RFC 5322 2.2.3), and stays long where it has none. */
static void
put_folded(struct buf *out, struct str text)
{
	struct str line;

	while (str_line(&text, &line)) {
		if (str_trim(line).n == 0)
			continue; /* nothing but space ends no header */
		while (line.n > LINE_LIMIT) {
			size_t at = LINE_LIMIT;

			while (
			    at > 1 && line.p[at] != ' ' && line.p[at] != '\t')
				at--;
			if (str_trim(str_head(line, at)).n == 0 ||
			    line.p[at - 1] == ':' || at <= 1 ||
			    str_trim(str_skip(line, at)).n == 0)
				break;
			buf_put(out, str_head(line, at));
			buf_putc(out, '\n');
			line = str_skip(line, at);
		}
		buf_put(out, line);
		buf_putc(out, '\n');
	}
}

/* One field's text on its way out. */
static char field_room[COMPOSE_OUT];

static struct buf
field_begin(struct str name)
{
	struct buf b = BUF_ON(field_room);

	buf_put(&b, name);
	buf_putc(&b, ':');
	return b;
}

static void
field_end(struct compose *c, const struct buf *b)
{
	if (b->full)
		c->out->full = true;
	put_folded(c->out, buf_str(b));
}

/* ---- fields with addresses ---- */

static bool
is_recipient(const struct compose *c, enum field_kind k, size_t i)
{
	bool first_set = i < c->survey->resent_end;

	if (!c->request->recipients)
		return false;
	if (c->survey->resent)
		return first_set &&
		       (k == FIELD_RESENT_TO || k == FIELD_RESENT_CC ||
			   k == FIELD_RESENT_BCC);
	return k == FIELD_TO || k == FIELD_CC || k == FIELD_BCC ||
	       k == FIELD_APPARENTLY_TO;
}

static bool
is_dropped(const struct compose *c, enum field_kind k)
{
	switch ((int)k) {
	case FIELD_BCC:
	case FIELD_RESENT_BCC:
	case FIELD_APPARENTLY_TO:
	case FIELD_RETURN_PATH:
	case FIELD_CONTENT_LENGTH:
		return true;
	case FIELD_FROM:
		return c->request->drop_from;
	case FIELD_MESSAGE_ID:
		return c->request->drop_message_id;
	default:
		return false;
	}
}

/* A list that is none is an error only where its addresses count. */
static bool
put_list(struct compose *c, const struct field *f, size_t i)
{
	struct buf b = field_begin(f->name);
	bool counts = is_recipient(c, f->kind, i);

	c->list = (struct addrlist){ .defaults = &c->request->defaults,
		.out = is_dropped(c, f->kind) ? NULL : &b,
		.each = counts ? c->each : NULL,
		.arg = c->arg };
	if (!addrlist_run(&c->list, f->body)) {
		c->problem = c->list.problem;
		c->field = f->name;
		c->at = c->list.at;
		if (counts)
			return false;
		c->problem = NULL;
		b = field_begin(f->name);
		words_put_text(&b, f->body);
	} else if (c->list.empty) {
		return true;
	}
	if (is_dropped(c, f->kind))
		return true;
	if (f->kind == FIELD_FROM)
		c->authors += c->list.mailboxes;
	c->put[f->kind] = true;
	field_end(c, &b);
	return true;
}

static void
take_return_path(struct compose *c, const struct field *f)
{
	c->list = (struct addrlist){ .defaults = &c->request->defaults,
		.each = c->return_path,
		.arg = c->arg,
		.allow_null = true };
	(void)addrlist_run(&c->list, f->body); /* a broken one is none */
}

static void
put_text(struct compose *c, const struct field *f)
{
	struct buf b = field_begin(f->name);

	if (f->kind == FIELD_OTHER)
		words_put_text(&b, f->body);
	else
		buf_put(&b, f->body);
	field_end(c, &b);
}

/* Fields that RFC 5322 does not let be empty, and scripts leave so. */
static bool
is_empty_unfit(const struct field *f)
{
	return str_trim(f->body).n == 0 &&
	       (f->kind == FIELD_DATE || f->kind == FIELD_MESSAGE_ID);
}

static bool
put_field(struct compose *c, const struct field *f, size_t i)
{
	switch (f->kind) {
	case FIELD_FROM:
	case FIELD_SENDER:
	case FIELD_REPLY_TO:
	case FIELD_TO:
	case FIELD_CC:
	case FIELD_BCC:
	case FIELD_APPARENTLY_TO:
	case FIELD_RESENT_FROM:
	case FIELD_RESENT_SENDER:
	case FIELD_RESENT_REPLY_TO:
	case FIELD_RESENT_TO:
	case FIELD_RESENT_CC:
	case FIELD_RESENT_BCC:
		return put_list(c, f, i);
	case FIELD_RETURN_PATH:
		if (c->return_path != NULL)
			take_return_path(c, f);
		return true;
	case FIELD_OTHER:
	case FIELD_STRUCTURED:
	case FIELD_DATE:
	case FIELD_MESSAGE_ID:
	case FIELD_CONTENT_LENGTH:
	case FIELD_MIME:
	case FIELD_RECEIVED:
	case FIELD_RESENT_DATE:
	case FIELD_RESENT_MESSAGE_ID:
	case FIELD_KINDS:
		break;
	}
	if (is_dropped(c, f->kind) || is_empty_unfit(f))
		return true;
	c->put[f->kind] = true;
	put_text(c, f);
	return true;
}

/* ---- fields that are missing ---- */

/* May it stand between parentheses as it is? */
static bool
is_comment_text(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] < ' ' || s.p[i] > '~' || s.p[i] == '(' ||
		    s.p[i] == ')' || s.p[i] == '\\')
			return false;
	return true;
}

static void
put_address(struct compose *c, const char *name)
{
	const struct compose_request *r = c->request;
	struct buf b = field_begin(str_of(name));

	buf_putc(&b, ' ');
	if (r->from_name.n == 0) {
		buf_put(&b, r->from);
	} else if (r->name_in_comment && is_comment_text(r->from_name)) {
		buf_put(&b, r->from);
		buf_puts(&b, " (");
		buf_put(&b, r->from_name);
		buf_putc(&b, ')');
	} else {
		phrase_put_name(&b, r->from_name);
		buf_puts(&b, " <");
		buf_put(&b, r->from);
		buf_putc(&b, '>');
	}
	field_end(c, &b);
}

static void
put_date(struct compose *c, const char *name)
{
	buf_puts(c->out, name);
	buf_puts(c->out, ": ");
	clock_put_rfc5322(c->out, c->request->now_us / 1000000);
	buf_putc(c->out, '\n');
}

static void
put_message_id(struct compose *c, const char *name)
{
	buf_puts(c->out, name);
	buf_puts(c->out, ": <");
	buf_put_u64(c->out, (uint64_t)c->request->now_us);
	buf_putc(c->out, '.');
	buf_put_u64(c->out, c->request->pid);
	buf_puts(c->out, ".postern@");
	buf_put(c->out, c->request->id_host);
	buf_puts(c->out, ">\n");
}

/* RFC 5322 3.6.6: the set stands at the top */
static void
put_missing_resent(struct compose *c)
{
	const bool *seen = c->survey->seen;

	if (!c->survey->resent)
		return;
	if (!seen[FIELD_RESENT_DATE])
		put_date(c, "Resent-Date");
	if (!seen[FIELD_RESENT_FROM])
		put_address(c, "Resent-From");
	if (!seen[FIELD_RESENT_MESSAGE_ID])
		put_message_id(c, "Resent-Message-ID");
}

static void
put_missing_mime(struct compose *c)
{
	if (!c->mime.add)
		return;
	buf_puts(c->out, "MIME-Version: 1.0\n"
			 "Content-Type: text/plain; charset=");
	buf_puts(c->out, c->mime.charset);
	buf_puts(c->out, "\nContent-Transfer-Encoding: quoted-printable\n");
}

static void
put_missing(struct compose *c)
{
	if (!c->put[FIELD_DATE])
		put_date(c, "Date");
	if (!c->put[FIELD_FROM])
		put_address(c, "From");
	else if (c->authors > 1 && !c->put[FIELD_SENDER])
		put_address(c, "Sender"); /* RFC 5322 3.6.2 */
	if (!c->put[FIELD_MESSAGE_ID])
		put_message_id(c, "Message-ID");
	if (!c->put[FIELD_TO] && !c->put[FIELD_CC])
		buf_puts(c->out, "To: undisclosed-recipients:;\n");
	put_missing_mime(c);
	buf_putc(c->out, '\n');
}

bool
compose_run(struct compose *c, struct str header)
{
	struct field f;

	c->problem = NULL;
	c->authors = 0;
	memset(c->put, 0, sizeof(c->put));
	put_missing_resent(c);
	for (size_t i = 0; field_next(&header, &f); i++)
		if (!put_field(c, &f, i))
			return false;
	put_missing(c);
	return true;
}
