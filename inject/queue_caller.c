/* SPDX-License-Identifier: ISC
 * queue_caller: contract in queue_caller.h.
 */
#include "inject/queue_caller.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>
#include "common/facts.h"
#include "inject/queue_end.h"

/* A hole among the first three would be filled by the next open. */
static void
check_descriptors(void)
{
	for (int fd = 0; fd <= STDERR_FILENO; fd++) {
		if (fcntl(fd, F_GETFD) >= 0)
			continue;
		/* the lowest free one is this */
		if (open("/dev/null",
			fd == STDERR_FILENO ? O_WRONLY : O_RDONLY) != fd)
			_exit(QUEUE_EXIT_READ);
		if (fd != STDERR_FILENO)
			queue_fail(QUEUE_EXIT_READ,
			    "4.3.0 fd 0 (the message) or 1 (the envelope) "
			    "is not open");
	}
}

static void
reset_signals(void)
{
	static const int ignored[] = { SIGPIPE, SIGHUP, SIGINT, SIGQUIT,
		SIGXCPU, SIGXFSZ, SIGVTALRM, SIGPROF, SIGALRM };
	sigset_t none;

	sigemptyset(&none);
	for (size_t i = 0; i < N_ELEMENTS(ignored); i++)
		(void)signal(ignored[i], SIG_IGN);
	(void)signal(SIGTERM, SIG_DFL);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
}

void
queue_caller_drop_group(void)
{
	gid_t own = getgid();

	if (setresgid(own, own, own) < 0 || getegid() != own)
		queue_fail(QUEUE_EXIT_BUG, "4.3.0 cannot give the group back");
}

bool
queue_caller_facts(struct str s, struct buf *packed)
{
	struct str sid, peer, relay;

	if (s.n == 0)
		return false;
	if (!str_cut(s, ' ', &sid, &s) || !str_cut(s, ' ', &peer, &relay) ||
	    sid.n == 0 || sid.n > LIMIT_SID || peer.n > LIMIT_PEER ||
	    (!str_eq(relay, STR("0")) && !str_eq(relay, STR("1"))))
		queue_fail(QUEUE_EXIT_BUG,
		    "4.3.0 POSTERN_QUEUE_FACTS is not \"SID PEER RELAY\"");
	const struct facts facts = { .sid = sid,
		.peer_ip = str_eq(peer, STR("-")) ? STR("") : peer,
		.relay = relay.p[0] == '1' };
	facts_put(packed, &facts);
	return true;
}

void
queue_caller_reset(void)
{
	reset_signals();
	check_descriptors();
	umask(027);
}
