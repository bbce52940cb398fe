/* SPDX-License-Identifier: ISC
 * command: contract in command.h.  Pure.
 */
#include "smtpd/command.h"
#include "common/limits.h"

static const struct {
	const char *name;
	enum command_verb verb;
} verbs[] = {
	{ "HELO", VERB_HELO },
	{ "EHLO", VERB_EHLO },
	{ "MAIL", VERB_MAIL },
	{ "RCPT", VERB_RCPT },
	{ "DATA", VERB_DATA },
	{ "RSET", VERB_RSET },
	{ "NOOP", VERB_NOOP },
	{ "VRFY", VERB_VRFY },
	{ "HELP", VERB_HELP },
	{ "QUIT", VERB_QUIT },
	{ "EXPN", VERB_KNOWN },
	{ "SEND", VERB_KNOWN },
	{ "SOML", VERB_KNOWN },
	{ "SAML", VERB_KNOWN },
	{ "TURN", VERB_KNOWN },
	{ "ETRN", VERB_KNOWN },
	{ "BDAT", VERB_KNOWN },
	{ "AUTH", VERB_KNOWN },
	{ "STARTTLS", VERB_KNOWN },
};

bool
command_parse(struct str line, struct command *out)
{
	struct str name, arg;

	for (size_t i = 0; i < line.n; i++)
		if (line.p[i] < ' ' || line.p[i] > '~')
			return false;
	str_cut(line, ' ', &name, &arg);
	*out = (struct command){ .verb = VERB_UNKNOWN, .arg = str_trim(arg) };
	for (size_t i = 0; i < N_ELEMENTS(verbs); i++)
		if (str_ieq(name, str_of(verbs[i].name)))
			out->verb = verbs[i].verb;
	return true;
}

/* ---- paths ---- */

/* Length of what stands before the > that ends the path; s.n: there is none.
 * In a quoted string > is a byte like any other. */
static size_t
path_length(struct str s)
{
	bool quoted = false;

	for (size_t i = 0; i < s.n; i++) {
		if (quoted && s.p[i] == '\\')
			i++;
		else if (s.p[i] == '"')
			quoted = !quoted;
		else if (s.p[i] == '>' && !quoted)
			return i;
	}
	return s.n;
}

/* "FROM:" [spaces] "<" path ">" [space parameters] */
static bool
take_path(struct str arg, struct str keyword, struct str *path,
    struct str *parameters)
{
	if (!str_istarts(arg, keyword))
		return false;
	struct str rest = str_trim(str_skip(arg, keyword.n));

	if (!str_starts(rest, STR("<")))
		return false;
	rest = str_skip(rest, 1);
	size_t n = path_length(rest);

	if (n == rest.n)
		return false;
	*path = str_head(rest, n);
	rest = str_skip(rest, n + 1);
	if (rest.n > 0 && rest.p[0] != ' ')
		return false;
	*parameters = str_trim(rest);
	return true;
}

/* "@one,@two:" at the start of a path is taken away.  False: a bad one. */
static bool
drop_route(struct str *path)
{
	struct str rest = *path;

	if (!str_starts(rest, STR("@")))
		return true;
	for (;;) {
		size_t n = 1;

		while (n < rest.n && rest.p[n] != ',' && rest.p[n] != ':')
			n++;
		struct str domain = str_skip(str_head(rest, n), 1);

		if (n == rest.n || rest.p[0] != '@' ||
		    !address_is_domain(domain))
			return false;
		bool last = rest.p[n] == ':';

		rest = str_skip(rest, n + 1);
		if (last)
			break;
		if (!str_starts(rest, STR("@")))
			return false;
	}
	*path = rest;
	return true;
}

static enum command_syntax
parse_address(struct str path, bool allow_bare, struct address *out)
{
	if (path.n > LIMIT_PATH - 2)
		return COMMAND_LONG_ADDRESS;
	if (!drop_route(&path))
		return COMMAND_BAD_ADDRESS;
	switch (address_parse(path, allow_bare, out)) {
	case ADDRESS_OK:
		return COMMAND_OK;
	case ADDRESS_TOO_LONG:
		return COMMAND_LONG_ADDRESS;
	case ADDRESS_SYNTAX:
		break;
	}
	return COMMAND_BAD_ADDRESS;
}

/* ---- parameters ---- */

static bool
parse_size(struct str value, uint64_t *size)
{
	if (str_u64(value, UINT64_MAX, size))
		return true;
	/* RFC 1870 3: up to 20 digits, so it may be over 64 bits */
	for (size_t i = 0; i < value.n; i++)
		if (!byte_is_digit(value.p[i]))
			return false;
	*size = UINT64_MAX;
	return value.n > 0 && value.n <= 20;
}

static enum command_syntax
mail_parameter(struct str word, struct command_mail *mail, bool *has_body)
{
	struct str key, value;

	str_cut(word, '=', &key, &value);
	if (str_ieq(key, STR("SIZE"))) {
		if (mail->has_size || !parse_size(value, &mail->size))
			return COMMAND_BAD_PARAMETER;
		mail->has_size = true;
		return COMMAND_OK;
	}
	if (str_ieq(key, STR("BODY"))) {
		if (*has_body || (!str_ieq(value, STR("7BIT")) &&
				     !str_ieq(value, STR("8BITMIME"))))
			return COMMAND_BAD_PARAMETER;
		*has_body = true;
		return COMMAND_OK;
	}
	return COMMAND_NEW_PARAMETER;
}

enum command_syntax
command_mail(struct str arg, struct command_mail *out)
{
	struct str path, rest, word;
	bool has_body = false;
	enum command_syntax e = COMMAND_OK;

	*out = (struct command_mail){ .null = false };
	if (!take_path(arg, STR("FROM:"), &path, &rest))
		return COMMAND_NO_PATH;
	out->null = path.n == 0;
	if (!out->null)
		e = parse_address(path, false, &out->sender);
	while (e == COMMAND_OK && rest.n > 0) {
		str_cut(rest, ' ', &word, &rest);
		rest = str_trim(rest);
		e = mail_parameter(word, out, &has_body);
	}
	return e;
}

enum command_syntax
command_rcpt(struct str arg, struct address *out)
{
	struct str path, parameters;

	if (!take_path(arg, STR("TO:"), &path, &parameters))
		return COMMAND_NO_PATH;
	enum command_syntax e = parse_address(path, true, out);

	if (e != COMMAND_OK)
		return e;
	if (out->domain.n == 0 && !command_is_postmaster(out->local))
		return COMMAND_BAD_ADDRESS;
	return parameters.n == 0 ? COMMAND_OK : COMMAND_NEW_PARAMETER;
}

/* ---- words ---- */

bool
command_is_postmaster(struct str local)
{
	char storage[LIMIT_LOCAL_PART];
	struct buf plain = BUF_ON(storage);

	address_put_unquoted(&plain, local);
	return !plain.full && str_ieq(buf_str(&plain), STR("postmaster"));
}

bool
command_is_helo(struct str arg)
{
	return arg.n > 0 && arg.n <= LIMIT_DOMAIN &&
	       str_find(arg, ' ') == arg.n;
}
