/* SPDX-License-Identifier: ISC
 * field: contract in field.h.  Pure.
 */
#include "inject/field.h"

static const struct {
	const char *name;
	enum field_kind kind;
} names[] = {
	{ "From", FIELD_FROM },
	{ "Sender", FIELD_SENDER },
	{ "Reply-To", FIELD_REPLY_TO },
	{ "Mail-Reply-To", FIELD_REPLY_TO },
	{ "Mail-Followup-To", FIELD_REPLY_TO },
	{ "Errors-To", FIELD_REPLY_TO },
	{ "Return-Receipt-To", FIELD_REPLY_TO },
	{ "Disposition-Notification-To", FIELD_REPLY_TO },
	{ "To", FIELD_TO },
	{ "Cc", FIELD_CC },
	{ "Bcc", FIELD_BCC },
	{ "Apparently-To", FIELD_APPARENTLY_TO },
	{ "Date", FIELD_DATE },
	{ "Message-ID", FIELD_MESSAGE_ID },
	{ "Return-Path", FIELD_RETURN_PATH },
	{ "Content-Length", FIELD_CONTENT_LENGTH },
	{ "MIME-Version", FIELD_MIME },
	{ "Received", FIELD_RECEIVED },
	{ "Resent-From", FIELD_RESENT_FROM },
	{ "Resent-Sender", FIELD_RESENT_SENDER },
	{ "Resent-Reply-To", FIELD_RESENT_REPLY_TO },
	{ "Resent-To", FIELD_RESENT_TO },
	{ "Resent-Cc", FIELD_RESENT_CC },
	{ "Resent-Bcc", FIELD_RESENT_BCC },
	{ "Resent-Date", FIELD_RESENT_DATE },
	{ "Resent-Message-ID", FIELD_RESENT_MESSAGE_ID },
	{ "In-Reply-To", FIELD_STRUCTURED },
	{ "References", FIELD_STRUCTURED },
	{ "DKIM-Signature", FIELD_STRUCTURED },
	{ "Authentication-Results", FIELD_STRUCTURED },
	{ "Autocrypt", FIELD_STRUCTURED },
	{ "Auto-Submitted", FIELD_STRUCTURED },
	{ "Received-SPF", FIELD_STRUCTURED },
};

static enum field_kind
kind_of(struct str name)
{
	for (size_t i = 0; i < N_ELEMENTS(names); i++)
		if (str_ieq(name, str_of(names[i].name)))
			return names[i].kind;
	if (str_istarts(name, STR("Content-")))
		return FIELD_MIME;
	if (str_istarts(name, STR("List-")) || str_istarts(name, STR("ARC-")))
		return FIELD_STRUCTURED;
	return FIELD_OTHER;
}

enum line_kind { LINE_FIELD, LINE_FOLDED, LINE_EMPTY, LINE_NONE, LINE_OPEN };

/* What the line at the start of s is, going by its first bytes; OPEN: it needs
 * more of them. */
static enum line_kind
line_kind(struct str s, bool eof)
{
	size_t n = 0;

	if (s.n == 0)
		return eof ? LINE_NONE : LINE_OPEN;
	if (s.p[0] == '\n')
		return LINE_EMPTY;
	if (s.p[0] == ' ' || s.p[0] == '\t')
		return LINE_FOLDED;
	while (n < s.n && s.p[n] > ' ' && s.p[n] < 0x7f && s.p[n] != ':')
		n++;
	size_t name = n;

	while (n < s.n && (s.p[n] == ' ' || s.p[n] == '\t'))
		n++; /* RFC 5322 4.5: space before the colon */
	if (n == s.n)
		return eof ? LINE_NONE : LINE_OPEN;
	return name > 0 && s.p[n] == ':' ? LINE_FIELD : LINE_NONE;
}

static bool
is_mbox_line(struct str s)
{
	return str_starts(s, STR("From ")) || str_starts(s, STR(">From "));
}

/* The first line, when it is one of mbox, and may be a field: "From : x". */
static size_t
mbox_length(struct str in)
{
	size_t n = str_find(in, '\n');

	if (!is_mbox_line(in) || line_kind(in, true) == LINE_FIELD)
		return 0;
	return n < in.n ? n + 1 : in.n;
}

enum header_end
header_find(struct str in, bool eof, struct str *header, size_t *body_at)
{
	size_t at = mbox_length(in);
	size_t start = at;

	for (;;) {
		struct str line = str_skip(in, at);
		enum line_kind kind = line_kind(line, eof);
		size_t n = str_find(line, '\n');

		if (kind == LINE_FOLDED && at == start)
			kind = LINE_NONE;
		if (kind == LINE_OPEN ||
		    (kind != LINE_NONE && kind != LINE_EMPTY && n == line.n &&
			!eof))
			return HEADER_MORE;
		if (kind == LINE_NONE || kind == LINE_EMPTY) {
			*header = str_skip(str_head(in, at), start);
			*body_at = kind == LINE_EMPTY ? at + 1 : at;
			return HEADER_FOUND;
		}
		at += n < line.n ? n + 1 : n;
	}
}

bool
field_next(struct str *rest, struct field *f)
{
	size_t n = str_find(*rest, '\n');
	struct str all;

	if (rest->n == 0)
		return false;
	while (n + 1 < rest->n &&
	       (rest->p[n + 1] == ' ' || rest->p[n + 1] == '\t'))
		n += 1 + str_find(str_skip(*rest, n + 1), '\n');
	all = str_head(*rest, n);
	*rest = str_skip(*rest, n + 1);
	str_cut(all, ':', &f->name, &f->body);
	f->name = str_trim(f->name);
	f->kind = kind_of(f->name);
	return true;
}
