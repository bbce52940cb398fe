/* SPDX-License-Identifier: ISC
 * messfile: contract in messfile.h.
 */
#include "queue/messfile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>
#include "common/io.h"

/* An envelope and, at the worst, a state for each of its recipients. */
enum { ENTRIES_MAX = 64 * 1024 * 1024 };

static int
bad_file(void)
{
	errno = EBADMSG;
	return -1;
}

static int
read_entries(struct messfile *f, uint64_t size)
{
	uint64_t from = mess_entries_at(&f->head);
	if (from > size || size - from > ENTRIES_MAX)
		return bad_file();
	size_t n = (size_t)(size - from);
	f->entries = malloc(n + 1);
	if (f->entries == NULL)
		return -1;
	int64_t got = io_pread_all(f->fd, f->entries, n, from);
	if (got < 0)
		return -1;
	f->n = (size_t)got;
	return 0;
}

/* Finds the envelope and the end of what is right. */
static int
check_entries(struct messfile *f, const unsigned char key[RECORD_KEY])
{
	uint64_t from = mess_entries_at(&f->head);
	size_t at = 0;
	enum mess_entry type;
	struct str content;
	struct str all = { .p = f->entries, .n = f->n };
	while (mess_entry_open(key, f->head.nonce, from + at, str_skip(all, at),
	    &type, &content)) {
		bool first = at == 0;
		if (first != (type == MESS_ENVELOPE) ||
		    (first && !envelope_open(content, &f->envelope)))
			return bad_file();
		at += (size_t)mess_entry_span(content.n);
		if (at >= all.n)
			break;
	}
	if (at == 0)
		return bad_file();
	f->n = at < all.n ? at : all.n;
	f->end = from + at;
	return 0;
}

static int
read_all(struct messfile *f, const unsigned char key[RECORD_KEY])
{
	char head[MESS_BODY_AT];
	struct stat st;
	if (fstat(f->fd, &st) < 0)
		return -1;
	if (!S_ISREG(st.st_mode))
		return bad_file();
	int64_t n = io_pread_all(f->fd, head, sizeof(head), 0);
	if (n < 0)
		return -1;
	struct str bytes = { .p = head, .n = (size_t)n };
	if (!mess_head_open(key, bytes, &f->head))
		return bad_file();
	f->size = (uint64_t)st.st_size;
	if (read_entries(f, f->size) < 0)
		return -1;
	return check_entries(f, key);
}

int
messfile_open_at(int dirfd, const char *name, int flags,
    const unsigned char key[RECORD_KEY], struct messfile *f)
{
	memset(f, 0, sizeof(*f));
	/* O_NONBLOCK: a FIFO in its place must not stop us */
	f->fd = openat(dirfd, name,
	    flags | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (f->fd < 0)
		return -1;
	if (read_all(f, key) == 0)
		return 0;
	int saved = errno;
	messfile_close(f);
	errno = saved;
	return -1;
}

int
messfile_open(int dirfd, const unsigned char key[RECORD_KEY], uint64_t id,
    struct messfile *f)
{
	char name[MESS_NAME];
	mess_name(id, name);
	if (messfile_open_at(dirfd, name, O_RDWR, key, f) < 0)
		return -1;
	if (f->head.id == id)
		return 0;
	messfile_close(f);
	return bad_file();
}

void
messfile_close(struct messfile *f)
{
	io_close(&f->fd);
	free(f->entries);
	f->entries = NULL;
}

bool
messfile_next(const struct messfile *f, const unsigned char key[RECORD_KEY],
    size_t *at, enum mess_entry *type, struct str *content)
{
	struct str all = { .p = f->entries, .n = f->n };
	uint64_t from = mess_entries_at(&f->head);
	do {
		if (*at >= all.n ||
		    !mess_entry_open(key, f->head.nonce, from + *at,
			str_skip(all, *at), type, content))
			return false;
		*at += (size_t)mess_entry_span(content->n);
	} while (*type == MESS_ENVELOPE);
	return true;
}

/* False, with errno: it cannot be read, or not to its end. */
static bool
sum_body(int fd, const unsigned char key[RECORD_KEY], const struct mess_head *h,
    struct mess_sum *sum)
{
	static char chunk[64 * 1024];
	uint64_t at = 0;
	mess_sum_begin(sum, key, h->nonce);
	while (at < h->body_n) {
		size_t n = sizeof(chunk);
		if (h->body_n - at < n)
			n = (size_t)(h->body_n - at);
		int64_t got = io_pread_all(fd, chunk, n, MESS_BODY_AT + at);
		if (got != (int64_t)n) {
			errno = got < 0 ? errno : ENODATA;
			return false;
		}
		mess_sum_add(sum, (struct str){ .p = chunk, .n = n });
		at += n;
	}
	return true;
}

bool
messfile_body_ok(const struct messfile *f, const unsigned char key[RECORD_KEY])
{
	struct mess_sum sum;
	return sum_body(f->fd, key, &f->head, &sum) &&
	       mess_sum_ok(&sum, &f->head);
}

/* ---- writing ---- */

static int
write_parts(int fd, const struct str *parts, int count, uint64_t offset)
{
	struct iovec iov[4];
	size_t n = 0;
	for (int i = 0; i < count; i++) {
		memcpy(&iov[i].iov_base, &parts[i].p, sizeof(char *));
		iov[i].iov_len = parts[i].n;
		n += parts[i].n;
	}
	ssize_t done = pwritev(fd, iov, count, (off_t)offset);
	if (done >= 0 && (size_t)done != n)
		errno = ENOSPC;
	return done == (ssize_t)n ? 0 : -1;
}

int
messfile_seal(int fd, const unsigned char key[RECORD_KEY], struct mess_head *h)
{
	struct mess_sum sum;
	char head[MESS_BODY_AT];
	if (!sum_body(fd, key, h, &sum))
		return -1;
	h->body_tag = mess_sum_end(&sum);
	mess_head_seal(key, h, head);
	struct str bytes = { .p = head, .n = sizeof(head) };
	return io_pwrite_all(fd, bytes, 0);
}

static const char padding[RECORD_ALIGN];

int
messfile_append(struct messfile *f, const unsigned char key[RECORD_KEY],
    enum mess_entry type, struct str content)
{
	char head[MESS_ENTRY_HEAD];
	uint64_t span = mess_entry_span(content.n);
	mess_entry_seal(key, f->head.nonce, f->end, type, content, head);
	const struct str parts[] = {
		{ .p = head, .n = sizeof(head) },
		content,
		{ .p = padding,
		    .n = (size_t)(span - sizeof(head) - content.n) },
	};
	if (write_parts(f->fd, parts, N_ELEMENTS(parts), f->end) < 0)
		return -1;
	f->end += span;
	return 0;
}

int
messfile_write(int dirfd, const char *name, const unsigned char key[RECORD_KEY],
    uint64_t id, struct str meta, struct str body, struct messfile *f)
{
	memset(f, 0, sizeof(*f));
	f->head.id = id;
	f->head.body_n = body.n;
	randombytes_buf(&f->head.nonce, sizeof(f->head.nonce));
	struct mess_sum sum;
	mess_sum_begin(&sum, key, f->head.nonce);
	mess_sum_add(&sum, body);
	f->head.body_tag = mess_sum_end(&sum);
	f->fd = openat(dirfd, name,
	    O_RDWR | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (f->fd < 0)
		return -1;
	char head[MESS_BODY_AT];
	mess_head_seal(key, &f->head, head);
	f->end = mess_entries_at(&f->head);
	const struct str parts[] = {
		{ .p = head, .n = sizeof(head) },
		body,
		{ .p = padding, .n = (size_t)(f->end - sizeof(head) - body.n) },
	};
	if (write_parts(f->fd, parts, N_ELEMENTS(parts), 0) == 0 &&
	    messfile_append(f, key, MESS_ENVELOPE, meta) == 0)
		return f->fd;
	int saved = errno;
	io_close(&f->fd);
	(void)unlinkat(
	    dirfd, name, 0); /* swept at the next start at the latest */
	errno = saved;
	return -1;
}
