/* SPDX-License-Identifier: ISC
 * check_say: a finding of `postern check`, as a line.  Contract in check.h.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include "common/buf.h"
#include "common/layout.h"
#include "install/check.h"
#include "install/colour.h"
#include "install/json.h"
#include "install/plain.h"

enum { PATH_ROOM = 1024, TEXT_ROOM = 1024 };

static struct str
path_of(const char *file, struct buf *room)
{
	if (file[0] != '/') {
		buf_puts(room, layout_path(LAYOUT_CONTROL));
		buf_putc(room, '/');
	}
	buf_puts(room, file);
	return buf_str(room);
}

static void
print(const struct check *c, enum check_kind kind, const char *file,
    unsigned line, const char *what)
{
	static const char *const kinds[] = {
		[CHECK_MISTAKE] = "mistake", [CHECK_WARNING] = "warning"
	};
	char room[PATH_ROOM];
	struct buf b = BUF_ON(room);
	struct str path = path_of(file, &b);

	if (c->json) {
		printf("{\"kind\":\"%s\",\"file\":", kinds[kind]);
		json_string(path);
		printf(",\"line\":%u,\"what\":", line);
		json_string(str_of(what));
		puts("}");
		return;
	}
	printf("%s%s%s: ",
	    colour_on(kind == CHECK_MISTAKE ? COLOUR_BAD : COLOUR_WARN),
	    kinds[kind], colour_off());
	plain_print(path);
	putchar(':');
	if (line > 0)
		printf("%u:", line);
	putchar(' ');
	plain_print(str_of(what));
	putchar('\n');
}

void
check_say(struct check *c, enum check_kind kind, const char *file,
    unsigned line, const char *format, ...)
{
	char text[TEXT_ROOM];
	va_list ap;

	va_start(ap, format);
	/* or cut off; va_start was called */
	/* NOLINTNEXTLINE(clang-analyzer-valist.Uninitialized) */
	(void)vsnprintf(text, sizeof(text), format, ap);
	va_end(ap);
	if (kind == CHECK_MISTAKE)
		c->mistakes++;
	else
		c->warnings++;
	if (!c->quiet)
		print(c, kind, file, line, text);
}

void
check_mistake(
    struct check *c, const char *file, unsigned line, const char *what)
{
	check_say(c, CHECK_MISTAKE, file, line, "%s", what);
}

void
check_warning(
    struct check *c, const char *file, unsigned line, const char *what)
{
	check_say(c, CHECK_WARNING, file, line, "%s", what);
}

void
check_ignore(const char *file, unsigned line, const char *what)
{
	(void)file;
	(void)line;
	(void)what;
}
