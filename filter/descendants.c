/* SPDX-License-Identifier: ISC
 * descendants: contract in descendants.h.
 */
#include "filter/descendants.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>
#include "common/buf.h"
#include "common/clock.h"
#include "common/io.h"

enum {
	END_MS = 5000,
	LIST = 32 * 1024, /* bytes of a list of children: thousands */
	WALK = 256	  /* processes whose children are looked at */
};

static char list[LIST];

/* The children of a process, "PID PID ... ", as many as fit; none when it is
 * gone. */
static struct str
children_of(pid_t pid)
{
	char text[80];
	struct buf path = BUF_ON(text);
	size_t n = 0;

	buf_puts(&path, "/proc/");
	buf_put_u64(&path, (uint64_t)pid);
	buf_puts(&path, "/task/");
	buf_put_u64(&path, (uint64_t)pid);
	buf_puts(&path, "/children");
	int fd = open(buf_cstr(&path), O_RDONLY | O_CLOEXEC);
	while (fd >= 0 && n < sizeof(list)) {
		ssize_t got = read(fd, list + n, sizeof(list) - n);
		if (got <= 0)
			break;
		n += (size_t)got;
	}
	io_close(&fd);
	while (n > 0 && list[n - 1] != ' ') /* a number that was cut */
		n--;
	return (struct str){ .p = list, .n = n };
}

static bool
next_pid(struct str *rest, pid_t *pid)
{
	struct str word;
	uint64_t v;

	if (!str_cut(*rest, ' ', &word, rest) || !str_u64(word, INT32_MAX, &v))
		return false;
	*pid = (pid_t)v;
	return true;
}

size_t
descendants_count(size_t most)
{
	pid_t walk[WALK];
	size_t n = 0, done = 0;

	walk[n++] = getpid();
	while (done < n) {
		struct str rest = children_of(walk[done++]);
		pid_t pid;
		while (n < WALK && next_pid(&rest, &pid))
			walk[n++] = pid;
	}
	return n - 1 < most ? n - 1 : most;
}

static bool
is_dead(pid_t pid)
{
	siginfo_t info = { .si_pid = 0 };

	return waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) ==
		   0 &&
	       info.si_pid == pid;
}

/* Kills all children that live, and their process groups (an atomic step: who
 * is in one cannot fork meanwhile).  How many there were. */
static size_t
kill_children(void)
{
	struct str rest = children_of(getpid());
	size_t alive = 0;
	pid_t pid;

	while (next_pid(&rest, &pid)) {
		/* a group that one of them leads, dead or not, is ours */
		(void)kill(-pid, SIGKILL);
		if (is_dead(pid))
			continue;
		alive++;
		(void)kill(pid, SIGKILL);
	}
	return alive;
}

/* False: there are no children at all. */
static bool
reap(void)
{
	for (;;) {
		pid_t pid = waitpid(-1, NULL, WNOHANG);
		if (pid <= 0)
			return pid == 0 || errno != ECHILD;
	}
}

bool
descendants_end(void)
{
	int64_t until = clock_mono_ms() + END_MS;

	for (;;) {
		if (kill_children() == 0 && !reap())
			return true;
		if (clock_mono_ms() > until)
			return false;
		/* their parents' death brings grandchildren to us */
		(void)poll(NULL, 0, 1);
	}
}

void
descendants_kill_others(bool (*known)(pid_t))
{
	struct str rest = children_of(getpid());
	pid_t pid;

	while (next_pid(&rest, &pid))
		if (!known(pid))
			(void)kill(pid, SIGKILL);
}
