/* SPDX-License-Identifier: ISC
 * localtemplate: contract in localtemplate.h.  Part of postern-local (root).
 */
#include "send/localtemplate.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "common/die.h"
#include "common/exitcode.h"
#include "common/limits.h"
#include "common/log.h"
#include "common/packet.h"
#include "send/account.h"
#include "send/enter.h"

enum { LINK_FD = 5, REQUEST = 1024 };

/* One request of become's. */
struct request {
	uint32_t tag;
	uid_t uid;
	gid_t gid;
	struct str name, home;
	int control_fd;
};

static char storage[REQUEST];
static char home[ACCOUNT_HOME]; /* as a C string */

/* ---- in the child ---- */

static _Noreturn void
give_up(int control_fd, enum enter_step step)
{
	char room[16];
	struct buf b = BUF_ON(room);
	uint32_t error = (uint32_t)errno;

	packet_begin(&b, 'F');
	packet_u32(&b, step);
	packet_u32(&b, error);
	if (packet_send(control_fd, buf_str(&b), NULL, 0) < 0)
		_exit(EXITCODE_PERMANENT);
	_exit(EXITCODE_TEMPORARY);
}

/* True when fd has become `wanted`. */
static bool
place(int fd, int wanted)
{
	return fd == wanted || dup3(fd, wanted, O_CLOEXEC) == wanted;
}

static void
become_user(const struct request *r)
{
	static const struct rlimit none = { .rlim_cur = 0, .rlim_max = 0 };
	enum enter_step failed;
	int base =
	    enter_account(r->uid, r->gid, home, LOCALTEMPLATE_BASE, &failed);

	if (base < 0)
		give_up(r->control_fd, failed);
	/* libc would call prlimit64, which could reach other processes */
	if (syscall(SYS_setrlimit, RLIMIT_NPROC, &none) < 0 ||
	    !place(base, LOCALTEMPLATE_BASE) ||
	    !place(r->control_fd, LOCALTEMPLATE_CONTROL) ||
	    close_range(LOCALTEMPLATE_BASE + 1, ~0U, 0) < 0)
		give_up(r->control_fd, ENTER_FDS);
}

/* ---- in the template ---- */

static bool
parse(struct str bytes, struct request *r)
{
	struct packet p = packet_open(bytes);
	struct buf b = BUF_ON(home);

	r->tag = packet_get_u32(&p);
	r->uid = packet_get_u32(&p);
	r->gid = packet_get_u32(&p);
	r->name = packet_get_str(&p, LIMIT_USER);
	r->home = packet_get_str(&p, sizeof(home) - 1);
	buf_put(&b, r->home);
	return packet_end(&p) && p.type == 'L' && buf_cstr(&b) != NULL;
}

static void
answer(uint32_t tag, long pid)
{
	char room[16];
	struct buf b = BUF_ON(room);

	packet_begin(&b, 'P');
	packet_u32(&b, tag);
	packet_u32(&b, pid > 0 ? (uint32_t)pid : 0);
	packet_u32(&b, pid > 0 ? 0 : (uint32_t)errno);
	/* become reads as many as it asks for: there is room */
	if (packet_send(LINK_FD, buf_str(&b), NULL, 0) < 0)
		die(EXITCODE_TEMPORARY, "become", errno);
}

/* The next request, with its descriptor. */
static bool
next_request(struct request *r)
{
	struct str bytes;
	int fds[PACKET_FDS];
	size_t nfds;
	int n = packet_recv(
	    LINK_FD, storage, sizeof(storage), 0, &bytes, fds, &nfds);

	if (n == 0)
		exit(EXITCODE_DONE);
	if (n < 0 && errno != EAGAIN && errno != EINTR)
		die(EXITCODE_TEMPORARY, "become", errno);
	if (n < 0)
		return false;
	if (nfds != 1 || !parse(bytes, r))
		die(EXITCODE_TEMPORARY, "a bad request", 0);
	r->control_fd = fds[0];
	return true;
}

struct localtemplate_user
localtemplate_serve(void)
{
	struct request r;

	if (!place(LOCALTEMPLATE_CONTROL, LINK_FD))
		die(EXITCODE_TEMPORARY, "dup3", errno);
	close(LOCALTEMPLATE_CONTROL);
	for (;;) {
		if (!next_request(&r))
			continue;
		/* a child of become's, who is to hear of its end */
		long pid = syscall(
		    SYS_clone, CLONE_PARENT | SIGCHLD, NULL, NULL, NULL, 0L);
		if (pid == 0)
			break;
		answer(r.tag, pid);
		close(r.control_fd);
	}
	become_user(&r);
	return (struct localtemplate_user){ .name = r.name, .home = r.home };
}
