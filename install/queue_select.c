/* SPDX-License-Identifier: ISC
 * queue_select: contract in queue_select.h.
 */
#include "install/queue_select.h"

#include <stdio.h>
#include <string.h>

static const struct {
	char letter;
	const char *name;
} states[] = {
	{ 'n', "new" },
	{ 'w', "deferred" },
	{ 'h', "held" },
	{ 'a', "active" },
	{ 'b', "bouncing" },
	{ 'm', "done" },
};

const char *
queue_state_name(char letter)
{
	for (size_t i = 0; i < N_ELEMENTS(states); i++)
		if (states[i].letter == letter)
			return states[i].name;
	return "?";
}

bool
queue_args_id(const char *arg, uint64_t *id)
{
	if (str_hex64(str_of(arg), id) && *id != 0)
		return true;
	fprintf(stderr,
	    "postern queue: %s is no queue id (16 hexadecimal digits)\n", arg);
	return false;
}

/* ---- values ---- */

/* A number and a unit, one of `units` (a letter each, worth factors[i]); the
 * last unit, '\0', is a bare number. */
static bool
measure(struct str s, const char *units, const uint64_t *factors, uint64_t *v)
{
	uint64_t number;
	char unit = '\0';

	if (s.n > 0 && !byte_is_digit(s.p[s.n - 1])) {
		unit = s.p[s.n - 1];
		s = str_head(s, s.n - 1);
	}
	if (!str_u64(s, UINT32_MAX, &number))
		return false;
	for (size_t i = 0;; i++) {
		if (units[i] == unit) {
			*v = number * factors[i];
			return true;
		}
		if (units[i] == '\0')
			return false;
	}
}

static bool
read_span(struct str s, uint64_t *seconds)
{
	static const uint64_t factors[] = { 1, 60, 3600, 86400, 604800, 1 };
	return measure(s, "smhdw", factors, seconds);
}

static bool
read_size(struct str s, uint64_t *bytes)
{
	static const uint64_t factors[] = { 1024, 1024, 1048576, 1048576,
		1073741824, 1073741824, 1 };
	return measure(s, "kKmMgG", factors, bytes);
}

static bool
add_state(struct queue_args *a, struct str name)
{
	for (size_t i = 0; i < N_ELEMENTS(states); i++) {
		if (!str_ieq(name, str_of(states[i].name)))
			continue;
		if (a->what.states.n == sizeof(a->states))
			return false;
		a->states[a->what.states.n++] = states[i].letter;
		a->what.states.p = a->states;
		return true;
	}
	return false;
}

static bool
read_states(struct queue_args *a, struct str list)
{
	struct str one;
	bool more = true;

	while (more) {
		more = str_cut(list, ',', &one, &list);
		if (!add_state(a, str_trim(one)))
			return false;
	}
	return true;
}

static bool
read_pattern(struct str s, struct str *out)
{
	*out = s;
	return s.n > 0 && s.n <= SELECT_PATTERN;
}

/* ---- options ---- */

enum option {
	SENDER,
	RECIPIENT,
	DOMAIN,
	OLDER,
	NEWER,
	LARGER,
	SMALLER,
	STATE,
	REASON,
	LIMIT,
	TEXT,
	TOP,
	ALL,
	DRY,
	JSON,
	WIDE,
	SENDERS
};

static const struct {
	const char *name;
	enum option option;
	const char *value; /* what it is; NULL: it takes none */
} options[] = {
	{ "--sender", SENDER, "a pattern of at most 320 characters" },
	{ "--recipient", RECIPIENT, "a pattern of at most 320 characters" },
	{ "--domain", DOMAIN, "a pattern of at most 320 characters" },
	{ "--older", OLDER, "a time such as 90s, 10m, 2h, 3d or 1w" },
	{ "--newer", NEWER, "a time such as 90s, 10m, 2h, 3d or 1w" },
	{ "--larger", LARGER, "a size such as 4096, 100K, 2M or 1G" },
	{ "--smaller", SMALLER, "a size such as 4096, 100K, 2M or 1G" },
	{ "--state", STATE,
	    "some of new, deferred, held, active, bouncing and done, with "
	    "commas" },
	{ "--reason", REASON, "a text of at most 320 characters" },
	{ "--limit", LIMIT, "a number of messages" },
	{ "--text", TEXT, "a line of at most 320 printable characters" },
	{ "--top", TOP, "a number of lines" },
	{ "--all", ALL, NULL },
	{ "--dry-run", DRY, NULL },
	{ "--json", JSON, NULL },
	{ "--wide", WIDE, NULL },
	{ "-w", WIDE, NULL },
	{ "--senders", SENDERS, NULL },
};

static bool
take_flag(struct queue_args *a, enum option option)
{
	a->all = a->all || option == ALL;
	a->dry = a->dry || option == DRY;
	a->json = a->json || option == JSON;
	a->wide = a->wide || option == WIDE;
	a->senders = a->senders || option == SENDERS;
	return true;
}

/* Birth times of messages of that age. */
static bool
read_age(struct queue_args *a, enum option option, struct str v, int64_t now)
{
	uint64_t seconds;

	if (!read_span(v, &seconds))
		return false;
	uint64_t then = (uint64_t)now > seconds ? (uint64_t)now - seconds : 1;
	if (option == OLDER)
		a->what.born_until = then;
	else
		a->what.born_from = then;
	return true;
}

static bool
is_line(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] < 0x20 || s.p[i] > 0x7e)
			return false;
	return s.n > 0 && s.n <= SELECT_PATTERN - 8;
}

static bool
take_value(struct queue_args *a, enum option option, struct str v, int64_t now)
{
	a->filtered = a->filtered || option < LIMIT;
	switch (option) {
	case SENDER:
		return read_pattern(v, &a->what.sender);
	case RECIPIENT:
		return read_pattern(v, &a->what.rcpt);
	case DOMAIN:
		return read_pattern(v, &a->what.domain);
	case REASON:
		return read_pattern(v, &a->what.reason);
	case OLDER:
	case NEWER:
		return read_age(a, option, v, now);
	case LARGER:
		return read_size(v, &a->what.size_from);
	case SMALLER:
		/* none is smaller than that; 0 would be no bound */
		return read_size(v, &a->what.size_until) &&
		       a->what.size_until > 0;
	case STATE:
		return read_states(a, v);
	case LIMIT:
		return str_u64(v, INT32_MAX, &a->limit) && a->limit > 0;
	case TOP:
		return str_u64(v, INT32_MAX, &a->top) && a->top > 0;
	case TEXT:
		a->text = v;
		return is_line(v);
	case ALL:
	case DRY:
	case JSON:
	case WIDE:
	case SENDERS:
		break;
	}
	return false;
}

static int
find_option(struct str name)
{
	for (size_t i = 0; i < N_ELEMENTS(options); i++)
		if (str_eq(name, str_of(options[i].name)))
			return (int)i;
	return -1;
}

/* Reads the option at argv[*i], and its value, which may be the next. */
static bool
take_option(struct queue_args *a, int argc, char **argv, int *i, int64_t now)
{
	struct str name, value;
	bool joined = str_cut(str_of(argv[*i]), '=', &name, &value);
	int found = find_option(name);

	if (found < 0) {
		fprintf(stderr,
		    "postern queue: there is no option %.*s; see postern queue "
		    "--help\n",
		    (int)name.n, name.p);
		return false;
	}
	const char *what = options[found].value;
	if (what == NULL && !joined)
		return take_flag(a, options[found].option);
	if (what != NULL && !joined && *i + 1 < argc) {
		value = str_of(argv[++*i]);
		joined = true;
	}
	if (what != NULL && joined &&
	    take_value(a, options[found].option, value, now))
		return true;
	fprintf(stderr, "postern queue: %s takes %s\n", options[found].name,
	    what == NULL ? "no value" : what);
	return false;
}

bool
queue_args_read(struct queue_args *a, int argc, char **argv, int64_t now)
{
	int ids = 0;
	bool rest = false; /* behind -- */

	*a = (struct queue_args){ .ids = argv };
	for (int i = 0; i < argc; i++) {
		uint64_t id;

		if (!rest && strcmp(argv[i], "--") == 0) {
			rest = true;
		} else if (!rest && argv[i][0] == '-') {
			if (!take_option(a, argc, argv, &i, now))
				return false;
		} else {
			if (!queue_args_id(argv[i], &id))
				return false;
			argv[ids++] = argv[i];
		}
	}
	a->id_count = ids;
	return true;
}
