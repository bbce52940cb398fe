/* SPDX-License-Identifier: ISC
 * postern-queue: qmail-queue's interface to the queue: a message on fd 0, its
 * envelope on fd 1, an exit code.  Run by any user; set-gid posternk, for the
 * drop box alone.  It trusts nothing of its caller's: not the environment, the
 * limits, the signals, or the descriptors.
 *
 * What it reads goes on as it comes, as the frames that queued reads
 * (INTERNALS.md "Stream"), so that it never holds more than a few of them.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>
#include "common/args.h"
#include "common/clock.h"
#include "common/control.h"
#include "common/die.h"
#include "common/facts.h"
#include "common/hops.h"
#include "common/io.h"
#include "common/layout.h"
#include "common/log.h"
#include "common/privs.h"
#include "common/sandbox.h"
#include "inject/dropbox.h"
#include "inject/dropfile.h"
#include "inject/lines.h"
#include "inject/mailbox.h"
#include "inject/outlet.h"
#include "inject/paths.h"
#include "inject/queue_answer.h"
#include "inject/queue_caller.h"
#include "inject/queue_end.h"

static const char help[] =
    "usage: postern-queue [--timeout MINUTES]\n"
    "       postern-queue --help | --version\n"
    "Queues the message on fd 0 for the envelope on fd 1, as qmail-queue "
    "does:\n"
    "\"F\" sender NUL, \"T\" recipient NUL for each recipient, NUL.\n"
    "See postern-queue(8) for its exit codes.\n";

static const struct sandbox_rule rules[] = {
	ALLOW(poll, "waits with a deadline"),
	ALLOW(recvfrom, "queued's answer"),
};

/* Of the folder below the drop box, and nothing else. */
static const struct sandbox_rule drop_rules[] = {
	ALLOW(poll, "waits with a deadline"),
	ALLOW(newfstatat, "the user's other files there: the quota"),
	ALLOW(fsync, "the message, and its name"),
	ALLOW(renameat2, "its name"),
	ALLOW(unlinkat, "a message that is given up"),
};

enum {
	TIMEOUT_MINUTES = 24 * 60, /* qmail-queue's day */
	MISTAKE = 400,
	CHECK_EVERY = 1024 * 1024, /* bytes between two looks at the quota */
	READ = LIMIT_FRAME
};

static struct {
	uid_t uid; /* the caller's */
	bool has_facts;
	bool drops;	  /* into the drop box: queued is not there */
	struct buf facts; /* as packed in frame P */
	char facts_space[FACTS_ROOM];
	uint64_t minutes, databytes, drop_messages, drop_bytes;
	struct buf me, host;
	char me_space[LIMIT_DOMAIN + 1], host_space[LIMIT_DOMAIN + 1];
	struct outlet outlet;
	uint64_t size;	  /* of the message, as it came */
	uint64_t checked; /* written when the quota was looked at */
	struct hops hops;
	unsigned recipients;
	char answer[FRAME_ROOM(LIMIT_REPORT)];
	struct dropbox box;
} self;

/* ---- what the caller says ---- */

static void
take_environment(void)
{
	queue_end_report_to(str_of(getenv("POSTERN_QUEUE_REPORT")));
	self.facts = BUF_ON(self.facts_space);
	self.has_facts = queue_caller_facts(
	    str_of(getenv("POSTERN_QUEUE_FACTS")), &self.facts);
	/* another root is the caller's own: so are its rights there */
	if (getenv("POSTERN_ROOT") != NULL && getauxval(AT_SECURE) != 0)
		queue_caller_drop_group();
	layout_init();
	if (clearenv() != 0)
		queue_fail(QUEUE_EXIT_MEMORY, "4.3.2 Out of memory");
}

static void
parse_arguments(int argc, char **argv)
{
	self.minutes = TIMEOUT_MINUTES;
	if (argc == 2)
		args_answer(str_of(argv[1]), help);
	if (argc == 1)
		return;
	if (argc != 3 || !str_eq(str_of(argv[1]), STR("--timeout")) ||
	    !str_u64(str_of(argv[2]), TIMEOUT_MINUTES, &self.minutes))
		queue_end(EXITCODE_PERMANENT, 'D',
		    STR("usage: postern-queue [--timeout MINUTES]"));
}

/* ---- configuration ---- */

static void
on_mistake(const char *file, unsigned line, const char *what)
{
	char space[MISTAKE];
	struct buf b = BUF_ON(space);

	(void)line;
	buf_puts(&b, "4.3.5 control/");
	buf_puts(&b, file);
	buf_puts(&b, ": ");
	buf_puts(&b, what);
	queue_end(QUEUE_EXIT_CONFIG, 'Z', buf_str(&b));
}

static void
load_settings(void)
{
	int dirfd = open(
	    layout_path(LAYOUT_CONTROL), O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	self.me = BUF_ON(self.me_space);
	self.host = BUF_ON(self.host_space);
	if (dirfd < 0)
		queue_fail_errno(QUEUE_EXIT_CONFIG,
		    "4.3.5 the control directory cannot be read");
	control_on_mistake(on_mistake);
	if (control_number(dirfd, "databytes", &self.databytes) < 0 ||
	    control_number(dirfd, "dropmessages", &self.drop_messages) < 0 ||
	    control_number(dirfd, "dropbytes", &self.drop_bytes) < 0 ||
	    control_line(dirfd, "me", &self.me) < 0 ||
	    control_line(dirfd, "envnoathost", &self.host) < 0)
		queue_fail(QUEUE_EXIT_CONFIG, "4.3.5 bad configuration");
	close(dirfd);
}

/* ---- the way in ---- */

/* A socket to queued, or -1: the suite is stopped. */
static int
connect_to_queued(void)
{
	static const struct timeval connect_time = { .tv_sec = 60 };
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	struct buf path = BUF_ON(sa.sun_path);

	(void)layout_file(LAYOUT_RUN, "queue", &path);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	/* SO_SNDTIMEO bounds the wait for a place in queued's backlog */
	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &connect_time,
			  sizeof(connect_time)) < 0)
		queue_fail_errno(QUEUE_EXIT_NETWORK, "4.3.0 no socket");
	if (connect(fd, (const struct sockaddr *)&sa, sizeof(sa)) == 0) {
		if (io_nonblock(fd, true) < 0)
			queue_fail_errno(QUEUE_EXIT_NETWORK, "4.3.0 no socket");
		return fd;
	}
	if (errno != ENOENT && errno != ECONNREFUSED)
		queue_fail_errno(QUEUE_EXIT_NETWORK,
		    "4.3.0 postern-queued cannot be reached");
	close(fd);
	return -1;
}

static void
discard(void)
{
	dropbox_discard(&self.box);
}

/* errno says why the drop box cannot be used. */
static _Noreturn void
fail_drop_box(void)
{
	int error = errno;
	const char *why = dropbox_why(error);

	if (why != NULL)
		queue_fail(
		    error == EDQUOT ? QUEUE_EXIT_WRITE : QUEUE_EXIT_DROP_BOX,
		    why);
	queue_fail_errno(QUEUE_EXIT_DROP_BOX,
	    "4.3.0 Postern is stopped, and its drop box cannot be used");
}

/* The temporary file, made before anything is read. */
static int
open_drop_box(void)
{
	if (self.has_facts)
		queue_fail(QUEUE_EXIT_NETWORK,
		    "4.3.0 Postern is stopped: nobody to tell facts");
	if (dropbox_open(&self.box, self.drop_messages, self.drop_bytes) < 0 ||
	    dropbox_begin(&self.box) < 0)
		fail_drop_box();
	queue_end_first(discard);
	return self.box.fd;
}

/* The group stays with one who writes to the drop box, for the file's name is
 * given last; all that is left to do with it is in drop_rules. */
static void
enter_sandbox(bool drops)
{
	const struct sandbox_dir dirs[] = {
		{ .fd = drops ? self.box.dirfd : -1, .write = true },
	};
	const struct sandbox sandbox = { .role = "queue",
		.rules = drops ? drop_rules : rules,
		.rule_count =
		    drops ? N_ELEMENTS(drop_rules) : N_ELEMENTS(rules),
		.dirs = dirs,
		.dir_count = N_ELEMENTS(dirs),
		.max_file = drops ? dropbox_limit(&self.box) : 0,
		.silent = true };

	sandbox_enter(&sandbox);
}

static _Noreturn void
fail_write(void)
{
	if (self.drops && errno == EDQUOT)
		fail_drop_box();
	if (self.drops)
		queue_fail_errno(QUEUE_EXIT_WRITE,
		    "4.3.1 Postern is stopped, and its drop box cannot be "
		    "written");
	if (errno == ETIMEDOUT)
		queue_fail(QUEUE_EXIT_TIMEOUT,
		    "4.4.2 postern-queued did not go on in time");
	queue_fail(QUEUE_EXIT_LOST,
	    self.has_facts
		? "4.3.0 postern-queued ended, is full, or takes no facts of "
		  "this user"
		: "4.3.0 postern-queued ended, or has too many callers; try "
		  "again");
}

static void
put(char type, struct str payload)
{
	if (outlet_put(&self.outlet, type, payload) < 0)
		fail_write();
	if (!self.drops || self.outlet.written < self.checked + CHECK_EVERY)
		return;
	self.checked = self.outlet.written;
	if (dropbox_check(&self.box) < 0)
		fail_write();
}

/* ---- the message ---- */

/* Bytes of fd, 0 at its end. */
static size_t
read_some(int fd, char *p, size_t cap)
{
	for (;;) {
		int ready =
		    io_wait(fd, false, outlet_left_ms(self.outlet.deadline_ms));
		if (ready == 0)
			queue_fail(QUEUE_EXIT_TIMEOUT,
			    "4.4.2 the message or its envelope did not end");
		ssize_t n = ready < 0 ? -1 : read(fd, p, cap);
		if (n >= 0)
			return (size_t)n;
		if (errno != EINTR && errno != EAGAIN)
			queue_fail_errno(QUEUE_EXIT_READ,
			    fd == STDIN_FILENO
				? "4.3.0 the message (fd 0) cannot be read"
				: "4.3.0 the envelope (fd 1) cannot be read");
	}
}

/* RFC 5321 4.4: a trace field, as qmail-queue and Postfix write it. */
static void
put_received(struct buf *out)
{
	buf_puts(out, "Received: by ");
	buf_put(out, buf_str(&self.me));
	buf_puts(out, " (postern-queue ");
	buf_put_u64(out, (uint64_t)getpid());
	buf_puts(out, " invoked by uid ");
	buf_put_u64(out, self.uid);
	buf_puts(out, ");\n\t");
	clock_put_rfc5322(out, clock_now());
	buf_putc(out, '\n');
}

static void
count_bytes(size_t n)
{
	self.size += n;
	/* smtpd has looked, before there was a trace field; queued will */
	if (self.databytes != 0 && !self.has_facts &&
	    self.size > self.databytes)
		queue_fail(QUEUE_EXIT_REFUSED,
		    "5.3.4 Message too big (control/databytes)");
}

static void
check_lines(enum lines_status status)
{
	if (status != LINES_OK)
		queue_fail(QUEUE_EXIT_REFUSED, lines_why(status));
}

static void
flush_body(struct buf *body)
{
	hops_feed(&self.hops, buf_str(body));
	if (body->n > 0)
		put('B', buf_str(body));
	buf_reset(body);
}

static void
send_message(void)
{
	static char in_space[READ], body_space[LIMIT_FRAME - 1];
	struct buf body = BUF_ON(body_space);
	struct lines lines = { .cr = false };
	size_t n;

	put_received(&body);
	while ((n = read_some(STDIN_FILENO, in_space, sizeof(in_space))) > 0) {
		struct str in = { .p = in_space, .n = n };

		count_bytes(n);
		while (in.n > 0) {
			check_lines(lines_feed(&lines, &in, &body));
			if (buf_room(&body) == 0)
				flush_body(&body);
		}
	}
	check_lines(lines_end(&lines));
	flush_body(&body);
	if (self.hops.count > LIMIT_RECEIVED + 1) /* ours is one */
		queue_fail(QUEUE_EXIT_REFUSED,
		    "5.4.6 Too many Received lines: a mail loop");
}

/* ---- the envelope ---- */

static void
send_path(char type, struct str raw)
{
	char space[LIMIT_ADDRESS];
	struct buf out = BUF_ON(space);
	enum address_status status =
	    type == 'F' ? mailbox_put_sender(&out, raw, buf_str(&self.host))
			: mailbox_put(&out, raw, buf_str(&self.host));

	if (status == ADDRESS_TOO_LONG)
		queue_fail(
		    QUEUE_EXIT_ADDRESS_LONG, "5.1.3 An address is too long");
	if (status == ADDRESS_SYNTAX)
		queue_fail(QUEUE_EXIT_REFUSED,
		    type == 'F' ? "5.1.7 The sender is no mail address"
				: "5.1.3 A recipient is no mail address");
	if (type == 'T' && ++self.recipients > LIMIT_RECIPIENTS)
		queue_fail(QUEUE_EXIT_REFUSED,
		    "5.5.3 More than 1000 recipients; send it in parts");
	put(type, buf_str(&out));
}

/* True at the envelope's end. */
static bool
take_envelope(struct paths *paths, struct str in)
{
	for (;;) {
		char type;
		struct str path;

		switch (paths_next(paths, &in, &type, &path)) {
		case PATHS_ONE:
			send_path(type, path);
			break;
		case PATHS_MORE:
			return false;
		case PATHS_END:
			return true;
		case PATHS_BAD:
			queue_fail(QUEUE_EXIT_ENVELOPE,
			    "4.3.0 The envelope (fd 1) is not F, sender, NUL, "
			    "T, recipient, NUL ..., NUL");
		case PATHS_LONG:
			queue_fail(QUEUE_EXIT_ADDRESS_LONG,
			    "5.1.3 An address is too long");
		}
	}
}

static void
send_envelope(void)
{
	static char space[READ];
	struct paths paths = { .n = 0 };
	bool whole = false;

	while (!whole) {
		size_t n = read_some(STDOUT_FILENO, space, sizeof(space));

		/* what wrote it has died: qmail-queue says so, too */
		if (n == 0)
			queue_fail(QUEUE_EXIT_READ,
			    "4.3.0 The envelope (fd 1) ends too early");
		whole =
		    take_envelope(&paths, (struct str){ .p = space, .n = n });
	}
	if (self.recipients == 0)
		queue_fail(QUEUE_EXIT_REFUSED, "5.5.1 No recipient");
}

/* ---- all of it ---- */

/* What stands in front of the message. */
static void
put_head(void)
{
	char space[16];
	struct buf head = BUF_ON(space);

	if (self.drops) {
		dropfile_put_head(&head, self.box.name.uid);
		put('Q', buf_str(&head));
	} else if (self.has_facts) {
		put('P', buf_str(&self.facts));
	}
}

static _Noreturn void
publish(void)
{
	if (dropbox_publish(&self.box) < 0)
		fail_write();
	queue_end(QUEUE_EXIT_DONE, 'K', STR(""));
}

static _Noreturn void
end_as_answered(void)
{
	struct buf in = BUF_ON(self.answer);
	char verdict;
	struct str text;

	if (queue_answer(self.outlet.fd, self.outlet.deadline_ms, &in, &verdict,
		&text) < 0)
		fail_write();
	queue_end((int)queue_answer_code(verdict, text), verdict, text);
}

int
main(int argc, char **argv)
{
	queue_caller_reset();
	log_init("queue");
	self.uid = getuid(); /* the sandbox does not tell */
	parse_arguments(argc, argv);
	take_environment();
	load_settings();
	int64_t deadline = clock_mono_ms() + (int64_t)self.minutes * 60000;
	int fd = connect_to_queued();
	self.drops = fd < 0;
	if (self.drops)
		fd = open_drop_box();
	else
		queue_caller_drop_group();
	outlet_init(&self.outlet, fd, deadline);
	enter_sandbox(self.drops);
	put_head();
	send_message();
	send_envelope();
	put('C', STR(""));
	if (outlet_flush(&self.outlet) < 0)
		fail_write();
	if (self.drops)
		publish();
	end_as_answered();
}
