/* SPDX-License-Identifier: ISC
 * postern-queued: takes mail from smtpd, queue and bounce, makes it durable,
 * and tells qmgr.  It alone reads and writes the spool; runs as posternq.
 * INTERNALS.md "The spool", "Stream", "Notes".
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/prctl.h>
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
#include "queue/change.h"
#include "queue/commit.h"
#include "queue/found.h"
#include "queue/room.h"
#include "queue/settle.h"
#include "queue/stream.h"
#include "queue/teller.h"
#include "queue/tellers.h"
#include "queue/tend.h"

static const struct sandbox_rule rules[] = {
	ALLOW_HEAP,
	ALLOW_LOOP,
	ALLOW_PACKETS,
	ALLOW(sendmmsg, "notes of many messages at a time"),
	ALLOW(accept4, "local senders at run/queue"),
	ALLOW_IF(getsockopt, 3, SO_PEERCRED, "who a local sender is"),
	ALLOW(fcntl, "non-blocking sockets, seals of memfds"),
	ALLOW(memfd_create, "bodies for the agents"),
	ALLOW(openat, "messages, segments, control files"),
	ALLOW(newfstatat, "sizes of files"),
	ALLOW(fstat, "sizes of files"),
	ALLOW(getdents64, "recovery: what the spool holds"),
	ALLOW(lseek, "reading directories and control files"),
	ALLOW(pread64, "recovery, messages told again"),
	ALLOW(pwrite64, "segment headers, large messages"),
	ALLOW(pwritev, "batches, where pwritev2 knows no RWF_DSYNC"),
	ALLOW(pwritev2, "batches"),
	ALLOW(clock_nanosleep, "waiting for a batch to fill"),
	ALLOW(fdatasync, "the ring"),
	ALLOW(fsync, "the first segments of a new spool"),
	ALLOW(fstatfs, "free space"),
	ALLOW(renameat, "the first segments of a new spool"),
	ALLOW(renameat2, "quarantine, never over another"),
	ALLOW(unlinkat, "large messages that were not finished"),
	ALLOW(getrandom, "epochs, nonces"),
};

static const char help[] =
    "usage: postern-queued\n\n"
    "Makes accepted mail durable in the spool.  Run by postern-start; see\n"
    "postern-queued(8).\n";

enum {
	FINISH_MS = 2000, /* start kills who takes over 2.5 s to stop */
	FINISH_LOOK_MS = 20
};

struct settings {
	uint64_t databytes, segments, segment_mb, memory_mb;
	struct room_limits floors;
	struct domains *domains;
};

static struct spool spool;
static struct settings settings;
static int64_t finish_by_ms; /* 0: it is not to end */

static bool
load_settings(struct settings *s)
{
	int dirfd = ROLE_FD_CONTROL;
	uint64_t floor_mb;
	s->domains = domains_load(dirfd);
	if (s->domains != NULL &&
	    control_number(dirfd, "databytes", &s->databytes) == 0 &&
	    control_number(dirfd, "journalsegments", &s->segments) == 0 &&
	    control_number(dirfd, "journalsegmentmb", &s->segment_mb) == 0 &&
	    control_number(dirfd, "queuememorymb", &s->memory_mb) == 0 &&
	    control_number(dirfd, "spoolfloormb", &floor_mb) == 0 &&
	    control_number(
		dirfd, "spoolfloorinodes", &s->floors.floor_inodes) == 0) {
		s->floors.floor_bytes = floor_mb << 20;
		if (s->databytes != 0)
			s->databytes += LIMIT_TRACE;
		return true;
	}
	domains_free(s->domains);
	return false;
}

static struct stream_limits
stream_limits(void)
{
	size_t memory = (size_t)settings.memory_mb << 20;
	/* above three quarters nobody begins a message, so that those who have
	 * begun can end theirs */
	return (struct stream_limits){
		.session = { .databytes = settings.databytes,
		    .domains = settings.domains },
		.memory = memory / 4 * 3,
	};
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
	struct stream_limits limits = stream_limits();
	stream_set_limits(&limits);
	room_set_limits(&settings.floors);
	bytes_limit((size_t)settings.memory_mb << 20);
	spool.journal.max = (unsigned)settings.segments;
	spool.journal.size = settings.segment_mb << 20;
	domains_free(old);
	LOG(INFO, "reload", F_TEXT("result", "done"));
}

static void
on_link(struct str peer, int fd)
{
	if (str_eq(peer, STR("qmgr"))) {
		teller_link(fd);
	} else if (str_eq(peer, STR("bounce"))) {
		stream_bounce_link(fd);
	} else if (str_eq(peer, STR("pickup"))) {
		stream_pickup_link(fd);
	} else if (str_starts(peer, STR("listen"))) {
		announce_link(fd, stream_serve);
	} else {
		LOG(ERROR, "strange-link", F_STR("peer", peer));
		close(fd);
	}
}

/* Who hands in mail at run/queue ends it first, unless it takes long. */
static void
on_finish(void)
{
	finish_by_ms = clock_mono_ms() + FINISH_MS;
}

static const struct role role = { .name = "queued",
	.user = "posternq",
	.help = help,
	.on_link = on_link,
	.on_reload = on_reload,
	.on_finish = on_finish };

/* Commits first: senders wait for it.  All of what the last round of the loop
 * brought goes to the disk in one write. */
static int
before_wait(void)
{
	int64_t wait = commit_run();
	if (found_run(&spool))
		wait = 0;
	wait = loop_sooner(wait, teller_run());
	wait = loop_sooner(wait, tend_run());
	wait = loop_sooner(wait, stream_run());
	if (finish_by_ms != 0) {
		if (stream_finish() || clock_mono_ms() >= finish_by_ms)
			loop_stop();
		wait = loop_sooner(wait, FINISH_LOOK_MS);
	}
	return commit_waits() ? 0 : (int)wait;
}

static void
open_journal(void)
{
	int fd =
	    openat(spool.dirfd, "journal", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		die(EXITCODE_TEMPORARY, "journal of the spool", errno);
	journal_init(&spool.journal, fd, spool.key, (unsigned)settings.segments,
	    settings.segment_mb << 20);
}

/* The first segments of a new spool: one to write to, and the reserve. */
static void
make_segments(void)
{
	struct journal *j = &spool.journal;
	for (size_t i = 0; i < j->max && j->free < JOURNAL_RESERVE + 1; i++) {
		if (j->seg[i].state != SEGMENT_ABSENT)
			continue;
		if (journal_make(j->dirfd, i, j->size) < 0 ||
		    journal_adopt(j, i) < 0) {
			LOG(ERROR, "make-segment", F_ERRNO(errno));
			return; /* settle tries again */
		}
	}
}

static void
enter_sandbox(void)
{
	const struct sandbox_dir dirs[] = {
		{ .fd = ROLE_FD_DIR, .write = true },
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
		die_do(EXITCODE_PERMANENT, "the control files are wrong", 0,
		    "postern check says which, and how to write them");
	const uid_t tellers[] = { privs_uid_or_own("posternd"),
		privs_uid_or_own("posternf") };
	tellers_init(geteuid(), tellers);
	spool_open(&spool, ROLE_FD_DIR);
	open_journal();
	int settle_fds[SETTLE_PROCESSES];
	settle_start(&spool, settle_fds);
	/* commit.c sleeps for some 100 us: 50 more by default */
	if (prctl(PR_SET_TIMERSLACK, 1000L) < 0)
		die(EXITCODE_TEMPORARY, "PR_SET_TIMERSLACK", errno);
	enter_sandbox();
	bytes_limit((size_t)settings.memory_mb << 20);
	spool_recover(&spool);
	make_segments();
	struct stream_limits limits = stream_limits();
	room_init(&spool, &settings.floors);
	change_init(&spool);
	commit_init(&spool);
	tend_init(&spool, settle_fds);
	teller_init(&spool);
	stream_init(&spool, ROLE_FD_LISTEN, &limits);
	role_ready();
	log_gather();
	loop_run(before_wait);
	return EXITCODE_DONE;
}
