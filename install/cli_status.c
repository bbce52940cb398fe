/* SPDX-License-Identifier: ISC
 * `postern status`: what runs, what waits, and what is wrong.  Looks only; asks
 * qmgr what it counts.  Runs as its caller.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "common/exitcode.h"
#include "common/io.h"
#include "common/layout.h"
#include "install/arguments.h"
#include "install/cli.h"
#include "install/statusview.h"

static const char help[] =
    "usage: postern status [--json]\n"
    "The running roles, the queue, its rates, the spool's disk and the last\n"
    "errors.  The first line and the exit code are for monitoring:\n"
    "  0  OK        every role is ready, and mail is taken\n"
    "  1  WARNING   a role is starting, qmgr does not answer, or the disk is\n"
    "               filling up\n"
    "  2  CRITICAL  nothing runs, a role is down, or new mail is refused\n"
    "  3  UNKNOWN   it cannot be told\n"
    "Only root sees the queue and the errors.\n";

enum { EXIT_UNKNOWN = 3 };

__attribute__((format(printf, 3, 4))) static void
reason(struct status *s, enum status_level level, const char *format, ...)
{
	va_list ap;

	if (level > s->level)
		s->level = level;
	if (s->reason_count == STATUS_REASONS)
		return;
	va_start(ap, format);
	/* NOLINTNEXTLINE(clang-analyzer-valist.Uninitialized) ; it is not */
	(void)vsnprintf(
	    s->reason[s->reason_count++], STATUS_REASON, format, ap);
	va_end(ap);
}

/* ---- nothing runs ---- */

/* Files in a folder, but for hidden ones and those that are being written
 * (.tmp); -1: it cannot be looked at. */
static int64_t
folder_count(int dirfd, const char *name)
{
	const struct dirent *e;
	int64_t count = 0;
	int fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);

	if (d == NULL) {
		io_close(&fd);
		return -1;
	}
	while ((e = readdir(d)) != NULL)
		count += e->d_name[0] != '.' &&
			 !str_ends(str_of(e->d_name), STR(".tmp"));
	closedir(d);
	return count;
}

/* Files of messages in mess/ab/; false: they cannot be looked at. */
static bool
files_count(uint64_t *count)
{
	char text[1024];
	struct buf path = BUF_ON(text);
	const struct dirent *e;
	DIR *mess = opendir(layout_file(LAYOUT_SPOOL, "mess", &path));

	if (mess == NULL)
		return false;
	*count = 0;
	while ((e = readdir(mess)) != NULL) {
		int64_t n = -1;
		if (strlen(e->d_name) == 2 && e->d_name[0] != '.')
			n = folder_count(dirfd(mess), e->d_name);
		*count += n > 0 ? (uint64_t)n : 0;
	}
	closedir(mess);
	return true;
}

/* Mail of local users that pickup has not taken. */
static void
drop_count(struct status *s)
{
	int64_t n = folder_count(AT_FDCWD, layout_path(LAYOUT_DROP_NEW));

	s->drop_known = n >= 0;
	s->dropped = n > 0 ? (uint64_t)n : 0;
}

static const char *
how_to_start(void)
{
	static const char *const units[] = {
		"/etc/systemd/system/postern.service",
		"/usr/lib/systemd/system/postern.service"
	};

	for (size_t i = 0; i < N_ELEMENTS(units); i++)
		if (access("/run/systemd/system", F_OK) == 0 &&
		    access(units[i], F_OK) == 0)
			return "systemctl start postern";
	return "postern-start";
}

static void
down(struct status *s)
{
	s->down = true;
	s->files_known = files_count(&s->files);
	if (access(layout_path(LAYOUT_CONTROL), F_OK) < 0)
		reason(s, STATUS_CRITICAL,
		    "there is no suite in %s: postern init makes one",
		    layout_path(LAYOUT_CONTROL));
	else
		reason(s, STATUS_CRITICAL,
		    "the suite does not run: start it with %s", how_to_start());
}

/* ---- it runs ---- */

/* start brings back what dies within a second: who is down now keeps dying. */
static void
roles_judge(struct status *s)
{
	for (int i = 0; i < s->role_count; i++) {
		const struct running *r = &s->roles[i];
		if (strcmp(r->state, "down") == 0)
			reason(s, STATUS_CRITICAL,
			    "%s is down (%u restarts): its error is below, or "
			    "in the log",
			    r->name, r->restarts);
		else if (strcmp(r->state, "ready") != 0)
			reason(
			    s, STATUS_WARNING, "%s is %s", r->name, r->state);
	}
}

static void
disk_judge(struct status *s)
{
	const struct diskroom *d = &s->disk;

	if (diskroom_is_over(d))
		reason(s, STATUS_CRITICAL,
		    "no new mail is taken, for the spool's disk is full: make "
		    "room");
	else if (diskroom_is_low(d))
		reason(s, STATUS_WARNING,
		    "the spool's disk is filling up (%" PRIu64
		    " MiB left): make room",
		    d->free_mb);
}

static void
judge(struct status *s)
{
	roles_judge(s);
	disk_judge(s);
	if (!s->queue.known && !s->queue.forbidden)
		reason(s, STATUS_WARNING, "%s", s->queue.why);
	else if (s->queue.known &&
		 queuestats_value(&s->queue, "scheduling") == 0)
		reason(s, STATUS_WARNING,
		    "the queue is being read: deliveries begin after that");
}

int
cli_status(int argc, char **argv)
{
	static struct status s;
	bool json;
	int code;

	if (!arguments_json(argc, argv, help, &json, &code))
		return code;
	s.role_count = running_read(s.roles);
	if (s.role_count < 0) {
		fprintf(stderr, "postern status: %s/roles: %s: look as root\n",
		    layout_path(LAYOUT_RUN), strerror(errno));
		return EXIT_UNKNOWN;
	}
	(void)diskroom_read(&s.disk);
	lasterrors_read(&s.errors);
	drop_count(&s);
	if (s.role_count == 0) {
		down(&s);
		disk_judge(&s);
	} else {
		queuestats_ask(&s.queue);
		judge(&s);
	}
	if (json)
		statusview_json(&s);
	else
		statusview_text(&s);
	return (int)s.level;
}
