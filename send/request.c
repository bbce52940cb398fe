/* SPDX-License-Identifier: ISC
 * request: see request.h.
 */
#include "send/request.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include "common/clock.h"
#include "common/limits.h"
#include "common/log.h"
#include "send/deadhosts.h"
#include "send/pending.h"
#include "send/thishost.h"

enum {
	DNS_MS = 90 * 1000,  /* for all answers that one step waits for */
	LINK_MS = 15 * 1000, /* for a neighbour that is being restarted */
	REQUEST_MS = LIMIT_CONNECT_S * 1000
};

static struct request_links *links;
static const struct dialconf *conf;
static uint64_t random_state;
static char packet_bytes[PACKET_MAX];

static void step(struct request *);

/* ---- telling qmgr ---- */

static bool
send_failure(uint64_t key, enum verdict verdict, struct str text)
{
	struct buf packet = BUF_ON(packet_bytes);

	packet_begin(&packet, 'F');
	packet_u64(&packet, key);
	packet_u8(&packet, (uint8_t)verdict);
	packet_str(&packet, text);
	return link_send(&links->qmgr, &packet, -1);
}

static void
tell(struct request *r)
{
	struct str text = { r->walk.text, r->walk.text_n };

	pending_close(r);
	if (!send_failure(r->key, r->walk.verdict, text) &&
	    links->qmgr.blocked) {
		r->state = REQUEST_TELL;
		pending_deadline(r, LINK_MS);
		return;
	}
	/* what stood on a broken link is asked again by the next qmgr */
	LOG(INFO, "no-connection",
	    F_STR("domain", ((struct str){ r->walk.domain, r->walk.domain_n })),
	    F_STR("text", text));
	pending_free(r);
}

/* ---- handing over to remote ---- */

static bool
send_connection(const struct request *r)
{
	char ip_bytes[64];
	struct buf packet = BUF_ON(packet_bytes), ip = BUF_ON(ip_bytes);

	ip_put(&ip, &r->target.ip);
	packet_begin(&packet, 'C');
	packet_u64(&packet, r->key);
	packet_str(&packet, (struct str){ r->walk.domain, r->walk.domain_n });
	packet_str(&packet, r->target.host);
	packet_str(&packet, buf_str(&ip));
	packet_u32(&packet, r->target.port);
	return link_send(&links->remote, &packet, r->watch.fd);
}

static void
hand_over(struct request *r)
{
	if (r->state != REQUEST_HAND) {
		r->state = REQUEST_HAND;
		pending_deadline(r, LINK_MS);
		loop_remove(&r->watch);
	}
	if (send_connection(r))
		pending_free(r); /* else: when there is room, or a new link */
}

/* ---- connecting ---- */

/* Our own trouble says nothing about the host. */
static bool
is_ours(int error)
{
	return error == EMFILE || error == ENFILE || error == ENOMEM ||
	       error == ENOBUFS || error == EADDRNOTAVAIL || error == EACCES ||
	       error == EPERM || error == ENETDOWN || error == ENETUNREACH;
}

static void
connect_failed(struct request *r, int error)
{
	pending_close(r);
	if (!is_ours(error))
		deadhosts_add(&r->target.ip, r->target.port,
		    str_of(strerror(error)), clock_mono_ms());
	walk_failed(&r->walk, &r->target, strerror(error));
}

static void
on_connect(struct watch *w, uint32_t events)
{
	struct request *r = w->arg;
	int error = 0;
	socklen_t n = sizeof(error);

	(void)events;
	if (getsockopt(w->fd, SOL_SOCKET, SO_ERROR, &error, &n) < 0)
		error = errno;
	if (error == 0) {
		deadhosts_forget(&r->target.ip, r->target.port);
		hand_over(r);
		return;
	}
	connect_failed(r, error);
	step(r);
}

static int
open_socket(const struct request *r)
{
	const int on = 1;
	int fd = socket(ip_is_v4(&r->target.ip) ? AF_INET : AF_INET6,
	    SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	/* commands and bodies leave in whole writes: nothing to wait for */
	if (fd >= 0 &&
	    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) < 0)
		LOG(WARN, "setsockopt", F_ERRNO(errno));
	return fd;
}

/* True: the request waits for the connection (or is past it).  False: this
 * address failed at once. */
static bool
try_target(struct request *r)
{
	struct sockaddr_storage to;
	socklen_t n = ip_to_sockaddr(&r->target.ip, r->target.port, &to);

	r->watch = (struct watch){
		.fd = open_socket(r), .ready = on_connect, .arg = r
	};
	if (r->watch.fd < 0) {
		connect_failed(r, errno);
		return false;
	}
	int made = connect(r->watch.fd, (struct sockaddr *)&to, n);
	if (made < 0 && errno != EINPROGRESS) {
		connect_failed(r, errno);
		return false;
	}
	if (loop_add(&r->watch, EPOLLOUT) < 0) {
		connect_failed(r, errno);
		return false;
	}
	r->state = REQUEST_CONNECT;
	pending_deadline(r, dialconf_connect_ms(conf));
	return true;
}

/* ---- asking ---- */

static void
ask(struct request *r)
{
	char storage[512];
	struct buf packet = BUF_ON(storage);
	struct walk_question q;

	while (link_is_up(&links->dnsd) && walk_question(&r->walk, &q)) {
		packet_begin(&packet, 'Q');
		packet_u32(&packet, pending_question(r, q.number));
		packet_u32(&packet, q.type);
		packet_str(&packet, q.name);
		if (!link_send(&links->dnsd, &packet, -1)) {
			walk_unask(&r->walk, q.number);
			return;
		}
	}
}

/* True: the address failed a moment ago, and so it does now. */
static bool
skip_dead(struct request *r)
{
	char space[256];
	struct buf why = BUF_ON(space);
	if (r->forced || !deadhosts_find(&r->target.ip, r->target.port,
			     clock_mono_ms(), &why))
		return false;
	walk_failed(&r->walk, &r->target, buf_cstr(&why));
	return true;
}

/* Takes a request as far as it goes now. */
static void
step(struct request *r)
{
	for (;;) {
		switch (walk_next(&r->walk, &r->target)) {
		case WALK_ASK:
			if (r->state != REQUEST_DNS) {
				r->state = REQUEST_DNS;
				pending_deadline(r, link_is_up(&links->dnsd)
							? DNS_MS
							: LINK_MS);
			}
			ask(r);
			return;
		case WALK_CONNECT:
			if (!r->walk.routed && thishost_has(&r->target.ip))
				walk_met_self(&r->walk);
			else if (skip_dead(r))
				break;
			else if (try_target(r))
				return;
			break;
		case WALK_OVER:
			tell(r);
			return;
		}
	}
}

/* ---- packets ---- */

static bool
take_tried(struct packet *p, struct walk *walk)
{
	uint32_t n = packet_get_u32(p);

	for (uint32_t i = 0; i < n && !p->bad; i++) {
		struct ip ip;

		if (ip_parse(packet_get_str(p, LIMIT_PEER), &ip) && !p->bad)
			walk_tried(walk, &ip);
	}
	return packet_end(p);
}

static uint64_t
next_seed(void)
{
	random_state =
	    random_state * 6364136223846793005U + 1442695040888963407U;
	return random_state;
}

void
request_take(struct packet *p)
{
	uint64_t key = packet_get_u64(p);
	struct str domain = packet_get_str(p, LIMIT_DOMAIN + 2);

	if (p->bad || (p->type != 'C' && p->type != 'D')) {
		link_complain(&links->qmgr, p->type);
		return;
	}
	struct request *r = pending_new();
	if (r == NULL) {
		/* a full link: qmgr's own timer answers for us */
		(void)send_failure(key, VERDICT_DEFER,
		    STR("4.3.2 too many connections are being made"));
		return;
	}
	walk_begin(&r->walk, dialconf_world(conf), domain, next_seed());
	if (!take_tried(p, &r->walk)) {
		link_complain(&links->qmgr, p->type);
		walk_end(&r->walk, VERDICT_DEFER, STR("4.3.0 bad request"));
	}
	r->forced = p->type == 'D';
	r->key = key;
	/* none of the states that step looks at */
	pending_begin(r, REQUEST_TELL, REQUEST_MS);
	step(r);
}

void
request_give_up(struct packet *p)
{
	uint64_t key = packet_get_u64(p);

	if (!packet_end(p)) {
		link_complain(&links->qmgr, p->type);
		return;
	}
	struct request *r = pending_find(key);
	if (r == NULL)
		return;
	pending_close(r);
	walk_end(&r->walk, VERDICT_DEFER,
	    STR("4.4.1 no connection yet when other mail needed its place"));
	step(r);
}

void
request_serves_nobody(struct packet *p)
{
	struct ip ip;
	bool known = ip_parse(packet_get_str(p, LIMIT_PEER), &ip);
	struct str why = packet_get_str(p, LIMIT_REPORT);

	if (!packet_end(p) || !known)
		link_complain(&links->qmgr, p->type);
	else
		deadhosts_add(&ip, 0, why, clock_mono_ms());
}

void
request_answer(struct packet *p)
{
	uint32_t key = packet_get_u32(p);
	uint32_t number;

	if (p->bad || p->type != 'A') {
		link_complain(&links->dnsd, p->type);
		return;
	}
	struct request *r = pending_asked(key, &number);
	if (r == NULL)
		return;
	walk_answer(&r->walk, number, p);
	step(r);
}

/* ---- links ---- */

static void
dnsd_lost(struct request *r)
{
	walk_unask_all(&r->walk);
	pending_deadline(r, LINK_MS);
}

static void
dnsd_back(struct request *r)
{
	pending_deadline(r, DNS_MS);
	ask(r);
}

void
request_link_lost(struct link *l)
{
	if (l == &links->dnsd)
		pending_each_in(REQUEST_DNS, dnsd_lost);
	if (l != &links->qmgr)
		return;
	pending_each(pending_free);
}

void
request_link_made(struct link *l)
{
	if (l == &links->qmgr)
		deadhosts_clear(); /* a new one begins anew, too */
	else if (l == &links->dnsd)
		pending_each_in(REQUEST_DNS, dnsd_back);
	else if (l == &links->remote)
		pending_each_in(REQUEST_HAND, hand_over);
}

void
request_link_room(struct link *l)
{
	if (l == &links->qmgr)
		pending_each_in(REQUEST_TELL, tell);
	else if (l == &links->dnsd)
		pending_each_in(REQUEST_DNS, ask);
	else
		pending_each_in(REQUEST_HAND, hand_over);
}

/* ---- time ---- */

static void
time_over(struct request *r)
{
	switch (r->state) {
	case REQUEST_FREE:
		return;
	case REQUEST_DNS:
		walk_end(&r->walk, VERDICT_DEFER,
		    STR("4.4.3 DNS gave no answer in time"));
		break;
	case REQUEST_CONNECT:
		connect_failed(r, ETIMEDOUT);
		break;
	case REQUEST_HAND:
		walk_end(&r->walk, VERDICT_DEFER,
		    STR("4.3.0 no process takes the connection"));
		break;
	case REQUEST_TELL:
		pending_free(r);
		return;
	}
	if (clock_mono_ms() >= r->last_deadline)
		walk_end(&r->walk, VERDICT_DEFER,
		    STR("4.4.1 no connection in a quarter of an hour"));
	step(r);
}

int
request_time(void)
{
	return pending_time(time_over);
}

static void
configure(struct request *r)
{
	r->walk.world = dialconf_world(conf);
}

void
request_configure(const struct dialconf *fresh)
{
	conf = fresh;
	pending_each(configure);
}

void
request_init(struct request_links *all, uint64_t seed)
{
	links = all;
	random_state = seed;
}
