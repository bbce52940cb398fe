/* SPDX-License-Identifier: ISC
 * postern-dnsd: answers dial's questions about the DNS.  Runs as posternn.
 *
 * libunbound does the work, in this process's loop, and is its cache; the
 * record data is read by answer.c.
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "common/address.h"
#include "common/clock.h"
#include "common/die.h"
#include "common/io.h"
#include "common/layout.h"
#include "common/link.h"
#include "common/log.h"
#include "common/privs.h"
#include "common/role.h"
#include "common/sandbox.h"
#include "dns/answer.h"
#include "dns/events.h"
#include "dns/resolver.h"

static const struct sandbox_rule rules[] = {
	ALLOW_LOOP,
	ALLOW_PACKETS,
	ALLOW_HEAP,
	ALLOW_IF(socket, 1, AF_INET, "questions to the resolvers"),
	ALLOW_IF(socket, 1, AF_INET6, "questions to the resolvers"),
	ALLOW(bind, "a random port for each question"),
	ALLOW(connect, "TCP, for long answers"),
	ALLOW(getsockopt, "how a connect ended"),
	ALLOW(setsockopt, "options of the sockets"),
	ALLOW(getsockname, "libunbound"),
	ALLOW(getpeername, "libunbound"),
	ALLOW(shutdown, "libunbound, TCP"),
	ALLOW(writev, "libunbound, TCP"),
	ALLOW(readv, "libunbound, TCP"),
	ALLOW(getrandom, "random ports and ids"),
	ALLOW_IF(openat, 3,
	    O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY,
	    "are the new resolvers good? at reload"),
	ALLOW(fstat, "is that a plain file?"),
	ALLOW(newfstatat, "fstat of newer libc"),
};

static const struct sandbox_dir dirs[] = { { .fd = ROLE_FD_CONTROL } };

static const struct sandbox sandbox = { .role = "dnsd",
	.rules = rules,
	.rule_count = N_ELEMENTS(rules),
	.dirs = dirs,
	.dir_count = N_ELEMENTS(dirs),
	.connects = true };

enum { QUESTIONS_MAX = 4096, QUESTION_MS = 25 * 1000 };

struct question {
	bool busy;     /* libunbound still owes its answer */
	bool answered; /* time was over: its answer goes nowhere */
	uint32_t key;
	int64_t deadline;
};

/* An answer that dial had no room for. */
struct held {
	struct held *next;
	size_t n;
	char bytes[];
};

static struct held *held_first, **held_last = &held_first;
static struct question questions[QUESTIONS_MAX];
static size_t busy_count;
static int64_t next_deadline = INT64_MAX;
static bool asker_is_all; /* started with --ask */
static char packet_bytes[PACKET_MAX];

static void take_question(struct link *, struct packet *, int *, size_t);
static void dial_has_room(struct link *);
static void dial_lost(struct link *);

static struct link dial =
    LINK_DOWN("dial", take_question, dial_has_room, dial_lost);

/* ---- answers ---- */

static void
drop_first(void)
{
	struct held *h = held_first;

	held_first = h->next;
	if (held_first == NULL)
		held_last = &held_first;
	free(h);
}

static void
dial_lost(struct link *l)
{
	(void)l;
	if (asker_is_all)
		loop_stop();
	for (size_t i = 0; i < QUESTIONS_MAX; i++)
		questions[i].answered = true;
	while (held_first != NULL)
		drop_first();
}

/* Questions that there is no room for stay with dial, which waits. */
static void
pace(void)
{
	if (held_first != NULL || busy_count == QUESTIONS_MAX)
		link_pause(&dial);
	else
		link_resume(&dial);
}

static void
dial_has_room(struct link *l)
{
	while (held_first != NULL) {
		struct buf b = { .p = held_first->bytes,
			.n = held_first->n,
			.cap = held_first->n };
		if (!link_send(l, &b, -1))
			return;
		drop_first();
	}
	pace();
}

static void
hold(struct str answer)
{
	struct held *h = malloc(sizeof(*h) + answer.n);

	if (h == NULL) { /* dial's own timer speaks for us */
		LOG(WARN, "answer-dropped", F_TEXT("link", dial.name));
		return;
	}
	h->next = NULL;
	h->n = answer.n;
	memcpy(h->bytes, answer.p, answer.n);
	*held_last = h;
	held_last = &h->next;
	pace();
}

static void
answer(uint32_t key, const struct resolver_result *r)
{
	struct buf packet = BUF_ON(packet_bytes);

	packet_begin(&packet, 'A');
	packet_u32(&packet, key);
	packet_u8(&packet, (uint8_t)r->answer.status);
	packet_u8(&packet, (uint8_t)r->security);
	packet_u32(&packet, r->answer.ttl);
	packet_u32(&packet, r->answer.count);
	buf_put(&packet, r->records);
	if (held_first != NULL ||
	    (!link_send(&dial, &packet, -1) && dial.blocked))
		hold(buf_str(&packet));
}

static void
answer_failed(uint32_t key)
{
	const struct resolver_result failed = {
		.answer = { .status = ANSWER_FAILED },
		.security = RESOLVER_UNKNOWN,
		.records = STR(""),
	};

	answer(key, &failed);
}

static void
on_resolved(void *arg, const struct resolver_result *r)
{
	struct question *q = arg;

	q->busy = false;
	busy_count--;
	if (!q->answered)
		answer(q->key, r);
	pace();
}

/* ---- questions ---- */

static struct question *
question_slot(void)
{
	static size_t next;

	for (size_t i = 0; i < QUESTIONS_MAX; i++) {
		struct question *q = &questions[next++ % QUESTIONS_MAX];

		if (!q->busy)
			return q;
	}
	return NULL;
}

static void
take_question(struct link *l, struct packet *p, int *fds, size_t nfds)
{
	uint32_t key = packet_get_u32(p);
	uint32_t type = packet_get_u32(p);
	struct str name = packet_get_str(p, ANSWER_NAME);

	(void)fds;
	(void)nfds;
	if (!packet_end(p) || p->type != 'Q') {
		link_complain(l, p->type);
		return;
	}
	struct question *q = question_slot();
	if (q == NULL || !answer_type_known(type) || !address_is_domain(name)) {
		answer_failed(key);
		return;
	}
	*q = (struct question){ .busy = true,
		.key = key,
		.deadline = clock_mono_ms() + QUESTION_MS };
	busy_count++;
	if (q->deadline < next_deadline)
		next_deadline = q->deadline;
	if (resolver_ask(name, (enum answer_type)type, on_resolved, q) < 0) {
		q->busy = false;
		busy_count--;
		answer_failed(key);
	}
	pace();
}

static void
on_link(struct str peer, int fd)
{
	if (!str_eq(peer, STR("dial"))) {
		io_close(&fd);
		return;
	}
	dial_lost(&dial);
	if (link_open(&dial, fd))
		pace();
}

/* start runs a new one, which reads the resolvers; but of wrong ones it would
 * end, again and again. */
static void
on_reload(void)
{
	if (resolver_may_begin(ROLE_FD_CONTROL))
		loop_stop();
	else
		LOG(ERROR, "reload", F_TEXT("result", "kept the old settings"));
}

/* ---- time ---- */

/* libunbound is left to find its own end; its answer then goes nowhere. */
static int
end_old_questions(void)
{
	int64_t now = clock_mono_ms();

	if (busy_count == 0) {
		next_deadline = INT64_MAX;
		return -1;
	}
	if (now < next_deadline)
		return (int)(next_deadline - now);
	next_deadline = INT64_MAX;
	for (size_t i = 0; i < QUESTIONS_MAX; i++) {
		struct question *q = &questions[i];

		if (!q->busy || q->answered)
			continue;
		if (q->deadline <= now) {
			q->answered = true;
			answer_failed(q->key);
		} else if (q->deadline < next_deadline) {
			next_deadline = q->deadline;
		}
	}
	return next_deadline == INT64_MAX ? -1 : (int)(next_deadline - now);
}

static int
before_wait(void)
{
	int tick = resolver_tick();
	int timers = events_run_timers();
	int64_t wait = loop_sooner(tick, timers);

	return (int)loop_sooner(wait, end_old_questions());
}

/* ---- by hand ---- */

static const char help[] =
    "usage: postern-dnsd          run by postern-start\n"
    "       postern-dnsd --ask    answer whoever has the socket on fd 0\n"
    "Asks the DNS; see postern-dnsd(8).\n";

/* For one asker, until it goes.  Its questions and answers are dial's. */
static int
answer_one(void)
{
	log_init("dnsd");
	layout_init();
	privs_require("posternn");
	if (signal(SIGPIPE, SIG_IGN) == SIG_ERR ||
	    io_nonblock(STDIN_FILENO, true) < 0)
		die(EXITCODE_TEMPORARY, "fd 0", errno);
	int dirfd = open(
	    layout_path(LAYOUT_CONTROL), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dirfd < 0)
		die(EXITCODE_TEMPORARY, "control directory", errno);
	loop_init();
	resolver_init(dirfd);
	io_close(&dirfd);
	struct sandbox without_dirs = sandbox; /* fd 4 is not ours */
	without_dirs.dir_count = 0;
	sandbox_enter(&without_dirs);
	asker_is_all = true;
	if (!link_open(&dial, STDIN_FILENO))
		die(EXITCODE_PERMANENT, "fd 0 is no socket of an asker", 0);
	loop_run(before_wait);
	return EXITCODE_DONE;
}

int
main(int argc, char **argv)
{
	static const struct role role = {
		.name = "dnsd",
		.user = "posternn",
		.help = help,
		.on_link = on_link,
		.on_reload = on_reload,
	};

	if (argc == 2 && str_eq(str_of(argv[1]), STR("--ask")))
		return answer_one();
	role_init(&role, argc, argv);
	resolver_init(ROLE_FD_CONTROL);
	sandbox_enter(&sandbox);
	role_ready();
	loop_run(before_wait);
	return EXITCODE_DONE;
}
