/* SPDX-License-Identifier: ISC
 * postern-remote: mail to other hosts.  Runs as posternr; with arguments as
 * whoever calls it (byhand.c).
 *
 * A template: it takes connected sockets from dial, forks a child for each
 * (delivery.c), and introduces the child to qmgr with a job socket.  It keeps a
 * control socket to each child, and so can give all of them new job sockets
 * when qmgr was started anew.  Ends after some thousand connections, after a
 * crash of a child and on reload; its children then finish what they do, but
 * can get no new job socket.
 */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "common/address.h"
#include "common/control.h"
#include "common/die.h"
#include "common/io.h"
#include "common/ip.h"
#include "common/link.h"
#include "common/log.h"
#include "common/role.h"
#include "common/sandbox.h"
#include "common/template.h"
#include "common/verdict.h"
#include "send/byhand.h"
#include "send/client.h"
#include "send/delivery.h"

static const struct sandbox_rule rules[] = {
	ALLOW_TEMPLATE,
	ALLOW_IF(socketpair, 1, AF_UNIX, "job and control socket of a child"),
	ALLOW(poll, "a child waits for the server, qmgr and the template"),
	ALLOW(pread64, "a child reads the message of its job"),
};

static const struct sandbox sandbox = {
	.role = "remote", .rules = rules, .rule_count = N_ELEMENTS(rules)
};

enum {
	CHILDREN_MAX = 4096,
	CONNECTIONS_MAX = 5000, /* then the template is replaced */
	REAP_MS = 1000,
	CONNECT_PACKET = 1024
};

struct child {
	struct watch watch; /* the control socket; fd -1: a free slot */
	int job_far;	    /* qmgr's end, until it is sent; else -1 */
	bool resumed;
	uint64_t key;
	size_t domain_n, host_n, ip_n;
	char domain[CLIENT_HOST_MAX], host[CLIENT_HOST_MAX];
	char ip[CLIENT_IP_MAX];
};

static struct child children[CHILDREN_MAX];
static unsigned served;		  /* connections */
static unsigned unsent;		  /* children that qmgr was not told of */
static bool retiring, end_unsent; /* E is still to be said to qmgr */

static void qmgr_spoke(struct link *, struct packet *, int *, size_t);
static void tell_qmgr(struct link *);
static void qmgr_lost(struct link *);
static void take_connection(struct link *, struct packet *, int *, size_t);

static struct link qmgr = LINK_DOWN("qmgr", qmgr_spoke, tell_qmgr, qmgr_lost);
static struct link dial = LINK_DOWN("dial", take_connection, NULL, NULL);

static char helo_bytes[CONTROL_LINE_MAX];
static struct buf helo = { .p = helo_bytes, .cap = sizeof(helo_bytes) };
static bool strict7bit;
static unsigned timeout_cap;

/* ---- settings ---- */

static void
read_settings(void)
{
	uint64_t strict, timeout;

	if (control_line(ROLE_FD_CONTROL, "helohost", &helo) < 0 ||
	    control_number(ROLE_FD_CONTROL, "strict7bit", &strict) < 0 ||
	    control_number(ROLE_FD_CONTROL, "timeoutremote", &timeout) < 0)
		die_do(EXITCODE_PERMANENT, "the control files are wrong", 0,
		    "postern check says which, and how to write them");
	if (helo.n == 0 && control_line(ROLE_FD_CONTROL, "me", &helo) < 0)
		die_do(EXITCODE_PERMANENT, "the control files are wrong", 0,
		    "postern check says which, and how to write them");
	if (!address_is_domain(buf_str(&helo)) &&
	    !address_is_literal(buf_str(&helo)))
		die(EXITCODE_PERMANENT,
		    "control/helohost (or me) is no host name", 0);
	strict7bit = strict != 0;
	timeout_cap = (unsigned)timeout;
}

/* ---- children ---- */

static void
child_forget(struct child *c)
{
	loop_remove(&c->watch);
	io_close(&c->watch.fd);
	if (c->job_far >= 0)
		unsent--;
	io_close(&c->job_far);
}

/* A child says nothing; the end of its control socket is its own end. */
static void
on_child(struct watch *w, uint32_t events)
{
	(void)events;
	child_forget(w->arg);
}

static struct child *
child_slot(void)
{
	static size_t next;

	for (size_t i = 0; i < CHILDREN_MAX; i++) {
		struct child *c = &children[next++ % CHILDREN_MAX];

		if (c->watch.fd < 0)
			return c;
	}
	return NULL;
}

/* ---- qmgr ---- */

/* False: qmgr's link takes no more now, or is gone. */
static bool
introduce(struct child *c)
{
	static char storage[CONNECT_PACKET];
	struct buf packet = BUF_ON(storage);

	packet_begin(&packet, 'A');
	packet_u64(&packet, c->resumed ? 0 : c->key);
	packet_u8(&packet, c->resumed);
	packet_str(&packet, (struct str){ c->domain, c->domain_n });
	packet_str(&packet, (struct str){ c->host, c->host_n });
	packet_str(&packet, (struct str){ c->ip, c->ip_n });
	if (!link_send(&qmgr, &packet, c->job_far))
		return false;
	io_close(&c->job_far);
	unsent--;
	return true;
}

/* Introduces the children that qmgr does not know yet, then says E. */
static void
tell_qmgr(struct link *l)
{
	char type;
	struct buf end = { .p = &type, .cap = 1 };

	for (size_t i = 0; i < CHILDREN_MAX && unsent > 0; i++) {
		struct child *c = &children[i];

		if (c->watch.fd >= 0 && c->job_far >= 0 && !introduce(c))
			return;
	}
	packet_begin(&end, 'E');
	if (end_unsent && link_send(l, &end, -1))
		end_unsent = false;
}

static void
qmgr_spoke(struct link *l, struct packet *p, int *fds, size_t nfds)
{
	(void)fds;
	(void)nfds;
	link_complain(l, p->type);
}

static void
qmgr_lost(struct link *l)
{
	(void)l;
	end_unsent = false;
	for (size_t i = 0; i < CHILDREN_MAX; i++) {
		if (children[i].watch.fd < 0 || children[i].job_far < 0)
			continue;
		io_close(&children[i].job_far);
		unsent--;
	}
}

/* A new job socket for a child that runs. */
static void
child_resume(struct child *c)
{
	int pair[2];

	if (io_pair(SOCK_SEQPACKET, pair) < 0) {
		LOG(ERROR, "socketpair", F_ERRNO(errno));
		return;
	}
	if (packet_send(c->watch.fd, STR("N"), &pair[0], 1) < 0) {
		io_close(&pair[1]);
	} else {
		if (c->job_far < 0)
			unsent++;
		io_close(&c->job_far);
		c->job_far = pair[1];
		c->resumed = true;
	}
	io_close(&pair[0]);
}

static void
qmgr_linked(int fd)
{
	qmgr_lost(&qmgr);
	if (!link_open(&qmgr, fd))
		return;
	for (size_t i = 0; i < CHILDREN_MAX; i++)
		if (children[i].watch.fd >= 0)
			child_resume(&children[i]);
	end_unsent = true;
	tell_qmgr(&qmgr);
}

/* ---- dial ---- */

static void
put_field(char *to, size_t *n, size_t cap, struct str s)
{
	*n = s.n < cap ? s.n : cap;
	memcpy(to, s.p, *n);
}

static bool
parse_connection(struct packet *p, struct child *c)
{
	c->key = packet_get_u64(p);
	struct str domain = packet_get_str(p, CLIENT_HOST_MAX);
	struct str host = packet_get_str(p, CLIENT_HOST_MAX);
	struct str ip = packet_get_str(p, CLIENT_IP_MAX);
	(void)packet_get_u32(p); /* port */
	put_field(c->domain, &c->domain_n, sizeof(c->domain), domain);
	put_field(c->host, &c->host_n, sizeof(c->host), host);
	put_field(c->ip, &c->ip_n, sizeof(c->ip), ip);
	return packet_end(p) && p->type == 'C';
}

_Noreturn static void
child_main(const struct child *c, int net, int job, int control)
{
	const struct delivery_setup setup = {
		.net = net,
		.job = job,
		.control = control,
		.host = { c->host, c->host_n },
		.ip = { c->ip, c->ip_n },
		.helo = buf_str(&helo),
		.strict7bit = strict7bit,
		.timeout_cap = timeout_cap,
	};

	delivery_run(&setup);
	_exit(EXITCODE_DONE);
}

/* qmgr waits for an answer to its key: it gets a job socket that says F. */
static void
say_no_child(int job_near)
{
	static char storage[128];
	struct buf packet = BUF_ON(storage);

	packet_begin(&packet, 'F');
	packet_u8(&packet, VERDICT_DEFER);
	packet_str(&packet, STR("4.3.0 no process for another connection"));
	if (packet_send(job_near, buf_str(&packet), NULL, 0) < 0)
		LOG(ERROR, "job-socket", F_ERRNO(errno));
}

static void
child_start(struct child *c, int net, int *job, int *control)
{
	const int keep[] = { net, job[0], control[0] };
	int pid = template_fork(keep, N_ELEMENTS(keep));

	if (pid == 0)
		child_main(c, net, job[0], control[0]);
	c->resumed = false;
	c->job_far = job[1];
	c->watch =
	    (struct watch){ .fd = control[1], .ready = on_child, .arg = c };
	unsent++;
	job[1] = control[1] = -1;
	if (pid < 0) {
		LOG(ERROR, "fork", F_ERRNO(errno));
		say_no_child(job[0]);
	}
	/* without a child its control socket ends at once: that is watched */
	if (loop_add(&c->watch, EPOLLIN) < 0) {
		LOG(ERROR, "epoll_ctl", F_ERRNO(errno));
		child_forget(c);
	}
}

static void
start_for(struct child *c, int net)
{
	int job[2] = { -1, -1 }, control[2] = { -1, -1 };

	if (io_pair(SOCK_SEQPACKET, job) < 0 ||
	    io_pair(SOCK_SEQPACKET, control) < 0)
		LOG(ERROR, "socketpair", F_ERRNO(errno));
	else
		child_start(c, net, job, control);
	for (int i = 0; i < 2; i++) {
		io_close(&job[i]);
		io_close(&control[i]);
	}
	if (c->job_far >= 0)
		(void)introduce(c); /* else: when there is room */
}

/* From here on dial cannot send, and keeps what it has for the next template;
 * what it has sent is still read. */
static void
retire(void)
{
	retiring = true;
	if (link_is_up(&dial) && shutdown(dial.watch.fd, SHUT_RD) < 0)
		link_close(&dial);
}

static void
take_connection(struct link *l, struct packet *p, int *fds, size_t nfds)
{
	struct child *c = child_slot();

	if (++served >= CONNECTIONS_MAX)
		retire();
	if (c == NULL)
		LOG(ERROR, "too-many-children", F_NUM("limit", CHILDREN_MAX));
	else if (nfds != 1 || !parse_connection(p, c))
		link_complain(l, p->type);
	else if (link_is_up(&qmgr)) /* else: nobody waits for it any more */
		start_for(c, fds[0]);
}

/* ---- the role ---- */

static void
on_link(struct str peer, int fd)
{
	if (str_eq(peer, STR("qmgr")))
		qmgr_linked(fd);
	else if (str_eq(peer, STR("dial")) && !retiring)
		(void)link_open(&dial, fd);
	else
		io_close(&fd);
}

static int
before_wait(void)
{
	if (template_reap() > 0)
		retire();
	if (retiring && !link_is_up(&dial) &&
	    (unsent == 0 || !link_is_up(&qmgr)))
		loop_stop();
	return template_live() > 0 ? REAP_MS : -1;
}

int
main(int argc, char **argv)
{
	static const struct role role = {
		.name = "remote",
		.user = "posternr",
		.help = byhand_help,
		.on_link = on_link,
		.on_reload = retire, /* the next one reads the new settings */
		.on_finish = retire,
	};

	if (argc > 1)
		return byhand_run(argc, argv);
	role_init(&role, argc, argv);
	read_settings();
	for (size_t i = 0; i < CHILDREN_MAX; i++)
		children[i].watch.fd = children[i].job_far = -1;
	sandbox_enter(&sandbox);
	role_ready();
	loop_run(before_wait);
	return EXITCODE_DONE;
}
