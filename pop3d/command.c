/* SPDX-License-Identifier: ISC
 * command: contract in command.h.
 */
#include "pop3d/command.h"

enum { NUMBER_MAX = 2147483647 };

enum argument {
	ARG_NONE,
	ARG_TEXT,   /* the rest of the line, spaces at its end cut */
	ARG_SECRET, /* the rest of the line as it is: a password has any byte */
	ARG_NUMBER,
	ARG_OPTIONAL_NUMBER,
	ARG_NUMBER_AND_LINES
};

static const struct {
	const char *name;
	enum pop3_verb verb;
	enum argument argument;
} verbs[] = {
	{ "RETR", POP3_RETR, ARG_NUMBER },
	{ "DELE", POP3_DELE, ARG_NUMBER },
	{ "STAT", POP3_STAT, ARG_NONE },
	{ "LIST", POP3_LIST, ARG_OPTIONAL_NUMBER },
	{ "UIDL", POP3_UIDL, ARG_OPTIONAL_NUMBER },
	{ "TOP", POP3_TOP, ARG_NUMBER_AND_LINES },
	{ "USER", POP3_USER, ARG_TEXT },
	{ "PASS", POP3_PASS, ARG_SECRET },
	{ "QUIT", POP3_QUIT, ARG_NONE },
	{ "CAPA", POP3_CAPA, ARG_NONE },
	{ "NOOP", POP3_NOOP, ARG_NONE },
	{ "RSET", POP3_RSET, ARG_NONE },
};

enum pop3_line_status
pop3_line_next(
    struct pop3_line *s, struct str in, struct str *line, size_t *used)
{
	size_t end = str_find(in, '\n');

	if (end == in.n) {
		if (in.n >= POP3_LINE_MAX)
			s->skipping = true;
		*used = s->skipping ? in.n : 0;
		return POP3_LINE_MORE;
	}
	*used = end + 1;
	if (s->skipping || end >= POP3_LINE_MAX) {
		s->skipping = false;
		return POP3_LINE_TOO_LONG;
	}
	if (end == 0 || in.p[end - 1] != '\r')
		return POP3_LINE_BARE_LF;
	*line = str_head(in, end - 1);
	return POP3_LINE_OK;
}

/* Control bytes are good for nothing in a command.  A password is somebody's
 * choice: only what could end a line or a C string is refused. */
static bool
bytes_allowed(struct str s, bool secret)
{
	for (size_t i = 0; i < s.n; i++) {
		unsigned char c = (unsigned char)s.p[i];
		if (c == '\0' || c == '\r')
			return false;
		if (!secret && (c < 0x20 || c == 0x7f))
			return false;
	}
	return true;
}

static struct str
cut_spaces(struct str s)
{
	while (s.n > 0 && s.p[s.n - 1] == ' ')
		s.n--;
	return s;
}

static bool
parse_number(struct str s, uint32_t *v)
{
	uint64_t wide;

	if (!str_u64(s, NUMBER_MAX, &wide))
		return false;
	*v = (uint32_t)wide;
	return true;
}

static bool
parse_argument(
    enum argument kind, bool space, struct str rest, struct pop3_command *c)
{
	if (!bytes_allowed(rest, kind == ARG_SECRET))
		return false;
	if (kind != ARG_SECRET)
		rest = cut_spaces(rest);
	switch (kind) {
	case ARG_NONE:
		return rest.n == 0;
	case ARG_TEXT:
	case ARG_SECRET:
		c->text = rest;
		return space && rest.n > 0;
	case ARG_OPTIONAL_NUMBER:
		if (rest.n == 0)
			return true;
		c->has_number = true;
		return parse_number(rest, &c->number);
	case ARG_NUMBER:
		c->has_number = true;
		return parse_number(rest, &c->number);
	case ARG_NUMBER_AND_LINES: {
		struct str lines;
		c->has_number = true;
		return str_cut(rest, ' ', &rest, &lines) &&
		       parse_number(rest, &c->number) &&
		       parse_number(lines, &c->lines);
	}
	}
	return false;
}

enum pop3_status
pop3_command_parse(struct str line, struct pop3_command *c)
{
	struct str verb, rest;
	bool space = str_cut(line, ' ', &verb, &rest);

	*c = (struct pop3_command){ .verb = POP3_NOOP };
	for (size_t i = 0; i < N_ELEMENTS(verbs); i++) {
		if (!str_ieq(verb, str_of(verbs[i].name)))
			continue;
		c->verb = verbs[i].verb;
		return parse_argument(verbs[i].argument, space, rest, c)
			   ? POP3_OK
			   : POP3_SYNTAX;
	}
	return POP3_UNKNOWN;
}
