/* SPDX-License-Identifier: ISC
 * postern-filter: stands before the queue for mail that comes over SMTP, and
 * runs the program of control/filter for each message: qmail-queue's interface
 * (postern-filter(8)).  Runs as posternf.
 *
 * Three kinds of process: this one, which reads frames as queued does, in a
 * sandbox; its child keeper, which it was forked from before it read anything;
 * and keeper's child for each message, the parent of the program.
 *
 *	fd 6	run/filter, for an smtpd under tcpserver or inetd
 */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "common/announce.h"
#include "common/clock.h"
#include "common/control.h"
#include "common/die.h"
#include "common/log.h"
#include "common/privs.h"
#include "common/role.h"
#include "common/sandbox.h"
#include "filter/keeper.h"
#include "filter/runner.h"
#include "filter/session.h"
#include "filter/stream.h"

static const struct sandbox_rule rules[] = {
	ALLOW_HEAP,
	ALLOW_LOOP,
	ALLOW_PACKETS,
	ALLOW(accept4, "smtpd at run/filter"),
	ALLOW_IF(getsockopt, 3, SO_PEERCRED, "who that is"),
	ALLOW(fcntl, "non-blocking sockets, seals of memfds"),
	ALLOW(memfd_create, "messages and envelopes for the program"),
	ALLOW(pwrite64, "the same"),
	ALLOW(openat, "control files, at a reload"),
	ALLOW(newfstatat, "control files"),
	ALLOW(fstat, "control files"),
};

static const char help[] =
    "usage: postern-filter\n\n"
    "Runs the program of control/filter for each message that comes over\n"
    "SMTP, before it is queued.  Run by postern-start; see "
    "postern-filter(8).\n";

enum {
	LINGER_MS = 2000, /* when the setting is gone: sessions that are
			   * on their way here still come */
	FINISH_MS = 2000  /* when the suite stops */
};

struct settings {
	uint64_t databytes, memory_mb, programs, timeout_s;
	struct domains *domains;
	bool wanted; /* there is a program */
};

static struct settings settings;
static int64_t idle_since;   /* without session and setting; 0: not so */
static int64_t finish_until; /* 0: the suite does not stop */

/* ---- settings ---- */

static bool
load_settings(struct settings *s)
{
	char text[CONTROL_LINE_MAX];
	struct buf line = BUF_ON(text);
	int dir = ROLE_FD_CONTROL;

	s->domains = domains_load(dir);
	if (s->domains != NULL &&
	    control_number(dir, "databytes", &s->databytes) == 0 &&
	    control_number(dir, "filtermemorymb", &s->memory_mb) == 0 &&
	    control_number(dir, "concurrencyfilter", &s->programs) == 0 &&
	    control_number(dir, "timeoutfilter", &s->timeout_s) == 0 &&
	    control_line(dir, "filter", &line) == 0) {
		s->wanted = buf_str(&line).n > 0;
		if (s->databytes != 0)
			s->databytes += LIMIT_TRACE;
		return true;
	}
	domains_free(s->domains);
	return false;
}

static void
apply(const struct settings *s)
{
	session_set_domains(s->domains);
	message_limit(s->memory_mb << 20, s->databytes);
	runner_limit((unsigned)s->programs, (int)s->timeout_s * 1000);
}

static void
on_reload(void)
{
	struct settings fresh;

	if (!load_settings(&fresh)) {
		LOG(ERROR, "reload", F_TEXT("result", "kept the old settings"));
		return;
	}
	struct domains *old = settings.domains;
	settings = fresh;
	apply(&settings);
	domains_free(old);
	runner_reload();
	LOG(INFO, "reload", F_TEXT("result", "done"));
}

static void
on_link(struct str peer, int fd)
{
	if (str_starts(peer, STR("listen"))) {
		announce_link(fd, stream_serve);
		return;
	}
	LOG(ERROR, "strange-link", F_STR("peer", peer));
	close(fd);
}

/* ---- the end ---- */

static void
on_finish(void)
{
	finish_until = clock_mono_ms() + FINISH_MS;
}

/* ms until it must be asked again, or -1. */
static int64_t
look_for_end(void)
{
	int64_t now = clock_mono_ms();

	if (finish_until != 0) {
		if (runner_busy() == 0 || now >= finish_until)
			loop_stop();
		return finish_until - now > 0 ? finish_until - now : 0;
	}
	if (settings.wanted || stream_count() > 0) {
		idle_since = 0;
		return -1;
	}
	if (idle_since == 0)
		idle_since = now;
	if (now - idle_since >= LINGER_MS)
		loop_stop();
	return idle_since + LINGER_MS - now;
}

static int
before_wait(void)
{
	stream_run();
	int64_t wait = loop_sooner(runner_run(), look_for_end());
	stream_run(); /* what runner_run has answered */
	return wait < 0 ? -1 : (int)wait;
}

/* ---- main ---- */

static const struct role role = { .name = "filter",
	.user = "posternf",
	.help = help,
	.on_link = on_link,
	.on_reload = on_reload,
	.on_finish = on_finish };

static void
enter_sandbox(void)
{
	const struct sandbox_dir dirs[] = {
		{ .fd = ROLE_FD_CONTROL, .write = false },
	};
	const struct sandbox sandbox = { .role = role.name,
		.rules = rules,
		.rule_count = N_ELEMENTS(rules),
		.dirs = dirs,
		.dir_count = N_ELEMENTS(dirs),
		.max_file = (uint64_t)1 << 42 };

	sandbox_enter(&sandbox);
}

int
main(int argc, char **argv)
{
	role_init(&role, argc, argv);
	if (!load_settings(&settings))
		die(EXITCODE_PERMANENT, "control directory", 0);
	/* a program is no peer of ours: it could have itself run for ever */
	uid_t own = keeper_one_user(), smtpd = privs_uid_or_own("posternd");
	int keeper = keeper_start();
	enter_sandbox();
	apply(&settings);
	runner_init(keeper);
	stream_init(ROLE_FD_LISTEN, own, smtpd);
	role_ready();
	loop_run(before_wait);
	return EXITCODE_DONE;
}
