/* SPDX-License-Identifier: ISC
 * family: the life and death of roles.  Part of postern-start.
 */
#include "start/family.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include "common/clock.h"
#include "common/control.h"
#include "common/exitcode.h"
#include "common/io.h"
#include "common/log.h"
#include "common/packet.h"
#include "common/role.h"
#include "start/errors.h"

enum {
	RETIRED_MS = 100,     /* so early nobody has served enough */
	SETTLED_MS = 2000,    /* who lived so long did not die early */
	BACKOFF_MS = 100,     /* second early death; doubles */
	BACKOFF_MAX_MS = 800, /* back within a second */
	STAGE_MS = 2500,      /* what a stop gives each stage */
	RETRY_MS = 50,	      /* a link that did not fit in a channel */
	CHANNEL_PACKET = ROLE_ERROR_MAX + 16,
	LAST_WORDS = 32 /* packets that are read of a role that has died */
};

static struct family *the_family; /* for the watches */

struct child *
family_find(struct family *f, const char *name)
{
	for (size_t i = 0; i < f->count; i++)
		if (strcmp(f->roles[i].plan->name, name) == 0)
			return &f->roles[i];
	return NULL;
}

/* ---- the channel ---- */

static void
channel_drop(struct child *c)
{
	loop_remove(&c->channel);
	io_close(&c->channel.fd);
}

static void
channel_packet(struct child *c, struct packet p)
{
	if (p.type == 'E') {
		struct str line = packet_get_str(&p, ROLE_ERROR_MAX);
		if (packet_end(&p))
			errors_keep(line);
		return;
	}
	unsigned landlock = packet_get_u8(&p);
	if (p.type == 'R' && packet_end(&p) && c->state == FAMILY_STARTING) {
		c->state = FAMILY_READY;
		c->landlock = landlock;
		the_family->changed = true;
	}
}

/* Takes one packet.  1; 0: there is none now; -1: there will be none. */
static int
channel_read(struct child *c)
{
	char storage[CHANNEL_PACKET];
	struct str bytes;
	int fds[PACKET_FDS];
	size_t nfds = 0;

	int r = packet_recv(c->channel.fd, storage, sizeof(storage),
	    MSG_DONTWAIT, &bytes, fds, &nfds);
	packet_close_fds(fds, nfds);
	if (r < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	if (r <= 0)
		return -1;
	channel_packet(c, packet_open(bytes));
	return 1;
}

static void
on_channel(struct watch *w, uint32_t events)
{
	struct child *c = w->arg;

	(void)events;
	if (channel_read(c) < 0) /* gone; the reaping tells */
		channel_drop(c);
}

/* What it said before it died: why, as a rule. */
static void
channel_end(struct child *c)
{
	for (int i = 0; i < LAST_WORDS && c->channel.fd >= 0; i++)
		if (channel_read(c) != 1)
			break;
	channel_drop(c);
}

/* 'H' or 'Q'. */
static void
child_tell(const struct child *c, struct str packet)
{
	if (c->channel.fd >= 0 &&
	    packet_send(c->channel.fd, packet, NULL, 0) < 0 && errno != EPIPE)
		LOG(ERROR, "channel", F_TEXT("to", c->plan->name),
		    F_ERRNO(errno));
}

/* ---- birth ---- */

static void
child_start(struct family *f, struct child *c)
{
	c->born_ms = clock_mono_ms();
	c->since = clock_now();
	f->changed = true;
	if (spawn(f, c) < 0) {
		LOG(ERROR, "spawn", F_TEXT("name", c->plan->name),
		    F_ERRNO(errno));
		c->due_ms = c->born_ms + BACKOFF_MAX_MS;
		return;
	}
	c->state = FAMILY_STARTING;
	c->channel.ready = on_channel;
	c->channel.arg = c;
	if (loop_add(&c->channel, EPOLLIN) < 0) {
		LOG(ERROR, "watch", F_ERRNO(errno));
		kill(c->pid, SIGKILL); /* and again, when it is reaped */
	}
}

/* ---- death ---- */

static int64_t
backoff(const struct child *c, int64_t now)
{
	int64_t wait = 0;

	if (c->fails >= 2)
		wait = BACKOFF_MS << (c->fails < 8 ? c->fails - 2 : 6);
	return now + (wait < BACKOFF_MAX_MS ? wait : BACKOFF_MAX_MS);
}

static void
death_log(const char *name, pid_t pid, int status)
{
	if (WIFSIGNALED(status))
		LOG(ERROR, "role-died", F_TEXT("name", name), F_NUM("pid", pid),
		    F_NUM("signal", WTERMSIG(status)));
	else
		LOG(ERROR, "role-died", F_TEXT("name", name), F_NUM("pid", pid),
		    F_NUM("status", WEXITSTATUS(status)));
}

static void
child_ended(struct family *f, struct child *c, int status)
{
	int64_t now = clock_mono_ms();
	/* by its own wish: a template that has served enough, or a role that
	 * begins anew to read its settings */
	bool retired = WIFEXITED(status) && WEXITSTATUS(status) == 0 &&
		       c->state == FAMILY_READY;

	if (f->stopping) {
		LOG(INFO, "role-stopped", F_TEXT("name", c->plan->name),
		    F_NUM("pid", c->pid));
	} else if (retired) {
		LOG(INFO, "role-retired", F_TEXT("name", c->plan->name),
		    F_NUM("pid", c->pid));
	} else {
		death_log(c->plan->name, c->pid, status);
		c->restarts++;
	}
	int64_t lived = now - c->born_ms;
	c->fails =
	    lived < (retired ? RETIRED_MS : SETTLED_MS) ? c->fails + 1 : 0;
	c->due_ms = backoff(c, now);
	c->pid = 0;
	c->state = FAMILY_DOWN;
	c->since = clock_now();
	channel_end(c);
	links_forget(f, c);
	f->changed = true;
}

static bool
old_ended(struct family *f, pid_t pid, int status)
{
	for (size_t i = 0; i < FAMILY_OLD; i++) {
		struct old_child *o = &f->old[i];
		if (o->pid != pid)
			continue;
		if (WIFSIGNALED(status) && !f->stopping)
			death_log(o->plan->name, pid, status);
		io_close(&o->channel_fd);
		o->pid = 0;
		return true;
	}
	return false;
}

static void
reaped(struct family *f, pid_t pid, int status)
{
	for (size_t i = 0; i < f->count; i++)
		if (f->roles[i].pid == pid) {
			child_ended(f, &f->roles[i], status);
			return;
		}
	/* else a session, whose template went before it */
	if (!old_ended(f, pid, status) && WIFSIGNALED(status) && !f->stopping)
		LOG(WARN, "orphan-died", F_NUM("pid", pid),
		    F_NUM("signal", WTERMSIG(status)));
}

void
family_reap(struct family *f)
{
	for (;;) {
		int status;
		pid_t pid = waitpid(-1, &status, WNOHANG);
		if (pid <= 0)
			return;
		reaped(f, pid, status);
	}
}

/* ---- reload ---- */

/* The old one takes what is in its queue and ends; its sessions live on. */
static void
template_replace(struct family *f, struct child *c)
{
	for (size_t i = 0; i < FAMILY_OLD; i++) {
		struct old_child *o = &f->old[i];
		if (o->pid != 0)
			continue;
		child_tell(c, STR("Q"));
		*o = (struct old_child){ .pid = c->pid,
			.plan = c->plan,
			.channel_fd = c->channel.fd };
		loop_remove(&c->channel);
		c->channel.fd = -1;
		c->pid = 0;
		c->state = FAMILY_DOWN;
		c->due_ms = 0;
		links_forget(f, c);
		return;
	}
	LOG(ERROR, "reload", F_TEXT("name", c->plan->name),
	    F_TEXT("error", "too many old ones have not ended yet"));
}

/* A setting that cannot be read changes nothing. */
void
family_want(struct family *f)
{
	char text[CONTROL_LINE_MAX];
	struct buf line = BUF_ON(text);

	for (size_t i = 0; i < f->count; i++) {
		const char *setting = f->roles[i].plan->only_with;
		if (setting != NULL &&
		    control_line(f->control_dirfd, setting, &line) == 0)
			f->roles[i].unwanted = buf_str(&line).n == 0;
	}
}

void
family_reload(struct family *f)
{
	f->changed = true;
	family_want(f);
	for (size_t i = 0; i < f->count; i++) {
		struct child *c = &f->roles[i];
		if (c->pid == 0 || c->channel.fd < 0)
			continue;
		if (c->plan->is_template)
			template_replace(f, c);
		else
			child_tell(c, STR("H"));
	}
}

/* ---- stop ---- */

static void
stage_enter(struct family *f, enum plan_stage stage)
{
	f->stage = stage;
	f->stage_until_ms = clock_mono_ms() + STAGE_MS;
	for (size_t i = 0; i < f->count; i++)
		if (f->roles[i].plan->stage == stage)
			child_tell(&f->roles[i], STR("Q"));
	for (size_t i = 0; i < FAMILY_OLD; i++)
		if (f->old[i].pid != 0 && f->old[i].plan->stage == stage)
			io_close(&f->old[i].channel_fd);
}

void
family_stop(struct family *f)
{
	if (f->stopping)
		return;
	f->stopping = true;
	f->changed = true;
	stage_enter(f, STAGE_DOOR);
}

/* How many of this stage still run; they are killed when `force` is set. */
static unsigned
stage_left(struct family *f, bool force)
{
	unsigned left = 0;

	for (size_t i = 0; i < f->count; i++) {
		const struct child *c = &f->roles[i];
		if (c->pid == 0 || c->plan->stage != f->stage)
			continue;
		left++;
		if (force) {
			LOG(WARN, "role-killed", F_TEXT("name", c->plan->name),
			    F_NUM("pid", c->pid));
			kill(c->pid, SIGKILL);
		}
	}
	for (size_t i = 0; i < FAMILY_OLD; i++) {
		const struct old_child *o = &f->old[i];
		if (o->pid == 0 || o->plan->stage != f->stage)
			continue;
		left++;
		if (force)
			kill(o->pid, SIGKILL);
	}
	return left;
}

static int
stop_turn(struct family *f)
{
	for (;;) {
		int64_t left_ms = f->stage_until_ms - clock_mono_ms();
		if (stage_left(f, false) > 0) {
			if (left_ms > 0)
				return (int)left_ms;
			stage_left(f, true);
			f->stage_until_ms += STAGE_MS;
			return STAGE_MS;
		}
		if (f->stage + 1 == STAGES)
			return -2;
		stage_enter(f, f->stage + 1);
	}
}

/* ---- all of it ---- */

/* Starts what is due; the time until the next one is, or -1. */
static int
start_due(struct family *f)
{
	int64_t now = clock_mono_ms();
	int wait = -1;

	for (size_t i = 0; i < f->count; i++) {
		struct child *c = &f->roles[i];
		if (c->pid == 0 && c->unwanted)
			continue;
		if (c->pid == 0 && c->due_ms <= now)
			child_start(f, c);
		if (c->pid != 0)
			continue;
		int left = c->due_ms > now ? (int)(c->due_ms - now) : 0;
		if (wait < 0 || left < wait)
			wait = left;
	}
	return wait;
}

int
family_turn(struct family *f)
{
	int wait;

	the_family = f;
	if (f->stopping) {
		wait = stop_turn(f);
	} else {
		wait = start_due(f);
		if (!links_make(f) && (wait < 0 || wait > RETRY_MS))
			wait = RETRY_MS;
	}
	return wait == -2 ? wait : (int)loop_sooner(wait, errors_write());
}
