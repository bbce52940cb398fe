/* SPDX-License-Identifier: ISC
 * doctor_say: findings of `postern doctor`, in 80 columns or as JSON.  Contract
 * in doctor.h.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include "common/layout.h"
#include "install/colour.h"
#include "install/doctor.h"
#include "install/json.h"

enum { COLUMNS = 79, INDENT = 19, FIXES = 6, ROOM = 512 };

static struct {
	bool open;
	enum doctor_level level;
	const char *test;
	char found[ROOM];
	struct {
		char text[ROOM];
		bool whole;
	} fix[FIXES];
	size_t fixes;
} now;

static bool as_json;
static unsigned counts[DOCTOR_SKIP + 1];

void
doctor_say_init(bool json)
{
	/* nothing may be set up late: the sandbox comes between */
	static char room[BUFSIZ];

	as_json = json;
	(void)setvbuf(stdout, room, _IOFBF, sizeof(room));
	(void)colour_off();
}

/* Other hosts' bytes may be among it. */
__attribute__((format(printf, 2, 0))) static void
text_make(char *room, const char *format, va_list ap)
{
	/* or cut off; va_start was called */
	/* NOLINTNEXTLINE(clang-analyzer-valist.Uninitialized) */
	(void)vsnprintf(room, ROOM, format, ap);
	for (char *p = room; *p != '\0'; p++)
		if ((unsigned char)*p < 0x20 || (unsigned char)*p > 0x7e)
			*p = '?';
}

static void
wrapped_print(const char *text, size_t at)
{
	struct str rest = str_of(text);

	while (rest.n > 0) {
		size_t n = rest.n;
		if (n > COLUMNS - at)
			for (n = COLUMNS - at; n > 0 && rest.p[n] != ' ';)
				n--;
		if (n == 0) /* one long word */
			n = str_find(rest, ' ');
		printf("%.*s\n", (int)n, rest.p);
		rest = str_trim(str_skip(rest, n));
		if (rest.n > 0)
			printf("%*s", INDENT, "");
		at = INDENT;
	}
}

static void
text_print(void)
{
	static const struct {
		const char *word;
		enum colour colour;
	} words[] = {
		[DOCTOR_OK] = { "ok", COLOUR_GOOD },
		[DOCTOR_WARN] = { "warn", COLOUR_WARN },
		[DOCTOR_FAIL] = { "FAIL", COLOUR_BAD },
		[DOCTOR_SKIP] = { "-", COLOUR_FAINT },
	};

	printf("%s%-4s%s  %-12s ", colour_on(words[now.level].colour),
	    words[now.level].word, colour_off(), now.test);
	wrapped_print(now.found, INDENT);
	for (size_t i = 0; i < now.fixes; i++) {
		printf("%*s", INDENT, "");
		if (now.fix[i].whole)
			printf("    %s\n", now.fix[i].text);
		else
			wrapped_print(now.fix[i].text, INDENT);
	}
}

static void
json_print(void)
{
	static const char *const words[] = { [DOCTOR_OK] = "ok",
		[DOCTOR_WARN] = "warn",
		[DOCTOR_FAIL] = "fail",
		[DOCTOR_SKIP] = "skip" };

	printf("{\"level\":\"%s\",\"test\":\"%s\",\"found\":", words[now.level],
	    now.test);
	json_string(str_of(now.found));
	printf(",\"fix\":[");
	for (size_t i = 0; i < now.fixes; i++) {
		printf("%s", i > 0 ? "," : "");
		json_string(str_of(now.fix[i].text));
	}
	puts("]}");
}

static void
flush(void)
{
	if (!now.open)
		return;
	if (as_json)
		json_print();
	else
		text_print();
	(void)fflush(stdout); /* one test after the other may take its time */
	counts[now.level]++;
	now.open = false;
}

void
doctor_say(enum doctor_level level, const char *test, const char *found, ...)
{
	va_list ap;

	flush();
	now.open = true;
	now.level = level;
	now.test = test;
	now.fixes = 0;
	va_start(ap, found);
	text_make(now.found, found, ap);
	va_end(ap);
}

__attribute__((format(printf, 2, 0))) static void
add(bool whole, const char *format, va_list ap)
{
	if (now.fixes == FIXES)
		return;
	now.fix[now.fixes].whole = whole;
	text_make(now.fix[now.fixes++].text, format, ap);
}

void
doctor_fix(const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	add(false, format, ap);
	va_end(ap);
}

void
doctor_type(const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	add(true, format, ap);
	va_end(ap);
}

void
doctor_write(const char *value, const char *setting)
{
	doctor_type(
	    "echo %s >%s/%s", value, layout_path(LAYOUT_CONTROL), setting);
}

void
doctor_remove(const char *setting)
{
	doctor_type("rm %s/%s", layout_path(LAYOUT_CONTROL), setting);
}

const char *
doctor_ip(const struct ip *ip)
{
	static char room[2][64];
	static unsigned turn;
	char *to = room[turn++ % 2];
	struct buf b = { .p = to, .cap = sizeof(room[0]) };

	ip_put(&b, ip);
	return buf_cstr(&b);
}

int
doctor_end(void)
{
	flush();
	if (!as_json)
		printf("\n%u ok, %u warning%s, %u failed, %u not tested\n",
		    counts[DOCTOR_OK], counts[DOCTOR_WARN],
		    counts[DOCTOR_WARN] == 1 ? "" : "s", counts[DOCTOR_FAIL],
		    counts[DOCTOR_SKIP]);
	if (fflush(stdout) != 0)
		return 2;
	if (counts[DOCTOR_FAIL] > 0)
		return 2;
	return counts[DOCTOR_WARN] + counts[DOCTOR_SKIP] > 0 ? 1 : 0;
}
