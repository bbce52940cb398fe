/* SPDX-License-Identifier: ISC
 * maildir: contract in maildir.h.
 */
#include "send/maildir.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "common/die.h"
#include "common/io.h"
#include "common/log.h"

/* Measured (ext4, 4 KiB): up to here a sync of each file and directory is
 * quicker, from here on one of the file system: 5600 against 4100 messages a
 * second at 1, 16000 against 20000 at 8, 19000 against 34000 at 64. */
enum { SYNC_EACH_MAX = 4 };

/* The first commit of a process syncs the file system even for one file, for it
 * cannot know whether the directories above are durable.  A sync of each of
 * them instead (file, new/, Maildir, home) was slower in three of four pairs of
 * runs: 10,000 users in turn, 20 locals at a time. */

void
maildir_init(struct maildir *m, int base_fd, struct str host)
{
	m->base_fd = base_fd;
	struct buf b = BUF_ON(m->host);
	mailname_put_host(&b, host);
	m->host_n = b.n;
	m->file_count = m->box_count = 0;
	m->opened = 0;
	m->loaded = NULL;
	m->made = true; /* who knows, see above */
	m->part_made = false;
	m->seen.filled = false;
}

bool
maildir_is_full(const struct maildir *m)
{
	return m->file_count == MAILDIR_FILES || m->box_count == MAILDIR_BOXES;
}

/* ---- writing ---- */

static char *
chunk_space(struct maildir *m)
{
	return m->space + MAILNAME_HEAD;
}

struct str
maildir_load(struct maildir *m, struct maildir_body *body, uint64_t at)
{
	struct str none = { .p = NULL, .n = 0 };
	uint64_t left = at < body->size ? body->size - at : 0;
	size_t n = left < MAILDIR_CHUNK ? (size_t)left : MAILDIR_CHUNK;
	if (m->loaded != body || body->chunk_n != n || body->chunk_at != at) {
		m->loaded = NULL;
		int64_t got = io_pread_all(
		    body->fd, chunk_space(m), n, body->offset + at);
		if (got < 0)
			return none;
		if ((uint64_t)got < n) {
			errno = ENODATA;
			return none;
		}
		m->loaded = body;
		body->chunk_at = at;
		body->chunk_n = n;
	}
	return (struct str){ .p = chunk_space(m), .n = n };
}

/* Head and body into fd; counts the line ends, and tells whether the last line
 * has one.  Whatever fits goes out in one write; the pieces of a large one end
 * at multiples of MAILDIR_CHUNK in the file, so that the page cache keeps them
 * in large folios. */
static int
write_message(struct maildir *m, int fd, struct str head,
    struct maildir_body *body, uint64_t *lines, bool *ended)
{
	uint64_t at = 0;
	*ended = true; /* as the head is */
	do {
		struct str piece = maildir_load(m, body, at);
		if (piece.p == NULL)
			return -1;
		if (at + piece.n < body->size)
			piece = str_head(piece, MAILDIR_CHUNK - head.n);
		*lines += mailname_count_lf(piece);
		at += piece.n;
		if (piece.n > 0)
			*ended = piece.p[piece.n - 1] == '\n';
		if (head.n > 0) {
			char *start = chunk_space(m) - head.n;
			memcpy(start, head.p, head.n);
			piece =
			    (struct str){ .p = start, .n = head.n + piece.n };
			head.n = 0;
		}
		if (io_write_all(fd, piece) < 0)
			return -1;
	} while (at < body->size);
	return 0;
}

/* Ours alone: a lock on the base keeps other deliveries of this user out, so a
 * file of this name is what a crash left. */
static int
create_tmp(int tmp_fd, const char *name)
{
	const int flags = O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW;
	int fd = openat(tmp_fd, name, flags, 0600);
	if (fd >= 0 || errno != EEXIST)
		return fd;
	if (unlinkat(tmp_fd, name, 0) < 0)
		return -1;
	return openat(tmp_fd, name, flags, 0600);
}

static void
name_file(const struct maildir *m, struct maildir_file *f, struct str unique,
    uint64_t wire_size)
{
	struct buf name = BUF_ON(f->name);
	mailname_put(&name, unique,
	    (struct str){ .p = m->host, .n = m->host_n }, f->size, wire_size);
	if (buf_cstr(&name) == NULL)
		bug("a Maildir name does not fit");
}

/* ---- what is there already ---- */

/* Opens a delivered copy so that it can be synced.  1: it is whole; 0: there
 * is none (any more), or a torn one that was removed; -1 with errno. */
static int
adopt(struct maildir_file *f, int dir_fd, const char *name)
{
	int fd = openat(
	    dir_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (fd < 0)
		return errno == ENOENT ? 0 : -1;
	struct stat st;
	if (fstat(fd, &st) < 0) {
		int saved = errno;
		close(fd);
		errno = saved;
		return -1;
	}
	if (!S_ISREG(st.st_mode) || (uint64_t)st.st_size < f->size) {
		close(fd);
		LOG(WARN, "torn-delivery", F_TEXT("file", name),
		    F_NUM("size", st.st_size), F_NUM("wanted", f->size));
		return unlinkat(dir_fd, name, 0);
	}
	f->fd = fd;
	f->found_fd = dir_fd;
	f->box->touched = true;
	return 1;
}

static int
search(struct maildir *m, struct maildir_file *f, struct str unique)
{
	char text[NAME_MAX + 1];
	struct buf name = BUF_ON(text);
	int dir_fd;
	int found = maildir_box_find(m, f->box, unique, &dir_fd, &name);
	if (found <= 0)
		return found;
	const char *cname = buf_cstr(&name);
	return cname == NULL ? 0 : adopt(f, dir_fd, cname);
}

/* ---- adding ---- */

static int
write_tmp(struct maildir *m, struct maildir_file *f, struct str unique,
    struct str head, const struct maildir_message *msg)
{
	f->fd = create_tmp(f->box->tmp_fd, f->tmp_name);
	if (f->fd < 0)
		return -1;
	uint64_t lines = mailname_count_lf(head);
	bool ended;
	if (write_message(m, f->fd, head, msg->body, &lines, &ended) < 0) {
		int saved = errno;
		close(f->fd);
		(void)unlinkat(f->box->tmp_fd, f->tmp_name, 0);
		errno = saved;
		return -1;
	}
	name_file(m, f, unique, ended ? f->size + lines : 0);
	/* while the next one is copied; write_out hears of what goes wrong */
	if (f->size >= MAILDIR_LARGE)
		(void)sync_file_range(f->fd, 0, 0, SYNC_FILE_RANGE_WRITE);
	return 0;
}

bool
maildir_is_pending(
    const struct maildir *m, struct str path, const struct maildir_message *msg)
{
	char text[MAILNAME_UNIQUE];
	struct buf unique = BUF_ON(text);
	mailname_put_unique(&unique, msg->id, msg->recipient);
	for (size_t i = 0; i < m->file_count; i++) {
		const struct maildir_file *f = &m->files[i];
		if (f->id != msg->id)
			continue;
		struct str other = { .p = f->box->path, .n = f->box->path_n };
		if (str_eq(other, path) &&
		    str_eq(str_of(f->tmp_name), buf_str(&unique)))
			return true;
	}
	return false;
}

int
maildir_add(struct maildir *m, struct str path,
    const struct maildir_message *msg, unsigned tag)
{
	if (maildir_is_full(m))
		bug("maildir_add without maildir_commit");
	struct maildir_file *f = &m->files[m->file_count];
	*f = (struct maildir_file){
		.tag = tag, .id = msg->id, .fd = -1, .found_fd = -1
	};
	struct buf unique = BUF_ON(f->tmp_name);
	mailname_put_unique(&unique, msg->id, msg->recipient);
	char head_text[MAILNAME_HEAD];
	struct buf head = BUF_ON(head_text);
	mailname_put_head(&head, msg->sender, msg->recipient);
	if (buf_cstr(&unique) == NULL || head.full) {
		errno = ENAMETOOLONG;
		return -1;
	}
	f->size = head.n + msg->body->size;
	f->box = maildir_box_open(m, path);
	if (f->box == NULL)
		return -1;
	int found = msg->search ? search(m, f, buf_str(&unique)) : 0;
	if (found < 0)
		return -1;
	if (found == 0 &&
	    write_tmp(m, f, buf_str(&unique), buf_str(&head), msg) < 0)
		return -1;
	m->file_count++;
	return 0;
}

/* ---- commit ---- */

static bool
is_fresh(const struct maildir_file *f)
{
	return f->error == 0 && f->found_fd < 0;
}

/* All data to the disk and waited for, before any of it gets its name. */
static void
write_out(struct maildir *m)
{
	for (size_t i = 0; m->file_count > 1 && i < m->file_count; i++)
		if (is_fresh(&m->files[i]))
			(void)sync_file_range(
			    m->files[i].fd, 0, 0, SYNC_FILE_RANGE_WRITE);
	for (size_t i = 0; i < m->file_count; i++)
		if (is_fresh(&m->files[i]) && io_write_out(m->files[i].fd) < 0)
			m->files[i].error = errno;
}

static int
move(const struct maildir_file *f)
{
	const struct maildir_box *box = f->box;
	if (renameat2(box->tmp_fd, f->tmp_name, box->new_fd, f->name,
		RENAME_NOREPLACE) == 0)
		return 0;
	if (errno != EINVAL && errno != ENOSYS)
		return -1;
	/* a file system without RENAME_NOREPLACE */
	if (linkat(box->tmp_fd, f->tmp_name, box->new_fd, f->name, 0) < 0)
		return -1;
	return unlinkat(box->tmp_fd, f->tmp_name, 0);
}

static int
publish(struct maildir *m, struct maildir_file *f)
{
	int moved = move(f);
	if (moved < 0 && errno == EEXIST) {
		int fd = f->fd;
		int adopted = adopt(f, f->box->new_fd, f->name);
		if (adopted < 0)
			return -1;
		if (adopted == 1) {
			(void)unlinkat(f->box->tmp_fd, f->tmp_name, 0);
			close(fd);
			return 0;
		}
		moved = move(f);
	}
	if (moved < 0)
		return -1;
	f->published = true;
	f->box->touched = true;
	maildir_box_delivered(m, f->box, str_of(f->name));
	return 0;
}

static void
fail_box(struct maildir *m, const struct maildir_box *box, int error)
{
	for (size_t i = 0; i < m->file_count; i++)
		if (m->files[i].box == box && m->files[i].error == 0)
			m->files[i].error = error;
}

static void
sync_each(struct maildir *m)
{
	for (size_t i = 0; i < m->file_count; i++)
		if (m->files[i].error == 0 && fsync(m->files[i].fd) < 0)
			m->files[i].error = errno;
	for (size_t i = 0; i < m->box_count; i++) {
		struct maildir_box *box = &m->boxes[i];
		if (box->touched &&
		    (fsync(box->new_fd) < 0 ||
			(box->cur_fd >= 0 && fsync(box->cur_fd) < 0)))
			fail_box(m, box, errno);
	}
}

/* One sync for each file system that boxes lie on. */
static void
sync_all(struct maildir *m)
{
	bool failed = false;
	for (size_t i = 0; i < m->box_count; i++)
		m->boxes[i].touched = m->boxes[i].touched || m->made;
	for (size_t i = 0; i < m->box_count; i++) {
		struct maildir_box *box = &m->boxes[i];
		if (!box->touched)
			continue;
		int error = syncfs(box->new_fd) < 0 ? errno : 0;
		for (size_t k = i; k < m->box_count; k++) {
			struct maildir_box *other = &m->boxes[k];
			if (other->device != box->device)
				continue;
			if (error != 0)
				fail_box(m, other, error);
			other->touched = false;
		}
		failed = failed || error != 0;
	}
	m->made = failed || m->part_made;
}

/* What failed leaves nothing behind that a second delivery could take for done
 * (what was found in place is left: it is not ours to remove). */
static void
finish_file(struct maildir_file *f)
{
	if (close(f->fd) < 0 && f->error == 0 && f->found_fd < 0)
		f->error = errno;
	if (f->error == 0 || f->found_fd >= 0)
		return;
	int dir_fd = f->published ? f->box->new_fd : f->box->tmp_fd;
	if (unlinkat(dir_fd, f->published ? f->name : f->tmp_name, 0) < 0)
		LOG(WARN, "leftover", F_TEXT("file", f->name), F_ERRNO(errno));
}

void
maildir_commit(struct maildir *m,
    void (*done)(void *arg, unsigned tag, int error), void *arg)
{
	if (m->file_count == 0 && m->box_count == 0)
		return;
	write_out(m);
	for (size_t i = 0; i < m->file_count; i++) {
		struct maildir_file *f = &m->files[i];
		if (is_fresh(f) && publish(m, f) < 0)
			f->error = errno;
	}
	if (m->file_count <= SYNC_EACH_MAX && !m->made)
		sync_each(m);
	else
		sync_all(m);
	for (size_t i = 0; i < m->file_count; i++)
		finish_file(&m->files[i]);
	for (size_t i = 0; i < m->box_count; i++)
		maildir_box_close(&m->boxes[i]);
	size_t count = m->file_count;
	m->file_count = m->box_count = 0;
	for (size_t i = 0; i < count; i++)
		done(arg, m->files[i].tag, m->files[i].error);
}

const char *
maildir_text(int error)
{
	switch (error) {
	case EDQUOT:
		return "4.2.2 mailbox is over its quota";
	case ENOSPC:
		return "4.3.1 no space left on the mailbox's disk";
	case EFBIG:
		return "4.3.1 message is larger than the mailbox's limit";
	case ELOOP:
		return "4.2.1 a symbolic link in the mailbox's path is not "
		       "followed";
	case ENOTDIR:
		return "4.2.1 a part of the mailbox's path is no directory";
	case EACCES:
	case EPERM:
	case EROFS:
		return "4.2.1 the mailbox's owner may not write to it";
	case ENAMETOOLONG:
		return "4.2.1 the mailbox's path is too long";
	case ENODATA:
		return "4.3.0 the queue gave less of the message than it said";
	case EIO:
		return "4.3.0 input/output error in the mailbox";
	default:
		return "4.3.0 the mailbox cannot be written for now";
	}
}
