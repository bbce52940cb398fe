/* SPDX-License-Identifier: ISC
 * running: contract in running.h.
 */
#include "install/running.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <string.h>
#include <unistd.h>
#include "common/io.h"
#include "common/layout.h"

/* ---- run/roles ---- */

static void
copy(char room[RUNNING_NAME], struct str s)
{
	struct buf b = { .p = room, .cap = RUNNING_NAME - 1 };

	buf_put(&b, str_head(s, RUNNING_NAME - 1));
	room[b.n] = '\0';
}

static bool
row_read(struct str line, struct running *r)
{
	uint64_t pid;
	uint64_t restarts;
	uint64_t since;
	uint64_t landlock;

	copy(r->name, str_word(&line));
	if (!str_u64(str_word(&line), INT32_MAX, &pid))
		return false;
	copy(r->user, str_word(&line));
	if (!str_u64(str_word(&line), UINT32_MAX, &restarts))
		return false;
	copy(r->state, str_word(&line));
	if (!str_u64(str_word(&line), INT64_MAX, &since) ||
	    !str_u64(str_word(&line), UINT8_MAX, &landlock))
		return false;
	r->pid = (pid_t)pid;
	r->restarts = (unsigned)restarts;
	r->since = (int64_t)since;
	r->landlock = (unsigned)landlock;
	return true;
}

int
running_read(struct running rows[RUNNING_MAX])
{
	static char text[8192];
	int count = 0;
	int dir =
	    open(layout_path(LAYOUT_RUN), O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (dir < 0)
		return errno == ENOENT ? 0 : -1;
	int64_t n = io_read_file(dir, "roles", text, sizeof(text));
	int error = errno;
	close(dir);
	errno = error;
	if (n < 0)
		return error == ENOENT ? 0 : -1;
	struct str rest = { .p = text, .n = (size_t)n };
	struct str line;
	while (count < RUNNING_MAX && str_line(&rest, &line))
		if (row_read(line, &rows[count]))
			count++;
	/* start writes itself first */
	struct running_process start;
	if (count == 0 || !running_process(rows[0].pid, &start) ||
	    strcmp(start.name, "start") != 0)
		return 0;
	return count;
}

/* ---- /proc ---- */

/* Opens /proc/PID; -1. */
static int
process_open(pid_t pid)
{
	char text[64];
	struct buf path = BUF_ON(text);

	buf_puts(&path, "/proc/");
	buf_put_u64(&path, (uint64_t)pid);
	return open(buf_cstr(&path), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static bool
hex(struct str s, uint64_t *v)
{
	*v = 0;
	for (size_t i = 0; i < s.n; i++) {
		char c = byte_lower(s.p[i]);
		if (!byte_is_digit(c) && (c < 'a' || c > 'f'))
			return false;
		*v = *v << 4 |
		     (uint64_t)(byte_is_digit(c) ? c - '0' : c - 'a' + 10);
	}
	return s.n > 0 && s.n <= 16;
}

static void
user_name(struct running_process *p, struct str uids)
{
	struct str uid;
	uint64_t v;

	str_cut(uids, '\t', &uid, &uids);
	const struct passwd *pw =
	    str_u64(uid, UINT32_MAX, &v) ? getpwuid((uid_t)v) : NULL;
	copy(p->user, pw == NULL ? uid : str_of(pw->pw_name));
}

static void
status_read(struct running_process *p, struct str rest)
{
	struct str line;
	struct str key;
	struct str value;
	uint64_t flag = 0;

	while (str_line(&rest, &line)) {
		str_cut(line, ':', &key, &value);
		value = str_trim(value);
		if (str_eq(key, STR("Uid")))
			user_name(p, value);
		else if (str_eq(key, STR("CapEff")))
			(void)hex(value, &p->capabilities);
		else if (str_eq(key, STR("NoNewPrivs")))
			p->no_new_privs = str_u64(value, 1, &flag) && flag == 1;
		else if (str_eq(key, STR("Seccomp")))
			(void)str_u64(value, 9, &p->seccomp);
		else if (str_eq(key, STR("Seccomp_filters")))
			(void)str_u64(value, 999, &p->filters);
	}
}

/* The first argument's last part, without "postern-". */
static void
name_read(struct running_process *p, struct str arguments)
{
	struct str head;
	struct str name;

	str_cut(arguments, '\0', &name, &arguments);
	if (str_rcut(name, '/', &head, &arguments))
		name = arguments;
	if (str_starts(name, STR("postern-")))
		name = str_skip(name, sizeof("postern-") - 1);
	copy(p->name, name);
	/* it is what the process says of itself: a cracked one, anything */
	for (char *c = p->name; *c != '\0'; c++)
		if (*c < ' ' || *c > '~' || *c == '?')
			*c = '_';
}

static bool
count_files(int process, uint64_t *count)
{
	int fd = openat(process, "fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);

	if (dir == NULL) {
		io_close(&fd);
		return false;
	}
	*count = 0;
	for (const struct dirent *e; (e = readdir(dir)) != NULL;)
		if (e->d_name[0] != '.')
			++*count;
	closedir(dir);
	return true;
}

bool
running_process(pid_t pid, struct running_process *p)
{
	char text[4096];
	int dir = pid > 0 ? process_open(pid) : -1;

	*p = (struct running_process){ .name = "?", .user = "?" };
	if (dir < 0)
		return false;
	int64_t n = io_read_file(dir, "cmdline", text, sizeof(text));
	if (n > 0)
		name_read(p, (struct str){ .p = text, .n = (size_t)n });
	n = io_read_file(dir, "status", text, sizeof(text));
	if (n > 0)
		status_read(p, (struct str){ .p = text, .n = (size_t)n });
	p->files_known = count_files(dir, &p->files);
	close(dir);
	return n > 0;
}

size_t
running_children(pid_t pid, pid_t *children, size_t max)
{
	char path_text[64];
	static char text[8192];
	struct buf path = BUF_ON(path_text);
	size_t count = 0;
	int dir = process_open(pid);

	if (dir < 0)
		return 0;
	buf_puts(&path, "task/");
	buf_put_u64(&path, (uint64_t)pid);
	buf_puts(&path, "/children");
	int64_t n = io_read_file(dir, buf_cstr(&path), text, sizeof(text));
	close(dir);
	struct str rest = { .p = text, .n = n > 0 ? (size_t)n : 0 };
	while (rest.n > 0 && count < max) {
		uint64_t child;
		if (str_u64(str_word(&rest), INT32_MAX, &child))
			children[count++] = (pid_t)child;
	}
	return count;
}
