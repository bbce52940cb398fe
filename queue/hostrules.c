/* SPDX-License-Identifier: ISC
 * hostrules: contract in hostrules.h.
 */
#include "queue/hostrules.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "common/address.h"
#include "common/control.h"
#include "common/limits.h"
#include "common/log.h"
#include "common/table.h"

enum { CONNECTIONS_MAX = 1000, NUMBER_MAX = 1000000 };

struct hostrules {
	struct table *table; /* pattern, lower case -> struct hostrule */
};

static bool
is_pattern(struct str s)
{
	if (str_eq(s, STR("*")))
		return true;
	if (s.n > 0 && s.p[0] == '.')
		s = str_skip(s, 1);
	return address_is_domain(s) || address_is_literal(s);
}

static const char *
rate_parse(struct str value, uint32_t *interval_us)
{
	static const struct {
		struct str name;
		uint64_t seconds;
	} units[] = { { { "second", 6 }, 1 }, { { "minute", 6 }, 60 },
		{ { "hour", 4 }, 3600 } };
	struct str number, unit;
	uint64_t n;
	if (!str_cut(value, '/', &number, &unit) ||
	    !str_u64(number, NUMBER_MAX, &n) || n == 0)
		return "write rate=N/minute (or /second, /hour), N from 1 to "
		       "1000000";
	for (size_t i = 0; i < N_ELEMENTS(units); i++) {
		if (!str_ieq(unit, units[i].name))
			continue;
		/* rounded up: never more than N */
		uint64_t us = (units[i].seconds * 1000000 + n - 1) / n;
		*interval_us = us < UINT32_MAX ? (uint32_t)us : UINT32_MAX;
		return NULL;
	}
	return "a rate is a number a second, minute or hour";
}

static const char *
number_parse(struct str value, uint64_t most, uint32_t *out)
{
	uint64_t n;
	if (!str_u64(value, most, &n) || n == 0)
		return most == CONNECTIONS_MAX
			   ? "connections is a number from 1 to 1000"
			   : "messages is a number from 1 to 1000000";
	*out = (uint32_t)n;
	return NULL;
}

static const char *
word_parse(struct str word, struct hostrule *rule)
{
	struct str key, value;
	if (!str_cut(word, '=', &key, &value))
		return "write connections=N, messages=N or rate=N/minute";
	if (str_ieq(key, STR("connections")))
		return number_parse(value, CONNECTIONS_MAX, &rule->connections);
	if (str_ieq(key, STR("messages")))
		return number_parse(value, NUMBER_MAX, &rule->messages);
	if (str_ieq(key, STR("rate")))
		return rate_parse(value, &rule->interval_us);
	return "only connections, messages and rate can be set";
}

const char *
hostrule_parse(struct str line, struct str *pattern, struct hostrule *rule)
{
	struct str word;
	*rule = (struct hostrule){ 0 };
	*pattern = str_word(&line);
	if (!is_pattern(*pattern))
		return "write a domain, .domain or * first";
	bool any = false;
	while ((word = str_word(&line)).n > 0) {
		const char *wrong = word_parse(word, rule);
		if (wrong != NULL)
			return wrong;
		any = true;
	}
	return any ? NULL : "write connections=N, messages=N or rate=N/minute";
}

static const char *
keep_line(void *arg, struct str line, unsigned number)
{
	char space[LIMIT_DOMAIN + 4];
	struct buf key = BUF_ON(space);
	struct str pattern;
	struct hostrule rule;
	(void)number;
	const char *wrong = hostrule_parse(line, &pattern, &rule);
	if (wrong != NULL)
		return wrong;
	buf_put_lower(&key, pattern);
	if (key.full)
		return "the name is too long: 255 bytes are the most";
	struct str value = { .p = (const char *)&rule, .n = sizeof(rule) };
	if (table_put(arg, buf_str(&key), value) == 0)
		return NULL;
	return errno == EEXIST
		   ? "an earlier line has this name already: make one of them"
		   : "out of memory";
}

struct hostrules *
hostrules_load(int control_dirfd)
{
	struct hostrules *rules = calloc(1, sizeof(*rules));
	if (rules != NULL)
		rules->table = table_new();
	if (rules == NULL || rules->table == NULL)
		LOG(ERROR, "config-error", F_TEXT("file", "destinations"),
		    F_ERRNO(ENOMEM));
	else if (control_list(control_dirfd, "destinations", keep_line,
		     rules->table) == 0)
		return rules;
	hostrules_free(rules);
	return NULL;
}

void
hostrules_free(struct hostrules *rules)
{
	if (rules == NULL)
		return;
	table_free(rules->table);
	free(rules);
}

/* What has not been said yet is taken from the line for key, if any. */
static void
add(const struct hostrules *rules, struct str key, struct hostrule *to)
{
	struct str value;
	struct hostrule from;
	if (!table_get(rules->table, key, &value))
		return;
	memcpy(&from, value.p, sizeof(from));
	if (to->connections == 0)
		to->connections = from.connections;
	if (to->messages == 0)
		to->messages = from.messages;
	if (to->interval_us == 0)
		to->interval_us = from.interval_us;
}

struct hostrule
hostrules_find(const struct hostrules *rules, struct str host)
{
	char space[LIMIT_DOMAIN + 1];
	struct buf lower = BUF_ON(space);
	struct hostrule rule = { 0 };
	buf_put_lower(&lower, host);
	struct str key = lower.full ? STR("") : buf_str(&lower);
	while (key.n > 0) {
		add(rules, key, &rule);
		key = str_skip(key, 1);
		key = str_skip(key, str_find(key, '.'));
	}
	add(rules, STR("*"), &rule);
	rule.counted = rule.connections != 0;
	if (!rule.counted)
		rule.connections = HOSTRULE_CONNECTIONS;
	return rule;
}
