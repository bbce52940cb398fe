/* SPDX-License-Identifier: ISC
 * settle: contract in settle.h.  Runs as posternq, forked by queued before its
 * sandbox.
 */
#include "queue/settle.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "common/clock.h"
#include "common/die.h"
#include "common/io.h"
#include "common/log.h"
#include "common/packet.h"
#include "common/sandbox.h"
#include "queue/messdir.h"
#include "queue/messfile.h"

static const struct sandbox_rule rules[] = {
	ALLOW_HEAP,
	ALLOW(recvmsg, "requests of queued"),
	ALLOW(sendto, "answers to queued"),
	ALLOW(sendmsg, "answers to queued"),
	ALLOW(ppoll, "wait for room for answers"),
	ALLOW(poll, "wait for room for answers"),
	ALLOW(openat, "messages, segments, their directories"),
	ALLOW(newfstatat, "sizes of files"),
	ALLOW(fstat, "sizes of files"),
	ALLOW(pread64, "records and messages"),
	ALLOW(pwrite64, "zeros of new segments, heads of large messages"),
	ALLOW(pwritev, "messages"),
	ALLOW(ftruncate, "cuts a torn entry off"),
	ALLOW(fsync, "files and directories"),
	ALLOW(fdatasync, "files"),
	ALLOW(sync_file_range, "writes the data of many files at once"),
	ALLOW(syncfs, "many files at once"),
	ALLOW(mkdirat, "mess/ab"),
	ALLOW(renameat, "names what is complete"),
	ALLOW(unlinkat, "removes finished messages"),
	ALLOW(getrandom, "nonces of files"),
};

enum {
	BATCH = 256,  /* requests that are made durable together */
	SYNCFS_AT = 3 /* of so many files one syncfs is cheaper */
};

/* What a request left to sync. */
struct job {
	char type;
	uint64_t id;
	int error;
	int fd;		    /* the file, or -1 */
	bool name;	    /* its directory has changed */
	uint64_t temporary; /* of one that is to be named */
};

static const struct spool *spool;
static int queued_fd = -1;
static struct job jobs[BATCH];
static size_t job_count;
static char packet_space[PACKET_MAX];
static char *record_space;

void
settle_tmp_name(uint64_t n, char out[SETTLE_TMP])
{
	struct buf b = { .p = out, .cap = SETTLE_TMP };
	buf_puts(&b, "mess/tmp/");
	buf_put_hex64(&b, n);
	buf_putc(&b, '\0');
}

/* ---- requests ---- */

static int
do_publish(struct job *job, struct packet *p)
{
	char tmp[SETTLE_TMP];
	job->temporary = packet_get_u64(p);
	struct mess_head h = { .id = job->id };
	h.body_n = packet_get_u64(p);
	h.nonce = packet_get_u64(p);
	if (!packet_end(p))
		return EPROTO;
	settle_tmp_name(job->temporary, tmp);
	job->fd = openat(spool->dirfd, tmp, O_RDWR | O_NOFOLLOW | O_CLOEXEC);
	if (job->fd < 0)
		return errno;
	job->name = true;
	/* all but the head's page, while the checksum is taken; publish hears
	 * of what goes wrong */
	(void)sync_file_range(
	    job->fd, LIMIT_SMALL_BODY, 0, SYNC_FILE_RANGE_WRITE);
	return messfile_seal(job->fd, spool->key, &h) < 0 ? errno : 0;
}

/* Reads a record and checks it; meta and body are views into record_space. */
static int
read_record(struct packet *p, uint64_t id, struct str *meta, struct str *body)
{
	char file[JOURNAL_NAME];
	uint32_t i = packet_get_u32(p);
	uint64_t epoch = packet_get_u64(p);
	uint32_t offset = packet_get_u32(p);
	uint32_t meta_n = packet_get_u32(p);
	uint32_t body_n = packet_get_u32(p);
	uint64_t n = record_span(meta_n, body_n);
	if (p->bad || i >= JOURNAL_MAX || meta_n > ENVELOPE_MAX ||
	    body_n > LIMIT_SMALL_BODY)
		return EPROTO;
	journal_name(i, file);
	int fd = openat(
	    spool->journal.dirfd, file, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return errno;
	int64_t got = io_pread_all(fd, record_space, (size_t)n, offset);
	int e = got < 0 ? SETTLE_UNREADABLE : 0;
	io_close(&fd);
	struct str in = { .p = record_space, .n = got < 0 ? 0 : (size_t)got };
	struct record r;
	if (e == 0 &&
	    (!record_open(spool->key, offset, in, &r, meta, body) ||
		r.epoch != epoch || r.id != id || r.type != RECORD_MESSAGE))
		e = EBADMSG;
	return e;
}

static int
append_all(struct messfile *f, struct packet *p)
{
	struct str state = packet_get_str(p, PACKET_MAX);
	char hold = (char)packet_get_u8(p);
	uint32_t count = packet_get_u32(p);
	if (p->bad || (hold != '\0' && hold != 'H' && hold != 'R'))
		return EPROTO;
	if (hold != '\0' && messfile_append(f, spool->key, MESS_HOLD,
				(struct str){ .p = &hold, .n = 1 }) < 0)
		return errno;
	for (uint32_t i = 0; i < count; i++) {
		struct str r = packet_get_str(p, PACKET_MAX);
		if (p->bad)
			return EPROTO;
		if (messfile_append(f, spool->key, MESS_REPLACEMENT, r) < 0)
			return errno;
	}
	if (!packet_end(p))
		return EPROTO;
	/* last, for it speaks of the recipients that the others brought */
	if (state.n > 0 &&
	    messfile_append(f, spool->key, MESS_STATE, state) < 0)
		return errno;
	return 0;
}

static int
do_make(struct job *job, struct packet *p)
{
	struct str meta = STR(""), body = STR("");
	struct messfile f;
	char tmp[SETTLE_TMP];
	settle_tmp_name(job->id, tmp); /* ids and temporaries never meet */
	int e = read_record(p, job->id, &meta, &body);
	if (e != 0)
		return e;
	if (messfile_write(
		spool->dirfd, tmp, spool->key, job->id, meta, body, &f) < 0)
		return errno;
	e = append_all(&f, p);
	if (e != 0) {
		messfile_close(&f);
		(void)unlinkat(spool->dirfd, tmp, 0); /* or at the next start */
		return e;
	}
	job->fd = f.fd;
	job->name = true;
	job->temporary = job->id;
	return 0;
}

static int
do_append(struct job *job, struct packet *p)
{
	struct messfile f;
	if (messfile_open(spool->dirfd, spool->key, job->id, &f) < 0)
		return errno;
	int e = ftruncate(f.fd, (off_t)f.end) < 0 ? errno : append_all(&f, p);
	if (e == 0) {
		job->fd = f.fd;
		f.fd = -1;
	}
	messfile_close(&f);
	return e;
}

static int
do_remove(struct job *job)
{
	char name[MESS_NAME];
	mess_name(job->id, name);
	job->name = true;
	if (unlinkat(spool->dirfd, name, 0) < 0 && errno != ENOENT)
		return errno;
	return 0;
}

/* A segment that cannot be read as a whole keeps what it has. */
static int
keep_segment(const char *file)
{
	char text[64];
	struct buf to = BUF_ON(text);
	buf_puts(&to, "quarantine/journal-");
	buf_puts(&to, file);
	buf_putc(&to, '-');
	buf_put_u64(&to, (uint64_t)clock_now_us());
	const char *name = buf_cstr(&to);
	if (renameat(spool->journal.dirfd, file, spool->dirfd, name) < 0)
		return errno;
	LOG(ERROR, "segment-damaged", F_TEXT("file", file),
	    F_TEXT("why", "a part cannot be read"), F_TEXT("kept", name),
	    F_TEXT("do", SPOOL_ADVICE));
	return messdir_sync(spool->dirfd, "quarantine");
}

static int
do_unsegment(uint64_t i, bool keep)
{
	char file[JOURNAL_NAME];
	int dirfd = spool->journal.dirfd;
	if (i >= JOURNAL_MAX)
		return EPROTO;
	journal_name(i, file);
	int e = keep			       ? keep_segment(file)
		: unlinkat(dirfd, file, 0) < 0 ? errno
					       : 0;
	if (e != 0 && e != ENOENT)
		return e;
	return fsync(dirfd) < 0 ? errno : 0;
}

static int
do_segment(uint64_t i, uint64_t size)
{
	if (i >= JOURNAL_MAX || size > UINT32_MAX)
		return EPROTO;
	return journal_make(spool->journal.dirfd, i, size) < 0 ? errno : 0;
}

/* ---- batches ---- */

static void
answer(const struct job *job)
{
	char text[32];
	struct buf b = BUF_ON(text);
	packet_begin(&b, 'K');
	packet_u8(&b, (uint8_t)job->type);
	packet_u64(&b, job->id);
	packet_u32(&b, (uint32_t)job->error);
	while (packet_send(queued_fd, buf_str(&b), NULL, 0) < 0) {
		if (errno != EAGAIN || io_wait(queued_fd, true, 1000) < 0)
			_exit(EXITCODE_TEMPORARY); /* queued is gone */
	}
}

/* Does a request; false: it is answered already. */
static bool
take(struct packet *p, struct job *job)
{
	*job = (struct job){ .type = p->type, .fd = -1 };
	job->id = packet_get_u64(p);
	switch (p->type) {
	case SETTLE_MAKE:
		job->error = do_make(job, p);
		return true;
	case SETTLE_APPEND:
		job->error = do_append(job, p);
		return true;
	case SETTLE_REMOVE:
		job->error = do_remove(job);
		return true;
	case SETTLE_PUBLISH:
		job->error = do_publish(job, p);
		return true;
	case SETTLE_SEGMENT:
		job->error = do_segment(job->id, packet_get_u64(p));
		break;
	case SETTLE_UNSEGMENT:
		job->error = do_unsegment(job->id, packet_get_u64(p) != 0);
		break;
	default:
		bug("settle was asked for what there is not");
	}
	answer(job);
	return false;
}

static void
keep_error(struct job *job, int error)
{
	if (job->error == 0)
		job->error = error;
}

static bool
is_new_file(const struct job *job)
{
	return (job->type == SETTLE_PUBLISH || job->type == SETTLE_MAKE) &&
	       job->error == 0;
}

static void
name_new_file(struct job *job)
{
	char tmp[SETTLE_TMP];
	settle_tmp_name(job->temporary, tmp);
	job->error = io_write_out(job->fd) < 0
			 ? errno
			 : messdir_enter(spool->dirfd, tmp, job->id);
	if (job->error != 0 && job->type == SETTLE_MAKE)
		(void)unlinkat(spool->dirfd, tmp, 0); /* it is made anew */
}

/* New files get their names when their data is on the disk, and the sync that
 * follows makes both last: no power cut leaves half a file under a name. */
static void
publish(void)
{
	for (size_t i = 0; i < job_count; i++)
		if (is_new_file(&jobs[i])) /* no error yet: see below */
			(void)sync_file_range(
			    jobs[i].fd, 0, 0, SYNC_FILE_RANGE_WRITE);
	for (size_t i = 0; i < job_count; i++)
		if (is_new_file(&jobs[i]))
			name_new_file(&jobs[i]);
}

/* Syncs a directory for all jobs that changed it. */
static void
sync_names(size_t first)
{
	char dir[MESS_NAME];
	char other[MESS_NAME];
	messdir_name(jobs[first].id, dir);
	int e = messdir_sync_of(spool->dirfd, jobs[first].id);
	for (size_t i = first; i < job_count; i++) {
		messdir_name(jobs[i].id, other);
		if (!jobs[i].name || memcmp(dir, other, sizeof("mess/ab")) != 0)
			continue;
		keep_error(&jobs[i], e);
		jobs[i].name = false;
	}
}

static void
sync_each(void)
{
	for (size_t i = 0; i < job_count; i++)
		if (jobs[i].error == 0 && jobs[i].fd >= 0 &&
		    fsync(jobs[i].fd) < 0)
			keep_error(&jobs[i], errno);
	for (size_t i = 0; i < job_count; i++)
		if (jobs[i].name)
			sync_names(i);
}

static void
finish_batch(void)
{
	publish();
	if (job_count >= SYNCFS_AT) {
		int e = syncfs(spool->dirfd) < 0 ? errno : 0;
		for (size_t i = 0; i < job_count; i++)
			keep_error(&jobs[i], e);
	} else {
		sync_each();
	}
	for (size_t i = 0; i < job_count; i++) {
		io_close(&jobs[i].fd);
		answer(&jobs[i]);
	}
	job_count = 0;
}

/* More of a message whose file is made in this batch, and has no name yet. */
static bool
needs_name(struct packet p)
{
	uint64_t id = packet_get_u64(&p);
	for (size_t i = 0; p.type == SETTLE_APPEND && i < job_count; i++)
		if (jobs[i].type == SETTLE_MAKE && jobs[i].id == id)
			return true;
	return false;
}

static void
serve(void)
{
	for (;;) {
		struct str bytes;
		int fds[PACKET_FDS];
		size_t nfds;
		int n =
		    packet_recv(queued_fd, packet_space, sizeof(packet_space),
			job_count > 0 ? MSG_DONTWAIT : 0, &bytes, fds, &nfds);
		if (n < 0 && errno == EAGAIN) {
			finish_batch();
			continue;
		}
		if (n == 0)
			return; /* what is not synced was not answered */
		if (n < 0)
			die(EXITCODE_TEMPORARY, "settle", errno);
		packet_close_fds(fds, nfds);
		struct packet p = packet_open(bytes);
		if (needs_name(p))
			finish_batch();
		if (take(&p, &jobs[job_count]))
			job_count++;
		if (job_count == BATCH)
			finish_batch();
	}
}

static _Noreturn void
run(void)
{
	const struct sandbox_dir dirs[] = { { .fd = spool->dirfd,
	    .write = true } };
	const struct sandbox sandbox = { .role = "settle",
		.rules = rules,
		.rule_count = N_ELEMENTS(rules),
		.dirs = dirs,
		.dir_count = N_ELEMENTS(dirs),
		.max_file = (uint64_t)1 << 42 };
	log_init("settle");
	record_space =
	    malloc((size_t)record_span(ENVELOPE_MAX, LIMIT_SMALL_BODY));
	if (record_space == NULL)
		die(EXITCODE_TEMPORARY, "settle", ENOMEM);
	sandbox_enter(&sandbox);
	serve();
	_exit(EXITCODE_DONE);
}

/* Everything but 0-2, the spool, the journal, the lock and the socket. */
static void
close_others(int keep_socket)
{
	enum { HIGHEST = 64 };
	for (int fd = STDERR_FILENO + 1; fd < HIGHEST; fd++) {
		if (fd == spool->dirfd || fd == spool->journal.dirfd ||
		    fd == spool->lockfd || fd == keep_socket)
			continue;
		(void)close(fd); /* EBADF: not open */
	}
}

/* Returns queued's end of its socket. */
static int
start_one(void)
{
	int pair[2];
	if (io_pair(SOCK_SEQPACKET, pair) < 0)
		die(EXITCODE_TEMPORARY, "socketpair", errno);
	pid_t pid = fork();
	if (pid < 0)
		die(EXITCODE_TEMPORARY, "fork", errno);
	if (pid == 0) {
		queued_fd = pair[1];
		close_others(pair[1]);
		run();
	}
	io_close(&pair[1]);
	if (io_nonblock(pair[0], true) < 0)
		die(EXITCODE_TEMPORARY, "fcntl", errno);
	return pair[0];
}

void
settle_start(const struct spool *s, int fds[SETTLE_PROCESSES])
{
	spool = s;
	for (size_t i = 0; i < SETTLE_PROCESSES; i++)
		fds[i] = start_one();
}
