/* SPDX-License-Identifier: ISC
 * command: contract in command.h.
 */
#include "filter/command.h"

#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "common/buf.h"

/* ---- the line ---- */

static bool
is_blank(char c)
{
	return c == ' ' || c == '\t';
}

const char *
command_parse(struct str line, struct command *c)
{
	struct buf b = BUF_ON(c->text);
	size_t words = 0;

	if (line.n == 0 || line.p[0] != '/')
		return "write the program's absolute path, and its arguments";
	for (size_t i = 0; i < line.n;) {
		if (is_blank(line.p[i])) {
			i++;
			continue;
		}
		if (words == COMMAND_WORDS)
			return "more than 32 words";
		c->argv[words++] = c->text + buf_str(&b).n;
		while (i < line.n && !is_blank(line.p[i])) {
			if (line.p[i] < 0x20 || line.p[i] == 0x7f)
				return "holds a control character";
			buf_putc(&b, line.p[i++]);
		}
		buf_putc(&b, '\0');
	}
	c->argv[words] = NULL;
	return b.full ? "longer than 1024 bytes" : NULL;
}

/* ---- the file ---- */

static bool
is_owned(const struct stat *st, uid_t also)
{
	return st->st_uid == 0 || st->st_uid == also;
}

static const char *
check_directory(const char *path, uid_t also)
{
	struct stat st;

	if (stat(path, &st) < 0)
		return "a directory above it cannot be looked at";
	if (!is_owned(&st, also))
		return "a directory above it is not root's";
	if ((st.st_mode & 0022) != 0 && (st.st_mode & S_ISVTX) == 0)
		return "a directory above it can be written by others";
	return NULL;
}

static const char *
check_file(const char *path, uid_t also)
{
	struct stat st;

	if (stat(path, &st) < 0)
		return "there is no such program";
	if (!S_ISREG(st.st_mode))
		return "is not a plain file";
	if (!is_owned(&st, also))
		return "must belong to root";
	if ((st.st_mode & 0022) != 0)
		return "must not be writable by group or others";
	if ((st.st_mode & 0111) == 0)
		return "is not executable";
	return NULL;
}

const char *
command_check(const char *path, uid_t also)
{
	char text[COMMAND_ROOM];
	struct buf b = BUF_ON(text);
	const char *wrong = check_file(path, also);
	struct str dir, base;

	buf_puts(&b, path);
	while (wrong == NULL && str_rcut(buf_str(&b), '/', &dir, &base)) {
		buf_cut(&b, dir.n);
		const char *above = dir.n == 0 ? "/" : buf_cstr(&b);
		wrong = above == NULL ? "a path too long"
				      : check_directory(above, also);
	}
	return wrong;
}
