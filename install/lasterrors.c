/* SPDX-License-Identifier: ISC
 * lasterrors: contract in lasterrors.h.
 */
#include "install/lasterrors.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include "common/io.h"
#include "common/layout.h"
#include "install/json.h"
#include "install/logline.h"

enum { COLUMNS = 79, INDENT = 4 };

void
lasterrors_read(struct lasterrors *e)
{
	struct str line;
	int dir =
	    open(layout_path(LAYOUT_RUN), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int64_t n = dir < 0
			? -1
			: io_read_file(dir, "errors", e->text, sizeof(e->text));
	int error = errno;

	io_close(&dir);
	e->total = 0;
	e->count = 0;
	e->known = n >= 0 || error == ENOENT; /* no file: no error yet */
	e->why = error == EACCES ? "only root may see them"
				 : "run/errors cannot be read";
	struct str rest = { .p = e->text, .n = n > 0 ? (size_t)n : 0 };
	if (!str_line(&rest, &line) || !str_u64(line, UINT64_MAX, &e->total))
		return;
	while (e->count < LASTERRORS_MAX && str_line(&rest, &line))
		e->line[e->count++] = line;
}

/* What is left of a line behind its first n bytes' worth of fields, a space in
 * place of a break.  Breaks at a space where there is one. */
static size_t
piece(struct str s, size_t room)
{
	if (s.n <= room)
		return s.n;
	for (size_t i = room; i > room / 2; i--)
		if (s.p[i] == ' ')
			return i;
	return room;
}

static void
wrapped_print(struct str s)
{
	while (s.n > 0) {
		size_t n = piece(s, COLUMNS - INDENT);
		printf("%*s%.*s\n", INDENT, "", (int)n, s.p);
		s = str_trim(str_skip(s, n));
	}
}

/* What stands behind "event=NAME ". */
static struct str
fields_of(struct str line, const struct logline *l)
{
	const char *end = l->event.p + l->event.n;

	return str_trim(str_skip(line, (size_t)(end - line.p)));
}

static void
one_print(struct str line)
{
	struct logline l;

	if (!logline_read(line, &l) || l.event.n == 0) {
		wrapped_print(line);
		return;
	}
	/* "2026-11-22T06:12:01.123456Z": the seconds are enough */
	struct str t = str_head(l.t, sizeof("2026-11-22T06:12:01") - 1);
	printf("  %.*sZ %.*s %.*s\n", (int)t.n, t.p, (int)l.role.n, l.role.p,
	    (int)l.event.n, l.event.p);
	wrapped_print(fields_of(line, &l));
}

void
lasterrors_print(const struct lasterrors *e, size_t most)
{
	size_t first = e->count > most ? e->count - most : 0;

	for (size_t i = first; i < e->count; i++)
		one_print(e->line[i]);
}

void
lasterrors_json(const struct lasterrors *e)
{
	struct logline l;

	putchar('[');
	for (size_t i = 0; i < e->count; i++) {
		bool good = logline_read(e->line[i], &l);
		printf("%s{\"t\":", i > 0 ? "," : "");
		json_string(good ? l.t : STR(""));
		printf(",\"role\":");
		json_string(good ? l.role : STR(""));
		printf(",\"event\":");
		json_string(good ? l.event : STR(""));
		printf(",\"line\":");
		json_string(e->line[i]);
		putchar('}');
	}
	putchar(']');
}
