/* SPDX-License-Identifier: ISC
 * postern-local: puts mail into Maildirs.  Runs as the recipient: a system
 * user, or the owner of the virtual mailboxes.  Started by postern-become, one
 * for each busy user, with
 *
 *	fd 3	control socket to become: job sockets come through it
 *	fd 4	the user's home, or the mail directory
 *
 * and the arguments "virtual", or "user" NAME HOME.  With "programs" NAME HOME
 * it is send/runner, and fd 3 its socket.  Jobs are pipelined: what
 * waits is taken together, made durable together, reported together.  After a
 * small group it rests for a while, so that the next one is larger and the disk
 * is free for others, queued above all: where the bytes are what takes time, a
 * larger group gains nothing.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>
#include "common/args.h"
#include "common/clock.h"
#include "common/die.h"
#include "common/io.h"
#include "common/log.h"
#include "common/loop.h"
#include "common/sandbox.h"
#include "send/baselock.h"
#include "send/localtemplate.h"
#include "send/localwork.h"

enum {
	FD_CONTROL = LOCALTEMPLATE_CONTROL,
	FD_BASE = LOCALTEMPLATE_BASE,
	BATCH = 256,	 /* packets read before they are worked on */
	REST_BELOW = 64, /* files in a group, */
	REST_BELOW_BYTES = 1 << 20,
	REST_TIMES = 4,		  /* as long as the group took, */
	REST_MAX_US = 20 * 1000,  /* but not longer */
	LOCK_WAIT_MS = 60 * 1000, /* for the local before this one to end */
	FIRST_MS = 100,		  /* until the first job socket comes */
	KEEP_MS = 60 * 1000,	  /* the same, while reports are kept */
	IDLE_MS = 300 * 1000,	  /* with an open job socket */
	FOREVER = -1
};

static const struct sandbox_rule rules[] = {
	ALLOW_LOOP,
	ALLOW_PACKETS,
	ALLOW(shutdown, "the job socket, before an idle end"),
	ALLOW(pread64, "the message"),
	ALLOW(openat, "files in tmp/ and new/, .qmail"),
	ALLOW(openat2, "directories below the base, no symbolic links"),
	ALLOW(mkdirat, "a Maildir that is missing"),
	ALLOW(renameat2, "tmp/ to new/"),
	ALLOW(linkat, "the same where there is no RENAME_NOREPLACE"),
	ALLOW(unlinkat, "leftovers in tmp/"),
	ALLOW(getdents64, "what has been delivered; stale files in tmp/"),
	ALLOW(lseek, "reading a directory again"),
	ALLOW(fstat, "files and directories it opened"),
	ALLOW(newfstatat, "the same, and the age of files in tmp/"),
	ALLOW(sync_file_range, "durable before it is reported"),
	ALLOW(fsync, "durable before it is reported"),
	ALLOW(syncfs, "the same for many files at once"),
	ALLOW(flock, "one local for a user"),
	ALLOW(clock_nanosleep, "another local for this user is ending"),
	ALLOW(epoll_create1, "event loop"),
	ALLOW_LOCALTEMPLATE,
};

static const struct sandbox_dir dirs[] = { { .fd = FD_BASE, .write = true } };

static const struct sandbox sandbox = {
	.role = "local",
	.rules = rules,
	.rule_count = N_ELEMENTS(rules),
	.dirs = dirs,
	.dir_count = N_ELEMENTS(dirs),
	.dirs_later = true,
	.max_file = UINT64_C(1) << 40,
};

static struct localwork work;
static struct watch control, jobs, runner;
static bool orphan;	    /* become is gone: finish, take nothing new */
static bool closing;	    /* the job socket is read no more */
static bool had_jobs;	    /* a job socket came, perhaps no more */
static bool full;	    /* the job socket takes no report now */
static bool asked_runner;   /* become is starting one */
static int64_t rest_until;  /* monotonic us; 0: it does not rest */
static int64_t quiet_since; /* monotonic ms; 0: busy */
static char packet_space[PACKET_MAX];

/* ---- reports ---- */

static void
drop_jobs(void)
{
	loop_remove(&jobs);
	io_close(&jobs.fd);
	full = false;
}

/* Reads only while there is a place; qmgr keeps to less than there are. */
static void
watch_jobs(void)
{
	bool reads =
	    !closing && rest_until == 0 && localwork_place(&work) != NULL;
	if (jobs.fd >= 0)
		loop_change(
		    &jobs, (reads ? EPOLLIN : 0U) | (full ? EPOLLOUT : 0U));
}

/* Sends what is unsent; full: until the socket takes more. */
static void
flush_reports(void)
{
	struct buf b = BUF_ON(packet_space);
	const struct report *forward;
	full = false;
	while (jobs.fd >= 0 && reports_next(&work.reports, &b, &forward)) {
		if (forward != NULL)
			localwork_put_forward(&work, forward, &b);
		if (packet_send(jobs.fd, buf_str(&b), NULL, 0) == 0) {
			reports_sent(&work.reports);
			continue;
		}
		if (errno == EAGAIN || errno == ENOBUFS) {
			full = true;
			break;
		}
		drop_jobs(); /* qmgr is gone: kept for the next one */
	}
	watch_jobs();
}

/* ---- the job socket ---- */

static void
take_acknowledgement(struct str bytes)
{
	struct packet p = packet_open(bytes);
	uint32_t n = packet_get_u32(&p);
	for (uint32_t i = 0; i < n && !p.bad; i++) {
		uint64_t id = packet_get_u64(&p);
		uint32_t idx = packet_get_u32(&p);
		if (!p.bad)
			localwork_acknowledge(&work, id, idx);
	}
}

/* One packet.  True when there may be more.  begin: jobs are begun; else only
 * acknowledgements count. */
static bool
take_job_packet(bool begin)
{
	struct localwork_job *j = localwork_place(&work);
	if (j == NULL)
		return false;
	struct str bytes;
	int fds[PACKET_FDS];
	size_t nfds;
	int n = packet_recv(jobs.fd, j->storage, sizeof(j->storage),
	    MSG_DONTWAIT, &bytes, fds, &nfds);
	if (n < 0 && errno == EAGAIN)
		return false;
	if (n <= 0) {
		if (!closing)
			drop_jobs();
		return false;
	}
	if (bytes.p[0] == 'K' || !begin) {
		packet_close_fds(fds, nfds);
		if (bytes.p[0] == 'K')
			take_acknowledgement(bytes);
		return true;
	}
	if (!localwork_take(&work, j, bytes, fds, nfds)) {
		LOG(ERROR, "bad-packet", F_TEXT("from", "qmgr"));
		drop_jobs();
		return false;
	}
	return true;
}

/* Only who has programs to run pays for the process that does. */
static void
ask_for_runner(void)
{
	if (!work.wants_runner || asked_runner)
		return;
	asked_runner =
	    !orphan && packet_send(FD_CONTROL, STR("R"), NULL, 0) == 0;
	if (!asked_runner)
		localwork_no_runner(&work);
}

/* Does all that can be done now, and tells it. */
static void
work_on(void)
{
	int64_t begun = clock_mono_us();
	unsigned before = work.committed;
	uint64_t bytes = work.committed_bytes;
	localwork_run(&work);
	ask_for_runner();
	unsigned files = work.committed - before;
	bytes = work.committed_bytes - bytes;
	int64_t now = clock_mono_us(), rest = REST_TIMES * (now - begun);
	if (files > 0)
		rest_until =
		    files >= REST_BELOW || bytes >= REST_BELOW_BYTES
			? 0
			: now + (rest < REST_MAX_US ? rest : REST_MAX_US);
	flush_reports();
}

static void
on_jobs(struct watch *w, uint32_t events)
{
	/* closed by qmgr: jobs not begun are not ours, it sends them again */
	bool begin = (events & (EPOLLHUP | EPOLLERR)) == 0;
	(void)w;
	quiet_since = 0;
	for (unsigned n = 0; (n < BATCH || !begin) && jobs.fd >= 0; n++)
		if (!take_job_packet(begin))
			break;
	if (!begin)
		drop_jobs();
	work_on();
}

static void
on_runner(struct watch *w, uint32_t events)
{
	(void)events;
	quiet_since = 0;
	localwork_on_runner(&work);
	if (work.runner_fd < 0) {
		w->fd = -1; /* closed: epoll has forgotten it */
		loop_remove(w);
	}
	work_on();
}

/* ---- a new job socket ---- */

static void
tell_one(void *arg, uint64_t id, uint32_t idx)
{
	struct buf b = BUF_ON(packet_space);
	(void)arg;
	packet_begin(&b, 'I');
	packet_u64(&b, id);
	packet_u32(&b, 1);
	packet_u32(&b, idx);
	/* at most tasks and jobs: fits in a socket that nobody used yet, or
	 * qmgr sends the job again and it is found delivered */
	if (packet_send(jobs.fd, buf_str(&b), NULL, 0) < 0)
		LOG(WARN, "in-flight-untold", F_ID(id), F_ERRNO(errno));
}

static void
use_job_socket(int fd)
{
	/* what it acknowledged before it made the new one still counts */
	while (jobs.fd >= 0 && take_job_packet(false))
		continue;
	drop_jobs();
	jobs.fd = fd;
	had_jobs = true;
	if (io_nonblock(fd, true) < 0 || loop_add(&jobs, EPOLLIN) < 0) {
		LOG(ERROR, "job-socket", F_ERRNO(errno));
		io_close(&jobs.fd);
		return;
	}
	localwork_in_flight(&work, tell_one, NULL);
	reports_resend(&work.reports);
	flush_reports();
	if (full || jobs.fd < 0 ||
	    packet_send(jobs.fd, STR("E"), NULL, 0) < 0) {
		LOG(ERROR, "job-socket", F_ERRNO(errno));
		drop_jobs(); /* qmgr sees the end and asks become again */
	}
}

/* fd -1: become could not start it, or is gone. */
static void
take_runner(int fd)
{
	asked_runner = false;
	quiet_since = 0;
	runner = (struct watch){ .fd = fd, .ready = on_runner };
	if (fd >= 0 &&
	    (io_nonblock(fd, true) < 0 || loop_add(&runner, EPOLLIN) < 0)) {
		LOG(ERROR, "runner-socket", F_ERRNO(errno));
		io_close(&runner.fd);
	}
	work.runner_fd = runner.fd;
	if (runner.fd < 0)
		localwork_no_runner(&work);
	work_on();
}

static void
on_control(struct watch *w, uint32_t events)
{
	char space[64];
	struct str bytes;
	int fds[PACKET_FDS];
	size_t nfds;
	(void)events;
	int n = packet_recv(
	    w->fd, space, sizeof(space), MSG_DONTWAIT, &bytes, fds, &nfds);
	if (n < 0 && errno == EAGAIN)
		return;
	if (n <= 0) {
		orphan = true;
		loop_remove(w);
		if (asked_runner)
			take_runner(-1);
		return;
	}
	if (str_eq(bytes, STR("R")) && nfds <= 1 && asked_runner) {
		take_runner(nfds == 1 ? fds[0] : -1);
		return;
	}
	if (bytes.p[0] != 'N' || bytes.n != 1 || nfds != 1 || orphan) {
		packet_close_fds(fds, nfds);
		return;
	}
	use_job_socket(fds[0]);
	/* become keeps the socket until it hears that somebody has it */
	if (packet_send(w->fd, STR("A"), NULL, 0) < 0)
		LOG(WARN, "become-gone", F_ERRNO(errno));
}

/* ---- the end ---- */

/* Nothing more can arrive after this: what had arrived is still done. */
static void
close_intake(void)
{
	closing = true;
	if (jobs.fd < 0 || shutdown(jobs.fd, SHUT_RD) < 0)
		return;
	do {
		while (take_job_packet(true))
			continue;
		localwork_run(&work);
	} while (jobs.fd >= 0 && take_job_packet(true));
	work_on();
}

/* How long it may stay as it is now, in ms; FOREVER. */
static int
patience(void)
{
	if (!localwork_is_idle(&work))
		return FOREVER;
	if (jobs.fd < 0 && work.reports.count == 0)
		return had_jobs ? 0 : FIRST_MS; /* others want the room */
	if (jobs.fd < 0)
		return KEEP_MS;
	return work.reports.count > 0 ? FOREVER : IDLE_MS;
}

/* ms until the rest is over; -1: it does not rest. */
static int64_t
rest_left(void)
{
	if (rest_until == 0)
		return -1;
	int64_t left = rest_until - clock_mono_us();
	if (left > 0)
		return (left + 999) / 1000;
	rest_until = 0;
	watch_jobs();
	return -1;
}

/* How long it may wait for something to do; ends it when that is over. */
static int64_t
idle_left(void)
{
	if ((orphan || closing) && localwork_is_idle(&work)) {
		if (!closing)
			close_intake();
		if (localwork_is_idle(&work))
			loop_stop();
		return -1;
	}
	int wait = patience();
	if (wait == FOREVER) {
		quiet_since = 0;
		return -1;
	}
	int64_t now = clock_mono_ms();
	if (quiet_since == 0)
		quiet_since = now;
	int64_t left = quiet_since + wait - now;
	if (left > 0)
		return left;
	close_intake();
	if (localwork_is_idle(&work))
		loop_stop();
	return -1;
}

static int
before_wait(void)
{
	return (int)loop_sooner(rest_left(), idle_left());
}

/* ---- start ---- */

static bool
read_arguments(int argc, char **argv)
{
	struct str mode = argc > 1 ? str_of(argv[1]) : STR("");
	args_answer(mode, "usage: postern-local\n\n"
			  "Delivers into Maildirs.  Run by postern-become; "
			  "see postern-local(8).\n");
	bool runs_programs = str_eq(mode, STR("programs")) && argc == 4;
	if (!runs_programs && !(str_eq(mode, STR("template")) && argc == 2))
		die(EXITCODE_PERMANENT,
		    "postern-local is run by postern-become, not by hand", 0);
	return runs_programs;
}

static void
not_root(void)
{
	if (getuid() == 0 || geteuid() != getuid())
		die(EXITCODE_PERMANENT, "root's mail is not delivered", 0);
}

/* What is the same for all users: in the template. */
static void
prepare(void)
{
	static char host[256] = "localhost";
	for (int fd = FD_CONTROL; fd <= FD_BASE; fd++)
		if (io_cloexec(fd, true) < 0)
			die(EXITCODE_PERMANENT, "descriptors 3 and 4", errno);
	if (signal(SIGPIPE, SIG_IGN) == SIG_ERR)
		die(EXITCODE_TEMPORARY, "signal", errno);
	if (gethostname(host, sizeof(host) - 1) < 0)
		die(EXITCODE_TEMPORARY, "gethostname", errno);
	work.base_fd = FD_BASE;
	work.runner_fd = -1;
	localwork_init(&work, str_of(host));
	control = (struct watch){ .fd = FD_CONTROL, .ready = on_control };
	runner = (struct watch){ .fd = -1, .ready = on_runner };
	jobs = (struct watch){ .fd = -1, .ready = on_jobs };
}

/* In the child, which is the user already. */
static void
begin(const struct localtemplate_user *user)
{
	not_root();
	work.system_user = user->name.n > 0;
	work.user = user->name;
	work.home = user->home;
	work.uid = getuid();
	sandbox_enter_dirs(&sandbox);
	if (baselock_take(FD_BASE, LOCK_WAIT_MS) < 0)
		die(EXITCODE_TEMPORARY,
		    "another delivery holds this user's directory", 0);
	loop_init();
	if (io_nonblock(FD_CONTROL, true) < 0 ||
	    loop_add(&control, EPOLLIN) < 0)
		die(EXITCODE_TEMPORARY, "epoll_ctl", errno);
}

int
main(int argc, char **argv)
{
	log_init("local");
	umask(077);
	if (read_arguments(argc, argv)) {
		not_root();
		runner_serve(FD_CONTROL, FD_BASE, RUNNER_TIMEOUT_MS);
	}
	prepare();
	sandbox_enter(&sandbox);
	const struct localtemplate_user user = localtemplate_serve();
	/* as ps shows it */
	memcpy(argv[1], "delivery", strlen("template"));
	begin(&user);
	loop_run(before_wait);
	log_flush();
	_exit(EXITCODE_DONE); /* nothing of libc's is left to do */
}
