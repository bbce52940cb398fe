/* SPDX-License-Identifier: ISC
 * options: contract in options.h.  Pure.
 */
#include "inject/options.h"

#include <string.h>

static bool
fail(struct options *o, const char *problem, struct str about)
{
	o->problem = problem;
	o->about = about;
	return false;
}

/* ---- options with a meaning ---- */

static bool
on_body(struct options *o, const char *v)
{
	struct str s = str_of(v);

	return str_ieq(s, STR("7BIT")) || str_ieq(s, STR("8BITMIME")) ||
	       fail(o, "-B takes 7BIT or 8BITMIME", s);
}

static bool
on_mode(struct options *o, const char *v)
{
	static const struct {
		char letter;
		enum options_mode mode;
	} modes[] = {
		{ 'm', MODE_MAIL },
		{ 's', MODE_SMTP },
		{ 'p', MODE_LIST },
		{ 'i', MODE_ALIASES },
		{ 'v', MODE_VERIFY },
	};

	for (size_t i = 0; v[0] != '\0' && i < N_ELEMENTS(modes); i++)
		if (v[0] == modes[i].letter) {
			o->mode = modes[i].mode;
			return true;
		}
	if (v[0] == 'd' || v[0] == 'D')
		return fail(o,
		    "postern-start runs the mail server; leave out -b",
		    str_of(v));
	return fail(o, "there is no such mode of -b", str_of(v));
}

static bool
on_config(struct options *o, const char *v)
{
	return fail(o,
	    "there is no other configuration file than /etc/postern; "
	    "leave out -C",
	    str_of(v));
}

static bool
on_name(struct options *o, const char *v)
{
	o->name = v;
	return true;
}

static bool
on_sender(struct options *o, const char *v)
{
	o->sender = v;
	return true;
}

static bool
on_hops(struct options *o, const char *v)
{
	uint64_t n;

	return str_u64(str_of(v), UINT32_MAX, &n) ||
	       fail(o, "-h takes a number", str_of(v));
}

static bool
on_aliases(struct options *o, const char *v)
{
	(void)v;
	o->mode = MODE_ALIASES;
	return true;
}

static bool
on_ignore_dots(struct options *o, const char *v)
{
	(void)v;
	o->ignore_dots = true;
	return true;
}

/* RFC 3461 4.1: NEVER, or some of SUCCESS, FAILURE, DELAY */
static bool
on_notify(struct options *o, const char *v)
{
	struct str rest = str_of(v), word;
	bool more = true, never = str_ieq(rest, STR("NEVER"));

	while (!never && more) {
		more = str_cut(rest, ',', &word, &rest);
		if (!str_ieq(word, STR("SUCCESS")) &&
		    !str_ieq(word, STR("FAILURE")) &&
		    !str_ieq(word, STR("DELAY")))
			return fail(o,
			    "-N takes never, or some of success,failure,delay",
			    str_of(v));
	}
	return true;
}

static bool
on_return(struct options *o, const char *v)
{
	struct str s = str_of(v);

	return str_ieq(s, STR("FULL")) || str_ieq(s, STR("HDRS")) ||
	       fail(o, "-R takes full or hdrs", s);
}

static bool
on_envelope_id(struct options *o, const char *v)
{
	struct str s = str_of(v);
	bool good = s.n > 0 && s.n <= 100; /* RFC 3461 4.4 */

	for (size_t i = 0; i < s.n; i++)
		good = good && s.p[i] > ' ' && s.p[i] <= '~';
	return good || fail(o, "-V takes up to 100 printable characters", s);
}

/* Of all that sendmail can set, one option changes what we do. */
static bool
on_short_option(struct options *o, const char *v)
{
	if (strcmp(v, "i") == 0)
		o->ignore_dots = true;
	return true;
}

static bool
on_long_option(struct options *o, const char *v)
{
	struct str name, value;

	str_cut(str_of(v), '=', &name, &value);
	if (str_ieq(name, STR("IgnoreDots")))
		o->ignore_dots = value.n == 0 ||
				 byte_lower(value.p[0]) == 't' ||
				 byte_lower(value.p[0]) == 'y';
	return true;
}

static bool
on_run(struct options *o, const char *v)
{
	o->mode = MODE_RUN;
	o->run = str_of(v);
	return true;
}

static bool
on_header_recipients(struct options *o, const char *v)
{
	(void)v;
	o->header_recipients = true;
	return true;
}

static bool
on_verbose(struct options *o, const char *v)
{
	(void)v;
	o->verbose = true;
	return true;
}

/* What changes nothing here: postern-sendmail(8) says why of each. */
static bool
on_ignored(struct options *o, const char *v)
{
	(void)o;
	(void)v;
	return true;
}

/* ---- the command line ---- */

enum value { VALUE_NONE, VALUE_WANTED, VALUE_BESIDE /* attached, or none */ };

static const struct {
	char letter;
	enum value value;
	bool (*take)(struct options *, const char *value);
} letters[] = {
	{ 'A', VALUE_WANTED, on_ignored },
	{ 'B', VALUE_WANTED, on_body },
	{ 'C', VALUE_WANTED, on_config },
	{ 'D', VALUE_WANTED, on_ignored },
	{ 'F', VALUE_WANTED, on_name },
	{ 'G', VALUE_NONE, on_ignored },
	{ 'I', VALUE_NONE, on_aliases },
	{ 'L', VALUE_WANTED, on_ignored },
	{ 'N', VALUE_WANTED, on_notify },
	{ 'O', VALUE_WANTED, on_long_option },
	{ 'R', VALUE_WANTED, on_return },
	{ 'U', VALUE_NONE, on_ignored },
	{ 'V', VALUE_WANTED, on_envelope_id },
	{ 'X', VALUE_WANTED, on_ignored },
	{ 'b', VALUE_WANTED, on_mode },
	{ 'd', VALUE_BESIDE, on_ignored },
	{ 'e', VALUE_WANTED, on_ignored },
	{ 'f', VALUE_WANTED, on_sender },
	{ 'h', VALUE_WANTED, on_hops },
	{ 'i', VALUE_NONE, on_ignore_dots },
	{ 'm', VALUE_NONE, on_ignored },
	{ 'n', VALUE_NONE, on_ignored },
	{ 'o', VALUE_WANTED, on_short_option },
	{ 'p', VALUE_WANTED, on_ignored },
	{ 'q', VALUE_BESIDE, on_run },
	{ 'r', VALUE_WANTED, on_sender },
	{ 's', VALUE_NONE, on_ignored },
	{ 't', VALUE_NONE, on_header_recipients },
	{ 'v', VALUE_NONE, on_verbose },
};

static bool
take_long(struct options *o, const char *arg)
{
	if (strcmp(arg, "--id") == 0)
		o->id = true;
	else if (strcmp(arg, "--help") == 0)
		o->mode = MODE_HELP;
	else if (strcmp(arg, "--version") == 0)
		o->mode = MODE_VERSION;
	else
		return fail(o, "unknown option", str_of(arg));
	return true;
}

/* The option at p, a letter of a cluster; *next becomes the cluster's rest.
 * `beside` is the argument behind the cluster, or NULL; *took: it was used. */
static bool
take_letter(struct options *o, const char *p, const char *beside,
    const char **next, bool *took)
{
	for (size_t i = 0; i < N_ELEMENTS(letters); i++) {
		if (*p != letters[i].letter)
			continue;
		*next = p + 1;
		if (letters[i].value == VALUE_NONE)
			return letters[i].take(o, "");
		*next = "";
		if (p[1] != '\0' || letters[i].value == VALUE_BESIDE)
			return letters[i].take(o, p + 1);
		*took = beside != NULL;
		if (beside == NULL)
			return fail(o, "this option needs a value",
			    (struct str){ .p = p, .n = 1 });
		return letters[i].take(o, beside);
	}
	return fail(o, "unknown option", (struct str){ .p = p, .n = 1 });
}

/* "-letters"; *took: the argument behind it belongs to it. */
static bool
take_cluster(struct options *o, const char *p, const char *beside, bool *took)
{
	while (*p != '\0')
		if (!take_letter(o, p, beside, &p, took))
			return false;
	return true;
}

static enum options_mode
mode_of(const char *program)
{
	struct str head, base;

	str_rcut(str_of(program), '/', &head, &base);
	if (base.n == 0)
		base = head;
	if (str_eq(base, STR("mailq")))
		return MODE_LIST;
	if (str_eq(base, STR("newaliases")))
		return MODE_ALIASES;
	return MODE_MAIL;
}

bool
options_parse(int argc, char **argv, struct options *o)
{
	bool only_recipients = false;
	int kept = 1;

	*o = (struct options){ .mode = mode_of(argc > 0 ? argv[0] : "") };
	for (int i = 1; i < argc; i++) {
		char *arg = argv[i];
		bool took = false, ok = true;

		if (only_recipients || arg[0] != '-' || arg[1] == '\0')
			argv[kept++] = arg;
		else if (strcmp(arg, "--") == 0)
			only_recipients = true;
		else if (arg[1] == '-')
			ok = take_long(o, arg);
		else
			ok = take_cluster(o, arg + 1,
			    i + 1 < argc ? argv[i + 1] : NULL, &took);
		if (!ok)
			return false;
		if (took)
			i++;
	}
	o->recipients = argv + 1;
	o->recipient_count = (size_t)(kept - 1);
	return true;
}
