/* SPDX-License-Identifier: ISC
 * fence: contract in fence.h.  Constants as in common/sandbox.c, of Linux'
 * Documentation/userspace-api/landlock.rst.
 */
#include "filter/fence.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "common/buf.h"

/* ---- what one may do to any process of one's user ---- */

enum {
	NOBODY = -1,
	EVERY_USERS_IO = 3, /* IOPRIO_WHO_USER */
	ROW = 8		    /* instructions for each of these: */
};

/* Landlock has no say in them; with a limit of no files, say, the
 * filter would take no mail any more. */
static const struct {
	int nr;
	unsigned who; /* the argument that names the process */
	int user;     /* the first one's value, when it is a user's */
} calls[] = {
	{ SYS_prlimit64, 0, NOBODY },
	{ SYS_sched_setaffinity, 0, NOBODY },
	{ SYS_sched_setattr, 0, NOBODY },
	{ SYS_sched_setparam, 0, NOBODY },
	{ SYS_sched_setscheduler, 0, NOBODY },
	{ SYS_setpriority, 1, PRIO_USER },
	{ SYS_ioprio_set, 1, EVERY_USERS_IO },
};

/* They take the low half of an argument. */
static uint32_t
argument_at(unsigned i)
{
	size_t at = offsetof(struct seccomp_data, args) + i * sizeof(uint64_t);

#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
	at += sizeof(uint32_t);
#endif
	return (uint32_t)at;
}

static void
put_row(struct sock_filter *to, size_t i, uint32_t self)
{
	const struct sock_filter row[ROW] = {
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)calls[i].nr, 0,
		    ROW - 1),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, argument_at(0)),
		BPF_JUMP(
		    BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)calls[i].user, 4, 0),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, argument_at(calls[i].who)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0, 1, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, self, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
	};

	for (size_t k = 0; k < ROW; k++)
		to[k] = row[k];
}

/* Of these, only for the caller itself: by 0 or, as scripts say it ($$), by the
 * number that this process has.  Other architectures' numbers end a process
 * below guard_enter. */
static int
refuse_calls(void)
{
	static struct sock_filter code[1 + ROW * N_ELEMENTS(calls) + 1];
	struct sock_fprog program = { .len = N_ELEMENTS(code), .filter = code };

	code[0] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
	    (uint32_t)offsetof(struct seccomp_data, nr));
	for (size_t i = 0; i < N_ELEMENTS(calls); i++)
		put_row(code + 1 + ROW * i, i, (uint32_t)getpid());
	code[N_ELEMENTS(code) - 1] =
	    (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program);
}

/* ---- Landlock ---- */

enum {
	VERSION_FLAG = 1,
	PATH_RULE = 1,
	FS_MAKE_CHAR = 1 << 6, /* which only root can */
	FS_REFER = 1 << 13, /* refused by every domain that does not say so */
	SCOPE_SIGNAL = 2
};

struct ruleset {
	uint64_t fs, net, scoped;
};

struct __attribute__((packed)) path_rule {
	uint64_t allowed;
	int32_t parent_fd;
};

static int
allow_refer(int ruleset_fd)
{
	struct path_rule rule = { .allowed = FS_REFER,
		.parent_fd = open("/", O_PATH | O_CLOEXEC) };
	int r = -1;

	if (rule.parent_fd >= 0) {
		r = (int)syscall(
		    SYS_landlock_add_rule, ruleset_fd, PATH_RULE, &rule, 0);
		close(rule.parent_fd);
	}
	return r;
}

static int
enter_domain(void)
{
	struct ruleset r = { .fs = FS_MAKE_CHAR };
	long abi =
	    syscall(SYS_landlock_create_ruleset, (void *)0, 0, VERSION_FLAG);
	size_t size = sizeof(r.fs);

	if (abi < 2) /* the first one refuses all renames between directories */
		return 0;
	r.fs |= FS_REFER;
	if (abi >= 6) {
		r.scoped = SCOPE_SIGNAL;
		size = sizeof(r);
	}
	int fd = (int)syscall(SYS_landlock_create_ruleset, &r, size, 0);
	if (fd < 0 || allow_refer(fd) < 0)
		return -1;
	int result = (int)syscall(SYS_landlock_restrict_self, fd, 0);
	close(fd);
	return result;
}

int
fence_enter(void)
{
	return enter_domain() < 0 ? -1 : refuse_calls();
}
