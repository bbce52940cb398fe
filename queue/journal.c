/* SPDX-License-Identifier: ISC
 * journal: contract in journal.h.
 */
#include "queue/journal.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "common/buf.h"
#include "common/die.h"
#include "common/io.h"

static char zeros[64 * 1024];

void
journal_init(struct journal *j, int dirfd, const unsigned char key[RECORD_KEY],
    unsigned max, uint64_t size)
{
	memset(j, 0, sizeof(*j));
	j->dirfd = dirfd;
	memcpy(j->key, key, RECORD_KEY);
	j->max = max < JOURNAL_MAX ? max : JOURNAL_MAX;
	j->size = size;
	j->oldest = 1;
	for (size_t i = 0; i < JOURNAL_MAX; i++) {
		struct segment *s = &j->seg[i];
		s->fd = -1;
		s->live = s->settled = s->after = LEDGER_LIST;
	}
}

void
journal_name(size_t i, char out[JOURNAL_NAME])
{
	struct buf b = { .p = out, .cap = JOURNAL_NAME };
	buf_put_padded(&b, i, 4);
	buf_putc(&b, '\0');
}

static int
write_zeros(int fd, uint64_t size)
{
	for (uint64_t at = 0; at < size; at += sizeof(zeros)) {
		struct str s = { .p = zeros, .n = sizeof(zeros) };
		if (size - at < s.n)
			s.n = (size_t)(size - at);
		if (io_pwrite_all(fd, s, at) < 0)
			return -1;
	}
	return fsync(fd);
}

int
journal_make(int dirfd, size_t i, uint64_t size)
{
	static const char making[] = "new";
	char name[JOURNAL_NAME];
	journal_name(i, name);
	int fd = openat(dirfd, making,
	    O_RDWR | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return -1;
	int e = write_zeros(fd, size) < 0 ? errno : 0;
	if (close(fd) < 0 && e == 0)
		e = errno;
	if (e == 0 && renameat(dirfd, making, dirfd, name) < 0)
		e = errno;
	if (e == 0 && fsync(dirfd) < 0)
		e = errno;
	if (e != 0)
		(void)unlinkat(dirfd, making, 0); /* made anew next time */
	errno = e;
	return e == 0 ? 0 : -1;
}

int
journal_is_new(int fd, uint64_t size)
{
	static char chunk[sizeof(zeros)];
	int64_t n = 0;
	for (uint64_t at = 0; at < size; at += (uint64_t)n) {
		n = io_pread_all(fd, chunk,
		    size - at < sizeof(chunk) ? (size_t)(size - at)
					      : sizeof(chunk),
		    at);
		if (n < 0)
			return -1;
		if (n == 0 || memcmp(chunk, zeros, (size_t)n) != 0)
			return 0;
	}
	return 1;
}

int
journal_adopt(struct journal *j, size_t i)
{
	struct segment *s = &j->seg[i];
	char name[JOURNAL_NAME];
	struct stat st;
	journal_name(i, name);
	int fd = openat(
	    j->dirfd, name, O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		return -1;
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) ||
	    st.st_size < (off_t)2 * RECORD_BLOCK) {
		io_close(&fd);
		errno = EINVAL;
		return -1;
	}
	s->fd = fd;
	s->size = (uint64_t)st.st_size & ~(uint64_t)(RECORD_BLOCK - 1);
	if (s->size > UINT32_MAX)
		s->size = UINT32_MAX & ~(uint64_t)(RECORD_BLOCK - 1);
	s->state = SEGMENT_FREE;
	j->free++;
	j->made++;
	return 0;
}

static void
number_it(struct journal *j, struct segment *s, uint32_t number)
{
	s->number = number;
	if (j->oldest > j->newest)
		j->oldest = number;
	if (number > j->newest)
		j->newest = number;
	if (number < j->oldest)
		j->oldest = number;
	j->by_number[number % JOURNAL_MAX] = s;
}

bool
journal_found(
    struct journal *j, struct segment *s, const struct segment_head *h)
{
	bool none = j->oldest > j->newest;
	uint32_t low = none || h->number < j->oldest ? h->number : j->oldest;
	uint32_t high = none || h->number > j->newest ? h->number : j->newest;
	if (h->number == 0 || h->number > UINT32_MAX / 2 ||
	    high - low >= JOURNAL_MAX || journal_at(j, h->number) != NULL)
		return false;
	s->state = SEGMENT_FULL;
	s->epoch = h->epoch;
	s->used = s->size;
	j->free--;
	number_it(j, s, h->number);
	return true;
}

struct segment *
journal_at(const struct journal *j, uint32_t number)
{
	if (number < j->oldest || number > j->newest)
		return NULL;
	struct segment *s = j->by_number[number % JOURNAL_MAX];
	return s != NULL && s->number == number ? s : NULL;
}

/* ---- opening and freeing ---- */

static int
write_header(const struct journal *j, const struct segment *s,
    enum segment_use use, uint64_t last_id)
{
	char block[RECORD_BLOCK];
	const struct segment_head h = { .use = use,
		.number = s->number,
		.epoch = s->epoch,
		.first_sequence = j->sequence + 1,
		.last_id = last_id };
	segment_seal(j->key, &h, block);
	struct str bytes = { .p = block, .n = sizeof(block) };
	if (io_pwrite_all(s->fd, bytes, 0) < 0)
		return -1;
	return fdatasync(s->fd);
}

static struct segment *
find_free(struct journal *j)
{
	for (size_t i = 0; i < JOURNAL_MAX; i++)
		if (j->seg[i].state == SEGMENT_FREE)
			return &j->seg[i];
	return NULL;
}

int
journal_advance(struct journal *j, uint64_t last_id)
{
	if (j->iov_count != 0)
		bug("a segment is changed in the midst of a batch");
	struct segment *s = find_free(j);
	if (s == NULL || (j->oldest <= j->newest &&
			     j->newest - j->oldest >= JOURNAL_MAX - 1)) {
		errno = ENOSPC;
		return -1;
	}
	if (j->open != NULL)
		j->open->state = SEGMENT_FULL;
	j->open = NULL;
	j->free--;
	number_it(j, s, j->newest + 1);
	randombytes_buf(&s->epoch, sizeof(s->epoch));
	s->used = RECORD_BLOCK;
	s->dirty = 0;
	s->spoiled = false;
	if (write_header(j, s, SEGMENT_USE_LIVE, last_id) < 0) {
		s->state = SEGMENT_FAILED;
		j->failures++;
		return -1;
	}
	s->state = SEGMENT_OPEN;
	j->open = s;
	return 0;
}

static struct segment *
oldest_of(const struct journal *j)
{
	struct segment *s = journal_at(j, j->oldest);
	if (s != NULL)
		return s;
	bug("the oldest segment is not there");
}

bool
journal_oldest_idle(const struct journal *j)
{
	const struct segment *s = journal_at(j, j->oldest);
	return s != NULL && s->live.count == 0 && s->settled.count == 0 &&
	       s->dirty == 0;
}

static void
advance_oldest(struct journal *j)
{
	j->by_number[j->oldest % JOURNAL_MAX] = NULL;
	do {
		j->oldest++;
	} while (j->oldest <= j->newest && journal_at(j, j->oldest) == NULL);
}

bool
journal_retire(struct journal *j)
{
	struct segment *s = oldest_of(j);
	if (write_header(j, s, SEGMENT_USE_FREE, 0) < 0) {
		s->state = SEGMENT_FAILED;
		return false;
	}
	advance_oldest(j);
	s->state = SEGMENT_FREE;
	s->number = 0;
	j->free++;
	return true;
}

void
journal_removed(struct journal *j)
{
	struct segment *s = oldest_of(j);
	advance_oldest(j);
	io_close(&s->fd);
	s->state = SEGMENT_ABSENT;
	s->number = 0;
	j->made--;
}

/* ---- batches ---- */

static uint64_t
next_block(uint64_t at)
{
	return (at + RECORD_BLOCK - 1) & ~(uint64_t)(RECORD_BLOCK - 1);
}

bool
journal_fits(const struct journal *j, uint64_t meta_n, uint64_t body_n)
{
	if (j->open == NULL || j->iov_count + 3 > JOURNAL_IOV)
		return false;
	uint64_t n = j->batch_n + record_span(meta_n, body_n);
	uint64_t at = next_block(j->open->used);
	return at <= j->open->size && n <= j->open->size - at &&
	       (n <= JOURNAL_BATCH || j->batch_n == 0);
}

static void
add_iov(struct journal *j, char *p, size_t n)
{
	if (n == 0)
		return;
	j->iov[j->iov_count++] = (struct iovec){ .iov_base = p, .iov_len = n };
	j->batch_n += n;
}

uint64_t
journal_add(struct journal *j, enum record_type type, uint64_t id,
    struct bytes *headed, struct bytes *body)
{
	if (j->iov_count == 0) {
		j->batch_at = next_block(j->open->used);
		j->batch_n = 0;
	}
	uint64_t at = j->batch_at + j->batch_n;
	size_t body_n = body == NULL ? 0 : body->n;
	const struct record r = { .epoch = j->open->epoch,
		.sequence = ++j->sequence,
		.id = id,
		.type = type,
		.meta_n = (uint32_t)(headed->n - RECORD_HEAD),
		.body_n = (uint32_t)body_n };
	struct str meta = str_skip(bytes_str(headed), RECORD_HEAD);
	struct str content = { .p = "", .n = 0 };
	if (body_n > 0)
		content = bytes_str(body);
	record_seal(j->key, &r, at, meta, content, headed->p);
	struct bytes *last = body_n > 0 ? body : headed;
	size_t pad = (size_t)(record_span(r.meta_n, r.body_n) - RECORD_HEAD -
			      r.meta_n - r.body_n);
	memset(last->p + last->n, 0, pad); /* within BYTES_SLACK */
	add_iov(j, headed->p, headed->n + (last == headed ? pad : 0));
	if (body_n > 0)
		add_iov(j, body->p, body_n + pad);
	return at;
}

/* One call when the file system knows RWF_DSYNC, two when not. */
static int
write_durably(struct journal *j, size_t n)
{
	ssize_t done = -1;
	if (!j->no_dsync)
		done = pwritev2(j->open->fd, j->iov, j->iov_count,
		    (off_t)j->batch_at, RWF_DSYNC);
	if (!j->no_dsync && done < 0 && errno == EOPNOTSUPP)
		j->no_dsync = true;
	if (j->no_dsync) {
		done = pwritev(
		    j->open->fd, j->iov, j->iov_count, (off_t)j->batch_at);
		if (done == (ssize_t)n && fdatasync(j->open->fd) < 0)
			done = -1;
	}
	if (done >= 0 && done != (ssize_t)n)
		errno = ENOSPC; /* a part of it: the rest had no room */
	return done == (ssize_t)n ? 0 : -1;
}

int
journal_commit(struct journal *j)
{
	if (j->iov_count == 0)
		return 0;
	add_iov(j, zeros, (size_t)(next_block(j->batch_n) - j->batch_n));
	int r = write_durably(j, (size_t)j->batch_n);
	j->open->used = j->batch_at + j->batch_n;
	j->iov_count = 0;
	j->batch_n = 0;
	if (r == 0) {
		j->failures = 0;
		return 0;
	}
	/* the kernel may have dropped the pages: another sync would lie */
	j->open->state = SEGMENT_FAILED;
	j->open = NULL;
	j->failures++;
	return -1;
}
