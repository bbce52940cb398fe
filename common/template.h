/* SPDX-License-Identifier: ISC
 * template: a resident role that has opened nothing but what its sessions need,
 * has entered its sandbox, and forks a child for each session that listen hands
 * over (INTERNALS.md "A connection").  The child keeps the session's
 * descriptors and 0, 1, 2 only, and may make no further process.
 *
 * So that a connection need not wait for fork, a few children (spares) are
 * forked before it comes: they hold nothing but the link to listen, and the
 * kernel gives each session to one of them, which then closes the link and
 * tells the template.  Only without a spare does the template itself read the
 * link and fork.  A spare dies with its template; a session does not.
 *
 * A template retires after max_sessions, after a crash of a session (so that
 * its address layout cannot be learnt at leisure) and when start says finish:
 * it takes what is already queued on its link, then exits 0 and is started
 * anew. Its sessions live on.
 */
#ifndef TEMPLATE_H
#define TEMPLATE_H

#include <sys/prctl.h>
#include <sys/resource.h>
#include "common/packet.h"
#include "common/sandbox.h"

/* What listen says of a session; views that live as long as the child. */
struct template_session {
	struct str sid, peer_ip, local_ip;
	uint32_t peer_port, local_port;
	bool relay;
	int fds[PACKET_FDS]; /* in the order of the `S` packet, close-on-exec */
	size_t nfds;
};

struct template_service {
	const char *role; /* "smtpd" */
	const char *user; /* "posternd" */
	const char *help; /* text of --help */
	const char *peer; /* whose link brings the sessions: "listen-smtp" */
	size_t fd_count;  /* descriptors in each `S` packet: 4 for smtpd */
	unsigned max_sessions;
	const char *refusal; /* what a client gets when there is no process */
	const struct sandbox *sandbox; /* its rules include ALLOW_TEMPLATE */
	/* Reads the configuration, makes whatever libc makes late; before the
	 * sandbox.  The control directory is ROLE_FD_CONTROL.  May be NULL. */
	void (*prepare)(void);
	/* Serves one session, in the child.  Its return is exit 0. */
	void (*serve)(const struct template_session *);
};

/* True when the only argument is --template: start asks for a template.  (A
 * program that is started by hand under tcpserver or inetd has no argument.) */
bool template_wanted(int argc, char **argv);
/* The whole main of a template.  Dies as role_init and sandbox_enter do. */
int template_run(const struct template_service *, int argc, char **argv);

/* The fork part alone, for templates of another shape (remote).  In the child
 * everything but 0, 1, 2 and the nkeep (at most PACKET_FDS) descriptors in keep
 * is closed, it may make no further process, and 0 comes back.  In the parent:
 * the pid, or -1 with errno; the descriptors stay open there. */
int template_fork(const int *keep, size_t nkeep);
/* Reaps ended children without blocking; a crash (signal) is logged.  Number of
 * crashes seen in this call. */
unsigned template_reap(void);
/* Has the process of this wait status crashed?  To be killed from outside is no
 * crash; a forbidden call is one. */
bool template_is_crash(int status);
/* Children that are not reaped yet. */
unsigned template_live(void);

/* Rows that a template's table takes over whole.  clone: fork's flags only
 * (CLONE_CHILD_SETTID, CLONE_CHILD_CLEARTID, SIGCHLD): no thread, no
 * namespace. */
#define ALLOW_TEMPLATE                                                         \
	ALLOW_LOOP, ALLOW(recvmsg, "links, sessions from listen"),             \
	    ALLOW(sendmsg, "packets"), ALLOW(sendto, "packets"),               \
	    ALLOW(recvfrom, "packets"),                                        \
	    ALLOW(shutdown, "a retiring template takes no more sessions"),     \
	    ALLOW_IF(clone, 1, 0x01200011, "fork: a child per session"),       \
	    ALLOW(set_robust_list, "libc, in the child after fork"),           \
	    ALLOW(wait4, "reap sessions"),                                     \
	    ALLOW(close_range, "the child drops the parent's descriptors"),    \
	    ALLOW_IF(setrlimit, 1, RLIMIT_NPROC, "the child gives up fork"),   \
	    ALLOW_IF(prctl, 1, PR_SET_PDEATHSIG, "a spare dies with it"),      \
	    ALLOW(getppid, "is the template still there?")

#endif
