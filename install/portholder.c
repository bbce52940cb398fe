/* SPDX-License-Identifier: ISC
 * portholder: contract in portholder.h.
 */
#include "install/portholder.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "common/buf.h"
#include "common/io.h"

enum { INODES_MAX = 16, TABLE_MAX = 4 * 1024 * 1024 };

static uint64_t inodes[INODES_MAX];
static size_t inode_count;

static bool
hex_u16(struct str s, unsigned *v)
{
	static const char digits[] = "0123456789ABCDEF";

	*v = 0;
	for (size_t i = 0; i < s.n; i++) {
		const char *at = s.p[i] == '\0' ? NULL : strchr(digits, s.p[i]);
		if (at == NULL)
			return false;
		*v = *v << 4 | (unsigned)(at - digits);
	}
	return s.n == 4;
}

/* "0: 00000000:0019 00000000:0000 0A tx:rx tr:when retrnsmt uid timeout inode"
 */
static void
row_read(struct str line, uint16_t port)
{
	struct str address;
	struct str number;
	unsigned at;
	uint64_t inode;

	(void)str_word(&line);
	(void)str_rcut(str_word(&line), ':', &address, &number);
	(void)str_word(&line);
	if (!str_eq(str_word(&line), STR("0A")) || !hex_u16(number, &at) ||
	    at != port)
		return;
	for (int i = 0; i < 5; i++)
		(void)str_word(&line);
	if (str_u64(str_word(&line), UINT64_MAX, &inode) &&
	    inode_count < INODES_MAX)
		inodes[inode_count++] = inode;
}

static void
table_read(const char *path, uint16_t port)
{
	char *text = malloc(TABLE_MAX);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	int64_t n = text == NULL || fd < 0 ? -1 : io_slurp(fd, text, TABLE_MAX);
	struct str rest = { .p = text, .n = n > 0 ? (size_t)n : 0 };
	struct str line;

	io_close(&fd);
	while (str_line(&rest, &line))
		row_read(line, port);
	free(text);
}

/* Is one of its descriptors such a socket?  -1: it cannot be looked at. */
static int
holds(int procfd, const char *pid)
{
	char path[300];
	char target[64];
	const struct dirent *e;
	int found = 0;

	(void)snprintf(path, sizeof(path), "%s/fd", pid);
	int fd = openat(procfd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	if (dir == NULL) {
		io_close(&fd);
		return -1;
	}
	while (found == 0 && (e = readdir(dir)) != NULL) {
		uint64_t inode;
		ssize_t n =
		    readlinkat(fd, e->d_name, target, sizeof(target) - 1);
		struct str s = { .p = target, .n = n > 0 ? (size_t)n : 0 };
		if (!str_starts(s, STR("socket:[")) || !str_ends(s, STR("]")))
			continue;
		s = str_head(str_skip(s, 8), s.n - 9);
		for (size_t i = 0; i < inode_count; i++)
			if (str_u64(s, UINT64_MAX, &inode) &&
			    inode == inodes[i])
				found = 1;
	}
	closedir(dir);
	return found;
}

/* The last part of argv[0]; comm is a number for what execveat(2) started. */
static void
name_read(int procfd, const char *pid, char *name, size_t size)
{
	char path[300];
	char text[4096];
	struct str head;
	struct str rest;

	(void)snprintf(path, sizeof(path), "%s/cmdline", pid);
	int64_t n = io_read_file(procfd, path, text, sizeof(text));
	struct str word = { .p = text, .n = n > 0 ? (size_t)n : 0 };
	str_cut(word, '\0', &word, &rest);
	str_cut(word, ' ', &word, &rest);
	if (str_rcut(word, '/', &head, &rest))
		word = rest;
	if (str_eq(word, STR("master"))) /* its unit is called so */
		word = STR("postfix");
	struct buf b = { .p = name, .cap = size - 1 };
	buf_put(&b, str_head(word, size - 1));
	name[b.n] = '\0';
}

enum portholder
portholder_find(uint16_t port, char *name, size_t size, int *pid)
{
	const struct dirent *e;
	enum portholder found = PORTHOLDER_UNKNOWN;
	uint64_t v;

	inode_count = 0;
	table_read("/proc/net/tcp", port);
	table_read("/proc/net/tcp6", port);
	if (inode_count == 0)
		return PORTHOLDER_NONE;
	DIR *proc = opendir("/proc");
	/* on another address there may be another; ours settles it */
	while (proc != NULL && found != PORTHOLDER_OURS &&
	       (e = readdir(proc)) != NULL) {
		if (!str_u64(str_of(e->d_name), INT32_MAX, &v) ||
		    holds(dirfd(proc), e->d_name) != 1)
			continue;
		name_read(dirfd(proc), e->d_name, name, size);
		*pid = (int)v;
		found = strncmp(name, "postern-", 8) == 0 ? PORTHOLDER_OURS
							  : PORTHOLDER_OTHER;
	}
	if (proc != NULL)
		closedir(proc);
	return found;
}
