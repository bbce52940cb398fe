/* SPDX-License-Identifier: ISC
 * postern-qmgr: knows every message in the queue and decides when which agent
 * tries it.  Resident, one process, user posterns; no file but the control
 * directory: its index and the bodies' descriptors come from queued, and what
 * is done goes back there as marks.
 *
 *	notes     queued: messages in, marks out	delivery  what follows
 *	where     userd: where our recipients go	destination  the queues
 *	agents    jobs, reports; hubs: new agents	schedule  retry times
 *	bounces   postern-bounce			manage    postern queue
 */
#include <errno.h>
#include <sys/resource.h>
#include "common/clock.h"
#include "common/die.h"
#include "common/log.h"
#include "common/role.h"
#include "common/sandbox.h"
#include "queue/agents.h"
#include "queue/bounces.h"
#include "queue/manage.h"
#include "queue/names.h"
#include "queue/notes.h"
#include "queue/pace.h"
#include "queue/where.h"

static const struct sandbox_rule rules[] = {
	ALLOW_HEAP,
	ALLOW_LOOP,
	ALLOW_PACKETS,
	ALLOW(sendmmsg, "questions, many at a time"),
	ALLOW(shutdown, "agents whose place is wanted"),
	ALLOW(accept4, "postern queue, on run/qmgr"),
	ALLOW(getsockopt, "who asks there"),
	ALLOW(geteuid, "whom it obeys"),
	ALLOW(openat, "control files, on reload (Landlock: only those)"),
	ALLOW(fstat, "control files"),
	ALLOW(newfstatat, "control files"),
};

enum {
	START_MS = 5000,  /* each neighbour may be late so much at the start */
	FINISH_MS = 2000, /* start kills who takes over 2.5 s to stop */
	TICK_MS = 100,
	SWEEP_MS = 60000
};

static enum { INDEXING, RESUMING, RUNNING, FINISHING } phase;
static int64_t phase_since, last_tick, last_sweep;

static void
on_link(struct str peer, int fd)
{
	static const struct {
		struct str name;
		void (*take)(int fd);
	} peers[] = {
		{ { "queued", 6 }, notes_link },
		{ { "userd", 5 }, where_link },
		{ { "become", 6 }, agents_become_link },
		{ { "dial", 4 }, agents_dial_link },
		{ { "remote", 6 }, agents_remote_link },
		{ { "bounce", 6 }, bounces_link },
	};
	for (size_t i = 0; i < N_ELEMENTS(peers); i++) {
		if (str_eq(peer, peers[i].name)) {
			peers[i].take(fd);
			return;
		}
	}
	LOG(ERROR, "bad-link", F_STR("peer", peer));
	packet_close_fds(&fd, 1);
}

static void
on_reload(void)
{
	if (agents_load(ROLE_FD_CONTROL, false) == 0 &&
	    delivery_load(ROLE_FD_CONTROL) == 0 &&
	    agents_load(ROLE_FD_CONTROL, true) == 0)
		LOG(INFO, "reloaded", F_NUM("lifetime", delivery_lifetime()));
	else
		LOG(ERROR, "reload-failed",
		    F_TEXT("text", "the old settings stay"));
}

/* Nothing is scheduled before queued has told its index, the hubs have named
 * the agents that still run, and those have said what they have in flight. */
static void
start_up(int64_t now)
{
	int64_t heard = notes_last() > phase_since ? notes_last() : phase_since;
	bool late = now - phase_since > START_MS;
	if (phase == INDEXING && (notes_told() || now - heard > START_MS) &&
	    (agents_named() || late)) {
		if (late)
			LOG(WARN, "start-late", F_NUM("queued", notes_told()),
			    F_NUM("agents", agents_named()));
		agents_resume();
		phase = RESUMING;
		phase_since = now;
		late = false;
	}
	if (phase == RESUMING && (agents_resumed() || late)) {
		phase = RUNNING;
		LOG(INFO, "scheduling", F_NUM("messages", index_messages()));
		delivery_open();
		manage_open(ROLE_FD_LISTEN);
	}
}

/* The suite stops: what agents have under way is still taken, and acknowledged,
 * so that it is not done again after the next start. */
static void
on_finish(void)
{
	if (phase == RUNNING) {
		agents_finish();
		phase = FINISHING;
		phase_since = clock_mono_ms();
	} else if (phase != FINISHING) {
		loop_stop();
	}
}

static int
finish(void)
{
	int64_t left = phase_since + FINISH_MS - clock_mono_ms();
	agents_flush();
	delivery_settle_all();
	notes_flush();
	unsigned working = agents_at_work();
	if (left > 0 && (working > 0 || notes_pending()))
		return (int)left;
	if (working > 0)
		LOG(WARN, "cut-short", F_NUM("agents", working));
	loop_stop();
	return 0;
}

/* Everything that the packets of this round have led to is sent here, so that
 * one system call carries as much as can be. */
static int
before_wait(void)
{
	int64_t now = clock_mono_ms();
	int64_t wait = -1;
	if (phase == FINISHING)
		return finish();
	if (phase != RUNNING)
		start_up(now);
	if (phase == RUNNING)
		wait = delivery_due();
	if (wait >= 0)
		wait *= TICK_MS;
	if (agents_busy() && now - last_tick >= TICK_MS) {
		last_tick = now;
		agents_tick(now);
		delivery_let_go();
	}
	if (now - last_sweep >= SWEEP_MS) {
		last_sweep = now;
		destinations_sweep(now);
	}
	pace_wake(now, agents_wanted);
	where_flush();
	agents_flush();
	wait = loop_sooner(wait, pace_wait(now));
	delivery_settle_all();
	bounces_flush(now);
	notes_flush();
	if (phase != RUNNING || agents_busy())
		wait = loop_sooner(wait, TICK_MS);
	if (delivery_grouping())
		wait = loop_sooner(wait, 1000);
	wait = loop_sooner(wait, bounces_wait(now));
	return (int)(wait > SWEEP_MS ? SWEEP_MS : wait);
}

/* Bodies are descriptors: as many as half of the limit allows; agents and links
 * have the other half. */
static void
raise_descriptors(void)
{
	struct rlimit r;
	if (getrlimit(RLIMIT_NOFILE, &r) < 0)
		die(EXITCODE_TEMPORARY, "getrlimit", errno);
	r.rlim_cur = r.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &r) < 0)
		die(EXITCODE_TEMPORARY, "setrlimit", errno);
	agents_files(r.rlim_cur);
	delivery_body_limit(
	    r.rlim_cur / 2 < 32768 ? (uint32_t)(r.rlim_cur / 2) : 32768);
}

int
main(int argc, char **argv)
{
	static const struct role role = {
		.name = "qmgr",
		.user = "posterns",
		.help = "usage: postern-qmgr\n"
			"\n"
			"Schedules deliveries.  Run by postern-start; see "
			"postern-qmgr(8).\n",
		.on_link = on_link,
		.on_reload = on_reload,
		.on_finish = on_finish,
	};
	static const struct sandbox_dir dirs[] = { { .fd = ROLE_FD_CONTROL } };
	static const struct sandbox sandbox = {
		.role = "qmgr",
		.rules = rules,
		.rule_count = N_ELEMENTS(rules),
		.dirs = dirs,
		.dir_count = N_ELEMENTS(dirs),
	};

	role_init(&role, argc, argv);
	names_init();
	index_init();
	destinations_init();
	pace_init(clock_mono_ms());
	raise_descriptors();
	if (delivery_load(ROLE_FD_CONTROL) < 0 ||
	    agents_load(ROLE_FD_CONTROL, true) < 0)
		die_do(EXITCODE_PERMANENT, "the control files are wrong", 0,
		    "postern check says which, and how to write them");
	phase_since = last_sweep = clock_mono_ms();
	sandbox_enter(&sandbox);
	role_ready();
	loop_run(before_wait);
	return EXITCODE_DONE;
}
