/* SPDX-License-Identifier: ISC
 * queue_show: contract in queue_show.h.
 */
#include "install/queue_show.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "common/io.h"
#include "install/queue_ask.h"
#include "install/queue_view.h"

enum { PART = 32768 };

static char part[PART];

static char
not_now(struct str why)
{
	fprintf(stderr, "postern queue: %s\n", queue_view_safe(why, why.n * 4));
	return 'Z';
}

/* On a terminal a message is text, and may not move the cursor, ring, or write
 * what the user seems to have typed: ? stands for control characters, those of
 * C1 (which may come as UTF-8, 0xc2 in front) included. */
static void
tame(char *p, size_t n)
{
	static unsigned char before;

	for (size_t i = 0; i < n; i++) {
		unsigned char c = (unsigned char)p[i];
		bool c1 = c >= 0x80 && c < 0xa0 && before < 0x80;
		bool pair = c >= 0x80 && c < 0xa0 && before == 0xc2;
		if ((c < 0x20 && c != '\n' && c != '\t') || c == 0x7f || c1 ||
		    pair)
			p[i] = '?';
		if (pair && i > 0)
			p[i - 1] = '?';
		before = c;
	}
}

char
queue_show_body(uint64_t id)
{
	uint64_t offset, size;
	struct str why;
	int fd;
	char verdict = queue_ask_body(id, &fd, &offset, &size, &why);
	bool terminal = isatty(STDOUT_FILENO) == 1;

	if (verdict == 'Z')
		return not_now(why);
	if (verdict != 'K')
		return verdict;
	while (size > 0) {
		size_t most = size < PART ? (size_t)size : PART;
		int64_t n = io_pread_all(fd, part, most, offset);
		if (n <= 0) {
			io_close(&fd);
			return not_now(STR("the message cannot be read"));
		}
		struct str s = { .p = part, .n = (size_t)n };
		if (terminal)
			tame(part, s.n);
		if (io_write_all(STDOUT_FILENO, s) < 0) {
			io_close(&fd);
			return not_now(STR("standard output takes no more"));
		}
		offset += (uint64_t)n;
		size -= (uint64_t)n;
	}
	io_close(&fd);
	return 'K';
}

static bool
is_wanted(struct str line)
{
	static const char *const wanted[] = {
		"Received:", "From:", "To:", "Subject:", "Date:", "Message-ID:"
	};

	for (size_t i = 0; i < N_ELEMENTS(wanted); i++)
		if (str_istarts(line, str_of(wanted[i])))
			return true;
	return false;
}

static void
print_fields(struct str head)
{
	struct str line;
	bool wanted = false;

	puts("header");
	while (str_line(&head, &line) && line.n > 0) {
		bool folded = line.p[0] == ' ' || line.p[0] == '\t';
		wanted = folded ? wanted : is_wanted(line);
		if (wanted)
			printf("  %s%s\n", folded ? "    " : "",
			    queue_view_safe(str_trim(line), 1000));
	}
}

bool
queue_show_header(uint64_t id)
{
	uint64_t offset, size;
	struct str why;
	int fd;
	char verdict = queue_ask_body(id, &fd, &offset, &size, &why);

	if (verdict == '\0')
		return false;
	if (verdict == 'Z')
		(void)not_now(why);
	if (verdict != 'K')
		return true; /* it went in the meantime */
	int64_t n =
	    io_pread_all(fd, part, size < PART ? (size_t)size : PART, offset);
	io_close(&fd);
	if (n < 0)
		(void)not_now(STR("the message cannot be read"));
	else
		print_fields((struct str){ .p = part, .n = (size_t)n });
	return true;
}
