/* SPDX-License-Identifier: ISC
 * postern-start: runs every role of the suite under its own user, links them,
 * and starts what dies anew.  Runs as root, or as the one ordinary user of a
 * one-user suite.  Reads no mail, parses nothing of a stranger's.
 *
 * It has no seccomp filter and no Landlock rules: both are inherited over exec
 * for ever, and become's children run users' own programs.  It has
 * no_new_privs and, as root, a handful of capabilities (caps.c).
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>
#include "common/args.h"
#include "common/control.h"
#include "common/die.h"
#include "common/layout.h"
#include "common/log.h"
#include "common/meaning.h"
#include "common/privs.h"
#include "start/accounts.h"
#include "start/caps.h"
#include "start/notify.h"
#include "start/open.h"
#include "start/orphans.h"
#include "start/passed.h"
#include "start/sockets.h"

static const char help[] =
    "usage: postern-start [--log FILE]\n\n"
    "Runs the mail suite until SIGTERM; SIGHUP: read the configuration again.\n"
    "Log lines go to standard error, or are appended to FILE.\n"
    "See postern-start(8).\n";

static struct family family;
static struct watch signals;

/* The log file or NULL. */
static const char *
args_parse(int argc, char **argv)
{
	family.root = getenv("POSTERN_ROOT");
	if (argc == 2)
		args_answer(str_of(argv[1]), help);
	if (argc == 3 && strcmp(argv[1], "--log") == 0)
		return argv[2];
	if (argc != 1)
		die(EXITCODE_PERMANENT, "usage: postern-start [--log FILE]", 0);
	return NULL;
}

static const char *
any_line(void *arg, struct str line, unsigned number)
{
	(void)arg;
	(void)line;
	(void)number;
	return NULL; /* its meaning is for those who use it */
}

/* What has its default is said of the file that this comes from, me. */
static bool
line_is_sound(const char *name, struct buf *line)
{
	int dir = family.control_dirfd;
	bool is_there = faccessat(dir, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0;

	if (control_line(dir, name, line) < 0)
		return false;
	const char *wrong = is_there || strcmp(name, "me") == 0
				? meaning_wrong(name, buf_str(line))
				: NULL;
	return wrong == NULL || control_complain(name, 1, wrong) == 0;
}

/* We are root; they are not, unless all of us are one user. */
static bool
roles_may_read(const char *name)
{
	struct stat st;

	if (geteuid() != 0 ||
	    fstatat(family.control_dirfd, name, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
	    (st.st_mode & S_IROTH) != 0)
		return true;
	return control_complain(name, 0,
		   "cannot be read by the roles' users: chmod 644") == 0;
}

static bool
roles_may_look(void)
{
	struct stat st;

	if (geteuid() != 0 || fstat(family.control_dirfd, &st) < 0 ||
	    (st.st_mode & S_IXOTH) != 0)
		return true;
	return control_complain(layout_path(LAYOUT_CONTROL), 0,
		   "cannot be searched by the roles' users: chmod 755") == 0;
}

/* SIGHUP: nobody is told of a configuration that holds nonsense. */
static bool
config_is_sound(void)
{
	bool sound = roles_may_look();

	for (size_t i = 0; i < control_setting_count; i++) {
		const struct control_setting *s = &control_settings[i];
		char text[CONTROL_LINE_MAX];
		struct buf line = BUF_ON(text);
		uint64_t number;
		int r = 0;

		if (s->kind == CONTROL_NUMBER)
			r = control_number(
			    family.control_dirfd, s->name, &number);
		else if (s->kind == CONTROL_LINE)
			r = line_is_sound(s->name, &line) ? 0 : -1;
		else
			r = control_list(
			    family.control_dirfd, s->name, any_line, NULL);
		sound = sound && r == 0 && roles_may_read(s->name);
	}
	return sound;
}

static void
reload(void)
{
	if (!config_is_sound()) {
		LOG(ERROR, "reload-refused",
		    F_TEXT("fix", "see config-error above; nothing changed"));
		return;
	}
	LOG(INFO, "reload", F_TEXT("by", "SIGHUP"));
	for (size_t i = 0; i < family.count; i++)
		sockets_compare_tcp(family.control_dirfd, &family.roles[i]);
	accounts_take(&family);
	family_reload(&family);
}

/* Whoever hands in mail from now on finds nobody, and writes into the drop box;
 * queued goes on with those who have come. */
static void
stop(void)
{
	if (!family.stopping && unlinkat(family.run_dirfd, "queue", 0) < 0 &&
	    errno != ENOENT)
		LOG(WARN, "socket-left", F_ERRNO(errno));
	family_stop(&family);
}

static void
on_signal(struct watch *w, uint32_t events)
{
	struct signalfd_siginfo info;

	(void)events;
	while (read(w->fd, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
		if (info.ssi_signo == SIGCHLD) {
			family_reap(&family);
		} else if (info.ssi_signo == SIGHUP) {
			if (!family.stopping)
				reload();
		} else {
			LOG(INFO, "stop", F_NUM("signal", info.ssi_signo));
			stop();
		}
	}
}

static void
signals_init(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	if (sigprocmask(SIG_BLOCK, &set, NULL) < 0 ||
	    signal(SIGPIPE, SIG_IGN) == SIG_ERR)
		die(EXITCODE_TEMPORARY, "signals", errno);
	signals.fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	signals.ready = on_signal;
	if (signals.fd < 0 || loop_add(&signals, EPOLLIN) < 0)
		die(EXITCODE_TEMPORARY, "signalfd", errno);
}

static int
before_wait(void)
{
	int wait = family_turn(&family);

	if (family.changed) {
		family.changed = false;
		rolesfile_write(&family);
		notify_state(&family);
	}
	if (wait == -2)
		loop_stop();
	return wait;
}

int
main(int argc, char **argv)
{
	log_init("start");
	const char *log_file = args_parse(argc, argv);
	layout_init();
	passed_take(getenv("LISTEN_PID"), getenv("LISTEN_FDS"),
	    getenv("LISTEN_FDNAMES"));
	open_reserve();
	family.one_user = geteuid() != 0;
	open_limits();
	open_dirs(&family);
	open_log(log_file);
	open_roles(&family);
	notify_init(getenv("NOTIFY_SOCKET"));
	family_want(&family);
	privs_lock();
	caps_reduce();
	if (prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) < 0)
		die(EXITCODE_TEMPORARY, "PR_SET_CHILD_SUBREAPER", errno);
	loop_init();
	signals_init();
	accounts_init(&family);
	LOG(INFO, "start", F_TEXT("version", POSTERN_VERSION),
	    F_TEXT("users", family.one_user ? "one" : "each role its own"));
	loop_run(before_wait);
	orphans_end();
	if (unlinkat(family.run_dirfd, "roles", 0) < 0)
		LOG(WARN, "roles-file", F_ERRNO(errno));
	LOG(INFO, "stopped", F_NUM("pid", getpid()));
	return EXITCODE_DONE;
}
