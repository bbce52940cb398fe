/* SPDX-License-Identifier: ISC
 * admit: contract in admit.h.  Part of postern-listen (posternl).
 */
#include "start/admit.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>
#include "common/control.h"
#include "common/die.h"
#include "common/limits.h"
#include "common/log.h"
#include "common/loop.h"
#include "start/limit.h"

/* A session is a descriptor here, and in queued and userd, which have as many;
 * there those of the other service, files, and callers of this host come to
 * it. */
enum { FILES_A_SESSION = 3 };

struct session {
	struct watch life;
	struct ip ip;
	struct session *next_free;
};

struct config {
	struct limits limits;
	bool filters;
	size_t net_count;
	struct ip_net nets[LIMIT_NETWORKS]; /* control.c takes no more */
};

static struct config configs[2], *config = &configs[0];
static struct limit *limit;
static struct session *sessions, *free_session;
static uint64_t files;
static size_t session_max, session_used; /* those after it: never used */

/* ---- settings ---- */

static const char *
on_net(void *arg, struct str line, unsigned number)
{
	struct config *c = arg;

	(void)number;
	if (!ip_net_parse(line, &c->nets[c->net_count]))
		return "write a network as 192.0.2.0/24, 192.0.2. or "
		       "2001:db8::/32";
	c->net_count++;
	return NULL;
}

/* Once for each number. */
static void
compare_with_files(void)
{
	if (session_max == 0 || config->limits.total <= session_max)
		return;
	LOG(WARN, "few-descriptors", F_NUM("limit", files),
	    F_NUM("sessions", session_max),
	    F_NUM("wanted", config->limits.total));
}

int
admit_configure(int control_dirfd, bool is_smtp)
{
	struct config *fresh =
	    config == &configs[0] ? &configs[1] : &configs[0];
	struct limits *l = &fresh->limits;
	const char *total = is_smtp ? "concurrencyincoming" : "concurrencypop3";
	char text[CONTROL_LINE_MAX];
	struct buf filter = BUF_ON(text);

	fresh->net_count = 0;
	if (control_number(control_dirfd, total, &l->total) < 0 ||
	    control_number(control_dirfd, "concurrencyperip", &l->per_address) <
		0 ||
	    control_number(control_dirfd, "concurrencyper64", &l->per_net64) <
		0 ||
	    control_list(control_dirfd, "relayclients", on_net, fresh) < 0 ||
	    control_line(control_dirfd, "filter", &filter) < 0)
		return -1;
	fresh->filters = buf_str(&filter).n > 0;
	config = fresh;
	compare_with_files();
	return 0;
}

bool
admit_filters(void)
{
	return config->filters;
}

bool
admit_relays(const struct ip *ip)
{
	for (size_t i = 0; i < config->net_count; i++)
		if (ip_net_has(&config->nets[i], ip))
			return true;
	return false;
}

/* ---- sessions ---- */

void
admit_init(void)
{
	struct rlimit r;
	uint64_t seed;

	if (getrlimit(RLIMIT_NOFILE, &r) < 0 || getentropy(&seed, 8) < 0)
		die(EXITCODE_TEMPORARY, "start-up", errno);
	files = r.rlim_cur;
	session_max = LIMIT_INCOMING;
	if (files / FILES_A_SESSION < session_max)
		session_max = (size_t)(files / FILES_A_SESSION);
	compare_with_files();
	/* touched only as far as there are sessions */
	sessions = calloc(session_max, sizeof(*sessions));
	limit = limit_new(session_max, seed);
	if (sessions == NULL || limit == NULL)
		die(EXITCODE_TEMPORARY, "memory for sessions", ENOMEM);
}

static const char *
limit_name(enum limit_answer answer)
{
	switch (answer) {
	case LIMIT_OVER_TOTAL:
		return "total";
	case LIMIT_OVER_ADDRESS:
		return "address";
	case LIMIT_OVER_NET:
		return "net64";
	case LIMIT_TAKEN:
		break;
	}
	return NULL;
}

/* The pipe's other end is gone (or was written to, which nobody should). */
static void
on_end(struct watch *w, uint32_t events)
{
	struct session *s = w->arg;

	(void)events;
	close(w->fd); /* which takes it out of the epoll set as well */
	w->fd = -1;
	limit_release(limit, &s->ip);
	s->next_free = free_session;
	free_session = s;
}

const char *
admit_take(const struct ip *ip)
{
	return limit_name(limit_take(limit, &config->limits, ip));
}

void
admit_give_back(const struct ip *ip)
{
	limit_release(limit, ip);
}

bool
admit_begun(const struct ip *ip, int life_fd)
{
	struct session *s = free_session;

	if (s != NULL)
		free_session = s->next_free;
	else
		s = &sessions[session_used++]; /* limit's capacity bounds it */
	*s = (struct session){ .ip = *ip,
		.life = { .fd = life_fd, .ready = on_end, .arg = s } };
	if (loop_add(&s->life, EPOLLHUP) == 0)
		return true;
	s->next_free = free_session;
	free_session = s;
	return false;
}
