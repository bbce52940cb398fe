/* SPDX-License-Identifier: ISC
 * orphans: contract in orphans.h.  postern-start is their subreaper, so each
 * of them is, sooner or later, its child.
 */
#include "start/orphans.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "common/clock.h"
#include "common/io.h"
#include "common/log.h"

enum { GRACE_MS = 500, TERM_MS = 2000, END_MS = 4000, PAUSE_MS = 20 };

/* The parent of the process, or 0: fourth field of /proc/PID/stat, behind the
 * name in parentheses, which may hold anything. */
static uint64_t
parent_of(int procfd, const char *pid)
{
	char path_text[64];
	char text[512];
	struct buf path = BUF_ON(path_text);
	struct str head;
	struct str tail;
	uint64_t parent;

	buf_puts(&path, pid);
	buf_puts(&path, "/stat");
	int64_t n = buf_cstr(&path) == NULL
			? -1
			: io_read_file(procfd, path.p, text, sizeof(text));
	if (n <= 0)
		return 0;
	struct str stat = { .p = text, .n = (size_t)n };
	/* ") S 1234 ..." */
	if (!str_rcut(stat, ')', &head, &tail) || tail.n < 4)
		return 0;
	str_cut(str_skip(tail, 3), ' ', &head, &tail);
	return str_u64(head, INT32_MAX, &parent) ? parent : 0;
}

static void
signal_children(int sig)
{
	DIR *dir = opendir("/proc");
	const struct dirent *e;

	if (dir == NULL) {
		LOG(ERROR, "orphans", F_ERRNO(errno));
		return;
	}
	while ((e = readdir(dir)) != NULL) {
		uint64_t pid;
		if (str_u64(str_of(e->d_name), INT32_MAX, &pid) &&
		    parent_of(dirfd(dir), e->d_name) == (uint64_t)getpid())
			kill((pid_t)pid, sig);
	}
	closedir(dir);
}

/* False when there is no child any more. */
static bool
reap(void)
{
	for (;;) {
		pid_t pid = waitpid(-1, NULL, WNOHANG);
		if (pid == 0 || (pid < 0 && errno != ECHILD))
			return true;
		if (pid < 0)
			return false;
	}
}

void
orphans_end(void)
{
	const struct timespec pause = { .tv_nsec = PAUSE_MS * 1000000L };
	int64_t begun = clock_mono_ms();

	while (reap()) {
		int64_t since = clock_mono_ms() - begun;
		if (since > END_MS) {
			LOG(ERROR, "orphans", F_TEXT("error", "some remain"));
			return;
		}
		if (since > TERM_MS)
			signal_children(SIGKILL);
		else if (since > GRACE_MS)
			signal_children(SIGTERM);
		nanosleep(&pause, NULL);
	}
}
