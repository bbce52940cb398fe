/* SPDX-License-Identifier: ISC
 * stop_calls: contract in stop.h.  Test tool, run as root.
 */
#define _FILE_OFFSET_BITS 64
#include "tests/crash/stop.h"

#include <errno.h>
#include <fcntl.h>
#include <seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <unistd.h>

enum { WATCHED = 8 };

/* fd, path: which arguments say what is changed; -1: none. */
static const struct call {
	long nr;
	const char *name;
	int fd, path;
} calls[] = {
	{ SYS_write, "write", 0, -1 }, { SYS_writev, "writev", 0, -1 },
	{ SYS_pwrite64, "pwrite64", 0, -1 }, { SYS_pwritev, "pwritev", 0, -1 },
	{ SYS_pwritev2, "pwritev2", 0, -1 },
	{ SYS_fdatasync, "fdatasync", 0, -1 }, { SYS_fsync, "fsync", 0, -1 },
	{ SYS_syncfs, "syncfs", 0, -1 },
	{ SYS_sync_file_range, "sync_file_range", 0, -1 },
	{ SYS_ftruncate, "ftruncate", 0, -1 },
	{ SYS_fallocate, "fallocate", 0, -1 },
	{ SYS_copy_file_range, "copy_file_range", 2, -1 },
	{ SYS_sendfile, "sendfile", 0, -1 }, { SYS_splice, "splice", 2, -1 },
	{ SYS_rename, "rename", -1, 0 }, { SYS_renameat, "renameat", 0, 1 },
	{ SYS_renameat2, "renameat2", 0, 1 }, { SYS_link, "link", -1, 0 },
	{ SYS_linkat, "linkat", 0, 1 }, { SYS_symlinkat, "symlinkat", 1, 2 },
	{ SYS_unlink, "unlink", -1, 0 }, { SYS_unlinkat, "unlinkat", 0, 1 },
	{ SYS_mkdir, "mkdir", -1, 0 }, { SYS_mkdirat, "mkdirat", 0, 1 },
	{ SYS_rmdir, "rmdir", -1, 0 },
	{ SYS_openat, "create", 0, 1 }, /* with O_CREAT only */
};

static const char *watched[WATCHED];
static size_t watched_count;
static const char *excluded;

void
stop_watch(const char *dir)
{
	if (watched_count == WATCHED) {
		fprintf(stderr, "stop: too many folders\n");
		exit(100);
	}
	watched[watched_count++] = dir;
}

void
stop_not(const char *file)
{
	excluded = file;
}

void
stop_filter_load(void)
{
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
	int e = filter == NULL ? -ENOMEM : 0;
	/* the program is to have the rights that it has without us */
	if (e == 0)
		e = seccomp_attr_set(filter, SCMP_FLTATR_CTL_NNP, 0);
	for (size_t i = 0; e == 0 && i < sizeof(calls) / sizeof(calls[0]);
	     i++) {
		int nr = (int)calls[i].nr;
		if (nr == SYS_openat)
			e = seccomp_rule_add(filter, SCMP_ACT_TRACE(1), nr, 1,
			    SCMP_A2(SCMP_CMP_MASKED_EQ, O_CREAT, O_CREAT));
		else
			e = seccomp_rule_add(filter, SCMP_ACT_TRACE(1), nr, 0);
	}
	if (e == 0)
		e = seccomp_load(filter);
	if (e != 0) {
		fprintf(stderr, "stop: seccomp: %s\n", strerror(-e));
		exit(111);
	}
	seccomp_release(filter);
}

/* ---- roles ---- */

static void
set_role(struct process *p, const char *name)
{
	snprintf(p->role, sizeof(p->role), "%s", name);
}

void
stop_exec_role(struct process *p)
{
	char path[64];
	char exe[STOP_PATH];
	snprintf(path, sizeof(path), "/proc/%d/exe", p->pid);
	ssize_t n = readlink(path, exe, sizeof(exe) - 1);
	exe[n < 0 ? 0 : n] = '\0';
	const char *base = strrchr(exe, '/');
	base = base == NULL ? "?" : base + 1;
	if (strncmp(base, "postern-", 8) == 0)
		base += 8;
	set_role(p, base);
	p->forks = 0;
	p->role_is_known = false;
}

void
stop_child_role(struct process *p, const char *parents_role)
{
	set_role(
	    p, strcmp(parents_role, "queued") == 0 ? "settle" : parents_role);
}

/* local works for the mailbox owner, or for a user of the system. */
static void
know_user(struct process *p)
{
	char path[64];
	char line[256];
	unsigned uid = 0;
	p->role_is_known = true;
	if (strcmp(p->role, "local") != 0)
		return;
	snprintf(path, sizeof(path), "/proc/%d/status", p->pid);
	FILE *f = fopen(path, "re");
	while (f != NULL && fgets(line, sizeof(line), f) != NULL)
		if (sscanf(line, "Uid: %u", &uid) == 1)
			break;
	if (f != NULL)
		fclose(f);
	if (uid >= 1000 && uid != 65534)
		set_role(p, "local-user");
}

/* ---- files ---- */

static void
fd_path(pid_t pid, int fd, char out[STOP_PATH])
{
	char link[64];
	if (fd == AT_FDCWD)
		snprintf(link, sizeof(link), "/proc/%d/cwd", pid);
	else
		snprintf(link, sizeof(link), "/proc/%d/fd/%d", pid, fd);
	ssize_t n = readlink(link, out, STOP_PATH - 1);
	out[n < 0 ? 0 : n] = '\0';
}

/* The string at the address in the process; "" when it cannot be read. */
static void
peer_string(pid_t pid, unsigned long long address, char *out, size_t n)
{
	struct iovec to = { .iov_base = out, .iov_len = n - 1 };
	struct iovec from = { .iov_len = n - 1 };
	memcpy(&from.iov_base, &address, sizeof(from.iov_base));
	ssize_t got = process_vm_readv(pid, &to, 1, &from, 1, 0);
	if (got < 0) { /* the string ends near the end of what is mapped */
		from.iov_len = 4096 - (address & 4095);
		if (from.iov_len > n - 1)
			from.iov_len = n - 1;
		got = process_vm_readv(pid, &to, 1, &from, 1, 0);
	}
	out[got < 0 ? 0 : got] = '\0';
}

static bool
below(const char *path, const char *dir)
{
	size_t n = strlen(dir);
	return strncmp(path, dir, n) == 0 &&
	       (path[n] == '/' || path[n] == '\0');
}

static bool
is_watched(const char *path)
{
	if (excluded != NULL && strcmp(path, excluded) == 0)
		return false;
	for (size_t i = 0; i < watched_count; i++)
		if (below(path, watched[i]))
			return true;
	return false;
}

/* What a call is about, as a path. */
static void
path_of(
    struct process *p, const struct call *c, const unsigned long long args[6])
{
	char name[STOP_PATH];
	p->path[0] = '\0';
	if (c->fd >= 0)
		fd_path(p->pid, (int)args[c->fd], p->path);
	if (c->path < 0)
		return;
	peer_string(p->pid, args[c->path], name, sizeof(name));
	size_t n = strlen(p->path);
	if (name[0] == '/')
		n = 0;
	else if (n > 0 && n < sizeof(p->path) - 1)
		p->path[n++] = '/';
	snprintf(p->path + n, sizeof(p->path) - n, "%.*s",
	    (int)(sizeof(p->path) - n - 1), name);
}

const char *
stop_call_look(struct process *p)
{
	struct user_regs_struct r;
	if (ptrace(PTRACE_GETREGS, p->pid, NULL, &r) < 0)
		return NULL; /* killed meanwhile */
	const unsigned long long args[6] = { r.rdi, r.rsi, r.rdx, r.r10, r.r8,
		r.r9 };
	for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
		if (calls[i].nr != (long)r.orig_rax)
			continue;
		path_of(p, &calls[i], args);
		if (!is_watched(p->path))
			return NULL;
		if (!p->role_is_known)
			know_user(p);
		return calls[i].name;
	}
	return NULL;
}
