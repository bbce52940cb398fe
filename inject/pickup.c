/* SPDX-License-Identifier: ISC
 * postern-pickup: brings to queued what postern-queue put into the drop box
 * while the suite was stopped.  Resident, one process, user posternk.  It reads
 * files of local users, and reaches the drop box and its link to queued.
 *
 * Each message enters the queue once: queued keeps a file's key with its
 * message until pickup says that the file is gone (INTERNALS.md "The drop
 * box").
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>
#include "common/clock.h"
#include "common/die.h"
#include "common/frameio.h"
#include "common/io.h"
#include "common/limits.h"
#include "common/log.h"
#include "common/packet.h"
#include "common/role.h"
#include "common/sandbox.h"
#include "inject/boxfiles.h"
#include "inject/dropfile.h"

static const struct sandbox_rule rules[] = {
	ALLOW_HEAP,
	ALLOW_LOOP,
	ALLOW_PACKETS,
	ALLOW(openat, "files and folders of the drop box"),
	ALLOW(newfstatat, "what a file is, before it is opened"),
	ALLOW(fstat, "what it is that was opened"),
	ALLOW(getdents64, "what is there"),
	ALLOW_IF(fcntl, 2, F_SETFD, "reading folders"),
	ALLOW(flock, "whether a writer lives"),
	ALLOW(renameat2, "new to work, work to bad"),
	ALLOW(unlinkat, "what the queue has"),
	ALLOW(fsync, "names that are given and taken"),
	ALLOW(getrandom, "keys"),
};

enum {
	ASK_MS = 200,	 /* queued does not know all yet */
	PAUSE_MS = 1000, /* the first one, after a refusal for now */
	PAUSE_MAX_MS = 60000,
	LOOK_MS = 60000, /* should no event come */
	IN_FLIGHT = 8,	 /* as queued takes them */
	READ = 2 * LIMIT_FRAME,
	OUT = READ + 1024
};

enum phase {
	PHASE_DOWN, /* no queued */
	PHASE_ASK,  /* it is to be told what files there are; and it was: */
	PHASE_ASKED,
	PHASE_SENDING,
	PHASE_IDLE
};

static void on_queued(struct watch *, uint32_t events);
static void on_event(struct watch *, uint32_t events);

static struct {
	struct watch queued, events;
	enum phase phase;
	struct boxfiles files;
	size_t sending, answering; /* files of the list */
	unsigned in_flight;
	bool again;	    /* there may be more in new/ */
	bool refused;	    /* for now: pause before the next try */
	int64_t not_before; /* ms */
	int64_t sweep_at;
	int pause_ms;
	/* the file that is sent now; fd -1: none */
	int fd;
	uint64_t left; /* bytes of it that may be read */
	struct dropfile parser;
	struct buf from_file, out, in;
	char file_space[READ];
	char out_space[OUT];
	char in_space[FRAME_ROOM(LIMIT_REPORT)];
} self = {
	.queued = { .fd = -1, .ready = on_queued },
	.events = { .fd = -1, .ready = on_event },
	.fd = -1,
	.pause_ms = PAUSE_MS,
};

/* ---- the link ---- */

static void
queued_lost(void)
{
	loop_remove(&self.queued);
	io_close(&self.queued.fd);
	io_close(&self.fd);
	self.phase = PHASE_DOWN;
}

static void
flush(void)
{
	while (self.queued.fd >= 0 && self.out.n > 0) {
		ssize_t n = write(self.queued.fd, self.out.p, self.out.n);

		if (n > 0)
			buf_drop(&self.out, (size_t)n);
		else if (errno != EAGAIN && errno != EINTR)
			queued_lost();
		else if (errno == EAGAIN)
			break;
	}
	if (self.queued.fd >= 0)
		loop_change(&self.queued,
		    self.out.n > 0 ? EPOLLIN | EPOLLOUT : EPOLLIN);
}

static void
ask(void)
{
	static char space[sizeof(uint64_t) * BOXFILES_MAX];
	struct buf keys = BUF_ON(space);

	if (boxfiles_list(&self.files) < 0) {
		self.not_before = clock_mono_ms() + PAUSE_MS;
		return;
	}
	for (size_t i = 0; i < self.files.count; i++)
		packet_u64(&keys, self.files.file[i].key);
	buf_reset(&self.out);
	frame_put(&self.out, 'H', buf_str(&keys));
	self.phase = PHASE_ASKED;
	flush();
}

/* ---- one file ---- */

static struct boxfile *
current(void)
{
	return &self.files.file[self.sending];
}

static void
next_file(enum boxfile_state state)
{
	current()->state = state;
	self.in_flight += state == BOXFILE_SENT;
	self.sending++;
	io_close(&self.fd);
}

/* What was sent of it is to be forgotten. */
static void
drop_file(const char *why)
{
	if (boxfiles_may_say())
		LOG(WARN, "drop-file", F_NUM("uid", current()->uid),
		    F_TEXT("why", why));
	frame_put(&self.out, 'X', STR(""));
	next_file(BOXFILE_BAD);
}

static void
begin_file(void)
{
	char space[16];
	struct buf head = BUF_ON(space);

	self.fd = boxfiles_read(current(), &self.left);
	if (self.fd < 0 && errno == EBADF) {
		drop_file("not a file of that user");
		return;
	}
	if (self.fd < 0) {
		self.refused = true;
		next_file(BOXFILE_WAITS);
		return;
	}
	self.parser = (struct dropfile){ .begun = false };
	self.from_file = BUF_ON(self.file_space);
	packet_u64(&head, current()->key);
	packet_u32(&head, current()->uid);
	frame_put(&self.out, 'U', buf_str(&head));
}

/* False: it has ended, rightly or not. */
static bool
take_frames(void)
{
	struct str frame;
	size_t used;

	for (;;) {
		switch (dropfile_next(
		    &self.parser, buf_str(&self.from_file), &frame, &used)) {
		case DROPFILE_FRAME:
			if (self.parser.uid != current()->uid) {
				drop_file("written by another user");
				return false;
			}
			buf_put(&self.out, frame);
			buf_drop(&self.from_file, used);
			break;
		case DROPFILE_MORE:
			return true;
		case DROPFILE_END:
			if (used < self.from_file.n || self.left > 0) {
				drop_file("more behind its end");
				return false;
			}
			frame_put(&self.out, 'C', STR(""));
			next_file(BOXFILE_SENT);
			return false;
		case DROPFILE_BAD:
			drop_file("not what postern-queue writes");
			return false;
		}
	}
}

/* Moves some of the file to the output, which is empty. */
static void
feed(void)
{
	size_t most = buf_room(&self.from_file);

	if (most > self.left)
		most = (size_t)self.left;
	ssize_t n = read(self.fd, buf_tail(&self.from_file), most);
	if (n < 0 && errno == EINTR)
		return;
	if (n <= 0) {
		drop_file(n < 0 ? strerror(errno) : "it ends too early");
		return;
	}
	buf_grew(&self.from_file, (size_t)n);
	self.left -= (uint64_t)n;
	(void)take_frames();
}

/* ---- all of them ---- */

static void
report_gone(void)
{
	char space[16];

	for (size_t i = 0; i < self.files.count; i++) {
		struct buf key = BUF_ON(space);

		if (self.files.file[i].state != BOXFILE_TAKEN)
			continue;
		packet_u64(&key, self.files.file[i].key);
		frame_put(&self.out, 'G', buf_str(&key));
	}
}

/* Those that were refused for now stay in the list. */
static void
keep_waiting(void)
{
	size_t n = 0;

	for (size_t i = 0; i < self.files.count; i++)
		if (self.files.file[i].state == BOXFILE_WAITS)
			self.files.file[n++] = self.files.file[i];
	self.files.count = n;
}

static void
end_batch(void)
{
	boxfiles_end(&self.files);
	report_gone();
	keep_waiting();
	self.phase = PHASE_IDLE;
	self.again = true;
	if (self.refused) {
		self.not_before = clock_mono_ms() + self.pause_ms;
		self.pause_ms *= 2;
		if (self.pause_ms > PAUSE_MAX_MS)
			self.pause_ms = PAUSE_MAX_MS;
	} else {
		self.pause_ms = PAUSE_MS;
	}
	flush();
}

static void
begin_batch(void)
{
	self.phase = PHASE_SENDING;
	self.sending = self.answering = 0;
	self.refused = false;
}

static void
look(void)
{
	int64_t now = clock_mono_ms();
	bool sweep = now >= self.sweep_at;

	if (sweep)
		self.sweep_at = now + LOOK_MS;
	self.again = false;
	if (boxfiles_take(&self.files, sweep) < 0) {
		self.not_before = now + PAUSE_MS;
		self.again = true;
	}
	if (self.files.count > 0)
		begin_batch();
}

static bool
is_sent(size_t i)
{
	return i < self.sending && self.files.file[i].state == BOXFILE_SENT;
}

static void
pump(void)
{
	while (self.phase == PHASE_SENDING && self.out.n == 0) {
		if (self.sending == self.files.count && self.in_flight == 0) {
			end_batch();
			return;
		}
		if (self.sending == self.files.count ||
		    (self.fd < 0 && self.in_flight == IN_FLIGHT))
			break;
		if (self.fd < 0)
			begin_file();
		else
			feed();
		flush();
	}
}

/* ---- what queued says ---- */

static void
take_verdict(char verdict, struct str text)
{
	while (!is_sent(self.answering))
		self.answering++;
	struct boxfile *f = &self.files.file[self.answering];

	self.in_flight--;
	if (verdict == 'K') {
		f->state = BOXFILE_TAKEN;
		LOG(INFO, "picked-up", F_STR("qid", text),
		    F_NUM("uid", f->uid));
		return;
	}
	f->state = verdict == 'D' ? BOXFILE_REFUSED : BOXFILE_WAITS;
	self.refused = self.refused || verdict == 'Z';
	self.answering++;
	LOG(WARN, verdict == 'D' ? "drop-refused" : "drop-deferred",
	    F_NUM("uid", f->uid), F_STR("text", text));
}

/* False: that is no answer. */
static bool
take_answer(char type, struct str text)
{
	if (type != 'K' && type != 'Z' && type != 'D')
		return false;
	if (self.phase == PHASE_ASKED) {
		if (type == 'K') {
			self.in_flight = 0;
			self.sweep_at = clock_mono_ms();
			self.phase = PHASE_IDLE;
			self.again = true;
			self.not_before = 0;
		} else {
			self.phase = PHASE_ASK;
			self.not_before = clock_mono_ms() + ASK_MS;
		}
		return true;
	}
	if (self.in_flight == 0)
		return false;
	take_verdict(type, text);
	return true;
}

static void
on_queued(struct watch *w, uint32_t events)
{
	if ((events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0 &&
	    !frameio_read(w->fd, &self.in, LIMIT_REPORT, take_answer)) {
		LOG(WARN, "link-lost", F_TEXT("peer", "queued"));
		queued_lost();
		return;
	}
	if (w->fd >= 0)
		flush();
	pump();
}

static void
on_link(struct str peer, int fd)
{
	if (!str_eq(peer, STR("queued"))) {
		LOG(ERROR, "bad-link", F_STR("peer", peer));
		io_close(&fd);
		return;
	}
	queued_lost();
	self.out = BUF_ON(self.out_space);
	self.in = BUF_ON(self.in_space);
	self.in_flight = 0;
	self.queued.fd = fd;
	if (loop_add(&self.queued, EPOLLIN) < 0)
		die(EXITCODE_TEMPORARY, "watch", errno);
	self.phase = PHASE_ASK;
	self.not_before = 0;
}

/* ---- the folder ---- */

static void
on_event(struct watch *w, uint32_t events)
{
	static char space[4096];

	(void)events;
	while (read(w->fd, space, sizeof(space)) > 0)
		;
	self.again = true;
}

/* Ms until there is something to do again. */
static int
before_wait(void)
{
	int64_t now = clock_mono_ms();

	if (self.phase == PHASE_ASK && now >= self.not_before)
		ask();
	if (self.phase == PHASE_IDLE && now >= self.not_before &&
	    (self.again || now >= self.sweep_at || self.files.count > 0))
		look();
	pump();
	if (self.phase != PHASE_IDLE && self.phase != PHASE_ASK)
		return -1;
	int64_t at = self.again || self.files.count > 0 ? self.not_before
							: self.sweep_at;
	if (self.phase == PHASE_ASK)
		at = self.not_before;
	now = clock_mono_ms();
	return at > now ? (int)(at - now) : 0;
}

int
main(int argc, char **argv)
{
	static const struct role role = {
		.name = "pickup",
		.user = "posternk",
		.help = "usage: postern-pickup\n"
			"\n"
			"Brings mail from the drop box to the queue.  Run by "
			"postern-start; see\npostern-pickup(8).\n",
		.on_link = on_link,
	};
	static const struct sandbox_dir dirs[] = {
		{ .fd = ROLE_FD_DIR, .write = true },
	};
	static const struct sandbox sandbox = {
		.role = "pickup",
		.rules = rules,
		.rule_count = N_ELEMENTS(rules),
		.dirs = dirs,
		.dir_count = N_ELEMENTS(dirs),
	};

	role_init(&role, argc, argv);
	if (close(ROLE_FD_CONTROL) < 0)
		die(EXITCODE_TEMPORARY, "close", errno);
	boxfiles_open(ROLE_FD_DIR);
	self.events.fd = boxfiles_watch();
	if (loop_add(&self.events, EPOLLIN) < 0)
		die(EXITCODE_TEMPORARY, "watch", errno);
	sandbox_enter(&sandbox);
	role_ready();
	loop_run(before_wait);
	return EXITCODE_DONE;
}
