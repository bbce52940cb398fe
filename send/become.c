/* SPDX-License-Identifier: ISC
 * postern-become: starts the processes that work as a mailbox's owner:
 * postern-local for qmgr, postern-pop3d for userd.  Runs as root, with no other
 * capability than to change users; in a suite of one ordinary user as that
 * user, and then for nobody else.  Reads fixed small requests from qmgr and
 * userd, no mail, no stranger's byte.  What it may become is in account.c, how
 * in spawn.c, its confinement in guard.c.
 *
 *	fd 5	the mail directory: base of the owner's virtual mailboxes
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include "common/die.h"
#include "common/guard.h"
#include "common/io.h"
#include "common/log.h"
#include "common/packet.h"
#include "common/role.h"
#include "common/template.h"
#include "send/child.h"
#include "send/enter.h"
#include "send/locals.h"
#include "send/programs.h"
#include "send/spawn.h"

enum {
	STARTS_MAX = 2,	 /* of a local that ends before it takes its socket */
	REQUESTS = 4,	 /* taken in one go */
	USER_RUNNERS = 4 /* of one user: one works, others are ending */
};

static struct account owner;
static struct watch signals;
static char packet_space[PACKET_MAX];

static void start_local(uint64_t key, const struct account *, bool is_owner,
    int job_fd, int qmgr_fd, unsigned starts);
static void start_runner(struct child *local);

/* ---- what a child says ---- */

static void
start_failed(struct child *c, enum verdict verdict, const char *text)
{
	LOG(WARN, "start-failed", F_TEXT("user", c->account.name),
	    F_TEXT("reason", text));
	if (c->kind == CHILD_POP3D)
		asker_answer(c, &userd, 'Z', verdict, text);
	else if (c->asked)
		asker_answer(c, &qmgr, 'F', verdict, text);
}

/* True when it is known how the start went. */
static bool
read_status(struct child *c)
{
	enum verdict verdict;
	const char *text;
	int failed = spawn_failure(c->status.fd, &verdict, &text);
	if (failed < 0 && (errno == EAGAIN || errno == EINTR))
		return false;
	child_drop_watch(&c->status);
	if (failed != 0)
		start_failed(c, failed > 0 ? verdict : VERDICT_DEFER,
		    failed > 0 ? text : "4.3.0 the start cannot be watched");
	else if (c->kind == CHILD_POP3D)
		asker_answer(c, &userd, 'K', VERDICT_OK, "");
	return true;
}

static void
on_status(struct watch *w, uint32_t events)
{
	struct child *c = w->arg;
	(void)events;
	if (read_status(c))
		child_free_if_over(c);
}

/* Ended before it took its job socket: it had been idle, or it cannot run. */
static void
start_again(struct child *c)
{
	int job_fd = c->job_fd, qmgr_fd = c->qmgr_fd;
	if (c->starts >= STARTS_MAX) {
		start_failed(c, VERDICT_DEFER,
		    "4.3.0 the delivery program ended at once");
		return;
	}
	if (!child_has_room(CHILD_LOCAL)) {
		start_failed(c, VERDICT_DEFER, "4.3.2 too much to do");
		return;
	}
	c->job_fd = c->qmgr_fd = -1;
	c->asked = false;
	start_local(
	    c->key, &c->account, c->is_owner, job_fd, qmgr_fd, c->starts + 1);
}

static void
local_ended(struct child *c)
{
	child_drop_watch(&c->control);
	if (c->asked && c->resumed)
		child_forget_request(c);
	else if (c->asked && c->due == 0)
		start_again(c);
	child_free_if_over(c);
}

/* It could not become its user.  False: nonsense. */
static bool
read_failure(struct child *c, struct str bytes)
{
	struct packet p = packet_open(bytes);
	unsigned step = packet_get_u32(&p);
	int error = (int)packet_get_u32(&p);
	if (!packet_end(&p))
		return false;
	/* all of these may heal: a disk comes back, a limit is lifted */
	start_failed(c, VERDICT_DEFER, enter_explain(step, error));
	child_drop_watch(&c->control);
	child_free_if_over(c);
	return true;
}

static void
on_control(struct watch *w, uint32_t events)
{
	struct child *c = w->arg;
	char space[16];
	struct str bytes;
	int fds[PACKET_FDS];
	size_t nfds;
	(void)events;
	int n = packet_recv(
	    w->fd, space, sizeof(space), MSG_DONTWAIT, &bytes, fds, &nfds);
	if (n < 0 && errno == EAGAIN)
		return;
	if (n > 0)
		packet_close_fds(fds, nfds);
	if (n > 0 && str_eq(bytes, STR("R"))) {
		start_runner(c);
		return;
	}
	if (n > 0 && bytes.p[0] == 'F' && read_failure(c, bytes))
		return;
	if (n <= 0 || !str_eq(bytes, STR("A"))) {
		local_ended(c);
		return;
	}
	c->starts = 0;
	if (c->asked && c->due == 0)
		asker_answer(c, &qmgr, 'A', VERDICT_OK, "");
}

static void
on_signals(struct watch *w, uint32_t events)
{
	struct signalfd_siginfo info;
	int status;
	pid_t pid;
	(void)events;
	if (read(w->fd, &info, sizeof(info)) < 0 && errno != EAGAIN)
		die(EXITCODE_TEMPORARY, "signalfd", errno);
	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		if (locals_ended(pid, status))
			continue;
		struct child *c = child_find_pid(pid);
		if (c == NULL) { /* its template has not been heard yet */
			locals_settle();
			c = child_find_pid(pid);
		}
		if (c == NULL)
			continue;
		child_log_end(c, status);
		if (c->kind == CHILD_LOCAL && template_is_crash(status))
			locals_renew();
		c->pid = 0;
		child_free_if_over(c);
	}
}

/* ---- postern-local ---- */

static int
watch_status(struct child *c, int fd)
{
	c->status = (struct watch){ .fd = fd, .ready = on_status, .arg = c };
	return loop_add(&c->status, EPOLLIN);
}

static int
watch_control(struct child *c, int fd)
{
	c->control = (struct watch){ .fd = fd, .ready = on_control, .arg = c };
	return loop_add(&c->control, EPOLLIN);
}

/* Gives it a fresh job socket, or that which another did not take. */
static int
give_job_socket(struct child *c, uint64_t key, int job_fd, int qmgr_fd)
{
	int pair[2] = { job_fd, qmgr_fd };
	if (job_fd < 0 && io_pair(SOCK_SEQPACKET | SOCK_NONBLOCK, pair) < 0)
		return -1;
	c->key = key;
	c->asked = true;
	c->job_fd = pair[0];
	c->qmgr_fd = pair[1];
	return packet_send(c->control.fd, STR("N"), &pair[0], 1);
}

static void
start_local(uint64_t key, const struct account *a, bool is_owner, int job_fd,
    int qmgr_fd, unsigned starts)
{
	struct child *c = child_new(CHILD_LOCAL, key);
	c->account = *a;
	c->is_owner = is_owner;
	c->starts = starts;
	c->asked = true;
	c->job_fd = job_fd;
	c->qmgr_fd = qmgr_fd;
	int pair[2] = { -1, -1 };
	/* a child that failed already is heard of through its socket */
	if (io_pair(SOCK_SEQPACKET, pair) < 0 ||
	    watch_control(c, pair[0]) < 0 || locals_start(c, pair[1]) < 0 ||
	    (give_job_socket(c, key, job_fd, qmgr_fd) < 0 && c->job_fd < 0)) {
		int saved = errno;
		LOG(ERROR, "cannot-start", F_TEXT("user", a->name),
		    F_ERRNO(saved));
		child_drop_watch(&c->control);
		start_failed(c, VERDICT_DEFER,
		    "4.3.0 no process or descriptor for the delivery");
		child_free_if_over(c);
	}
	io_close(&pair[1]);
}

/* ---- the runner of a local's programs ---- */

/* Local gets its socket, or word that there is none.  Few for a user: a local
 * that is no longer ours shall not fill the table. */
static void
start_runner(struct child *local)
{
	int pair[2] = { -1, -1 }, status_fd = -1;
	size_t nfds = 0;
	errno = EAGAIN;
	if (!local->is_owner && child_has_room(CHILD_RUNNER) &&
	    child_runners(&local->account) < USER_RUNNERS &&
	    io_pair(SOCK_SEQPACKET, pair) == 0) {
		struct child *c = child_new(CHILD_RUNNER, 0);
		c->account = local->account;
		c->pid = programs_runner(c, pair[1], &status_fd);
		if (c->pid > 0 && watch_status(c, status_fd) == 0)
			nfds = 1;
		else
			io_close(&c->status.fd);
		c->pid = c->pid < 0 ? 0 : c->pid;
		child_free_if_over(c);
	}
	if (nfds == 0)
		LOG(ERROR, "cannot-start", F_TEXT("user", local->account.name),
		    F_ERRNO(errno));
	if (packet_send(local->control.fd, STR("R"), pair, nfds) < 0)
		LOG(WARN, "local-gone", F_ERRNO(errno));
	io_close(&pair[0]);
	io_close(&pair[1]);
}

static void
take_local_request(struct packet *p)
{
	uint64_t key = packet_get_u64(p);
	struct str user = packet_get_str(p, LIMIT_USER);
	struct account a;
	enum verdict verdict;
	const char *text;
	if (!packet_end(p)) {
		LOG(ERROR, "bad-packet", F_TEXT("from", "qmgr"));
		asker_lose(&qmgr);
		return;
	}
	if (!account_find(&owner, user, &a, &verdict, &text)) {
		asker_refuse(&qmgr, key, verdict, text);
		return;
	}
	struct child *c = child_find_local(&a, user.n == 0);
	if (c != NULL && c->asked) {
		asker_refuse(&qmgr, key, VERDICT_DEFER,
		    "4.3.0 this user's delivery is being started already");
	} else if (c != NULL && give_job_socket(c, key, -1, -1) == 0) {
		c->starts = 0; /* its A follows when it has it */
	} else if (c != NULL) {
		local_ended(c); /* and is started afresh */
	} else {
		start_local(key, &a, user.n == 0, -1, -1, 1);
	}
}

/* ---- postern-pop3d ---- */

static void
start_pop3d(
    uint64_t key, const struct account *a, struct str bytes, const int *fds)
{
	struct child *c = child_new(CHILD_POP3D, key);
	c->account = *a;
	int pair[2] = { -1, -1 }, status_fd = -1;
	if (io_pair(SOCK_SEQPACKET, pair) == 0 &&
	    packet_send(pair[0], bytes, NULL, 0) == 0)
		c->pid = programs_pop3d(c, pair[1], fds, &status_fd);
	io_close(&pair[0]);
	io_close(&pair[1]);
	if (c->pid <= 0 || watch_status(c, status_fd) < 0) {
		LOG(ERROR, "cannot-start", F_TEXT("user", a->name),
		    F_ERRNO(errno));
		c->pid = c->pid < 0 ? 0 : c->pid;
		io_close(&c->status.fd);
		start_failed(c, VERDICT_DEFER,
		    "4.3.0 no process or descriptor for the session");
	}
}

/* True when the packet is a login: the fields are pop3d's to read. */
static bool
read_login(struct packet *p, uint64_t *key, struct str *user)
{
	*key = packet_get_u64(p);
	*user = packet_get_str(p, LIMIT_USER);
	for (int i = 0; i < 5; i++) /* maildir, sid, peer, login, read */
		(void)packet_get_str(p, PACKET_MAX);
	return p->type == 'P' && packet_end(p);
}

static void
take_login(struct packet *p, struct str bytes, const int *fds, size_t nfds)
{
	uint64_t key;
	struct str user;
	struct account a;
	enum verdict verdict;
	const char *text;
	if (!read_login(p, &key, &user) || nfds != 3) {
		LOG(ERROR, "bad-packet", F_TEXT("from", "userd"));
		asker_lose(&userd);
	} else if (!account_find(&owner, user, &a, &verdict, &text)) {
		asker_refuse(&userd, key, verdict, text);
	} else if (!programs_have_pop3d()) {
		asker_refuse(&userd, key, VERDICT_DEFER,
		    "4.3.0 postern-pop3d is not installed");
	} else {
		start_pop3d(key, &a, bytes, fds);
	}
}

/* ---- links ---- */

/* Is there a place for one more request?  Else they wait in the link. */
static bool
has_room(const struct asker *a)
{
	return child_has_room(a == &qmgr ? CHILD_LOCAL : CHILD_POP3D) &&
	       child_has_room(CHILD_REFUSED);
}

static void
on_link_ready(struct watch *w, uint32_t events)
{
	struct asker *a = w->arg;
	if ((events & EPOLLOUT) != 0)
		asker_answer_all(a);
	/* a few, then those that were started are seen: who asks without end
	 * would else keep their answers back without end */
	for (int n = 0; n < REQUESTS && w->fd >= 0 && has_room(a); n++) {
		struct str bytes;
		int fds[PACKET_FDS];
		size_t nfds;
		int got = packet_recv(w->fd, packet_space, sizeof(packet_space),
		    MSG_DONTWAIT, &bytes, fds, &nfds);
		if (got < 0 && errno == EAGAIN)
			return;
		if (got <= 0) {
			asker_lose(a);
			return;
		}
		struct packet p = packet_open(bytes);
		if (a == &qmgr && p.type == 'L')
			take_local_request(&p);
		else if (a == &userd && p.type == 'P')
			take_login(&p, bytes, fds, nfds);
		else
			asker_lose(a);
		packet_close_fds(fds, nfds);
	}
}

/* Every local gets a job socket of the new qmgr's. */
static void
resume_all(void)
{
	for (size_t i = 0; i < CHILDREN; i++) {
		struct child *c = &children[i];
		if (c->kind != CHILD_LOCAL || c->control.fd < 0)
			continue;
		if (give_job_socket(c, 0, -1, -1) < 0) {
			child_forget_request(c);
			continue; /* it is ending */
		}
		c->resumed = true;
		c->due = 'A';
	}
	qmgr.end_due = true;
	asker_answer_all(&qmgr);
}

static void
on_link(struct str peer, int fd)
{
	struct asker *a = str_eq(peer, STR("qmgr"))    ? &qmgr
			  : str_eq(peer, STR("userd")) ? &userd
						       : NULL;
	if (a == NULL) {
		close(fd);
		return;
	}
	if (a->watch.fd >= 0)
		asker_lose(a);
	*a = (struct asker){ .watch = {
				 .fd = fd, .ready = on_link_ready, .arg = a } };
	if (loop_add(&a->watch, EPOLLIN) < 0) {
		LOG(ERROR, "link", F_STR("peer", peer), F_ERRNO(errno));
		io_close(&a->watch.fd);
		return;
	}
	if (a == &qmgr)
		resume_all();
}

/* Requests are read only while there is a place for one. */
static int
before_wait(void)
{
	struct asker *askers[] = { &qmgr, &userd };
	for (size_t i = 0; i < N_ELEMENTS(askers); i++)
		if (askers[i]->watch.fd >= 0)
			loop_change(&askers[i]->watch,
			    (has_room(askers[i]) ? EPOLLIN : 0U) |
				(askers[i]->blocked ? EPOLLOUT : 0U));
	return -1;
}

/* ---- start ---- */

static void
open_all(void)
{
	sigset_t set;
	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	if (fcntl(ROLE_FD_DIR, F_GETFD) < 0)
		die(EXITCODE_PERMANENT, "the mail directory (fd 5)", errno);
	programs_open();
	if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
		die(EXITCODE_TEMPORARY, "sigprocmask", errno);
	signals = (struct watch){ .fd = signalfd(
				      -1, &set, SFD_CLOEXEC | SFD_NONBLOCK),
		.ready = on_signals };
	if (signals.fd < 0 || loop_add(&signals, EPOLLIN) < 0)
		die(EXITCODE_TEMPORARY, "signalfd", errno);
	qmgr.watch.fd = userd.watch.fd = -1;
}

int
main(int argc, char **argv)
{
	static const struct role role = { .name = "become",
		.user = "root",
		.help = "usage: postern-become\n\n"
			"Starts postern-local and postern-pop3d as the owners "
			"of mailboxes.\n"
			"Run by postern-start; see postern-become(8).\n",
		.on_link = on_link };
	role_init(&role, argc, argv);
	account_init(&owner);
	open_all();
	guard_enter();
	role_ready();
	loop_run(before_wait);
	return EXITCODE_DONE;
}
