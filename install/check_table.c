/* SPDX-License-Identifier: ISC
 * check_table: a table of userd's, line by line.  Contract in check.h.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include "common/buf.h"
#include "common/io.h"
#include "install/check.h"
#include "users/line.h"

enum { TABLE_MAX = 1 << 30 };

static void
take_lines(struct check *c, const char *name, struct str rest,
    const char *(*each)(struct str, unsigned))
{
	struct str line;

	for (unsigned number = 1; str_line(&rest, &line); number++) {
		const char *wrong = line_strip(line, &line);

		if (wrong == NULL && line.n > 0)
			wrong = each(line, number);
		if (wrong != NULL)
			check_mistake(c, name, number, wrong);
	}
}

void
check_table(struct check *c, int users_dir, const char *name,
    const char *(*each)(struct str line, unsigned number))
{
	const char *file = name + sizeof("users/") - 1;
	struct stat st;

	if (fstatat(users_dir, file, &st, AT_SYMLINK_NOFOLLOW) < 0) {
		if (errno != ENOENT)
			check_mistake(c, name, 0, strerror(errno));
		return;
	}
	if (!S_ISREG(st.st_mode) || st.st_size > TABLE_MAX) {
		check_mistake(c, name, 0,
		    "is no plain file of at most 1 GiB: put the table there");
		return;
	}
	size_t size = (size_t)st.st_size + 1;
	char *text = malloc(size);
	int64_t n =
	    text == NULL ? -1 : io_read_file(users_dir, file, text, size);
	if (n < 0)
		check_mistake(c, name, 0, strerror(errno));
	else
		take_lines(
		    c, name, (struct str){ .p = text, .n = (size_t)n }, each);
	free(text);
}

bool
check_first(
    struct table *t, struct str name, unsigned number, struct str *first)
{
	char text[16];
	struct buf b = BUF_ON(text);

	buf_put_u64(&b, number);
	return table_put(t, name, buf_str(&b)) == 0 || errno != EEXIST ||
	       !table_get(t, name, first);
}
