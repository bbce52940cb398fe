/* SPDX-License-Identifier: ISC
 * maildrop: contract in maildrop.h.  Opening is in maildir.c.
 */
#include "pop3d/maildrop.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "common/io.h"
#include "pop3d/maildir.h"
#include "pop3d/name.h"
#include "pop3d/wire.h"

bool
maildrop_has(const struct maildrop *m, uint32_t i)
{
	return i < m->count && !m->messages[i].deleted && !m->messages[i].gone;
}

static const char *
file_name(const struct maildrop *m, uint32_t i)
{
	return m->names.p + m->messages[i].name;
}

static struct str
name_of(const struct maildrop *m, uint32_t i)
{
	return (struct str){ .p = file_name(m, i), .n = m->messages[i].name_n };
}

/* Does `act` on the message's file; when the file is not there any more, looks
 * where it went and tries once again.  What act returns, or -1 with errno. */
static int
at_file(struct maildrop *m, uint32_t i,
    int (*act)(struct maildrop *, uint32_t, int folder_fd, const char *name))
{
	struct maildrop_message *msg = &m->messages[i];

	if (!msg->gone) {
		int r = act(m, i, m->folder_fd[msg->folder], file_name(m, i));
		if (r >= 0 || errno != ENOENT)
			return r;
		if (maildir_relocate(m) != 0)
			return -1;
	}
	if (msg->gone) {
		errno = ENOENT;
		return -1;
	}
	int r = act(m, i, m->folder_fd[msg->folder], file_name(m, i));
	if (r < 0 && errno == ENOENT)
		msg->gone = true;
	return r;
}

static int
act_open(struct maildrop *m, uint32_t i, int folder_fd, const char *name)
{
	(void)m;
	(void)i;
	return openat(folder_fd, name,
	    O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
}

int
maildrop_message(struct maildrop *m, uint32_t i)
{
	return at_file(m, i, act_open);
}

static int
measure(struct maildrop *m, int fd, uint64_t *octets)
{
	struct wire w = wire_begin();

	for (;;) {
		ssize_t n = read(fd, m->scratch, MAILDROP_SCRATCH);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -1;
		if (n == 0)
			break;
		wire_measure(
		    &w, (struct str){ .p = m->scratch, .n = (size_t)n });
	}
	*octets = wire_octets(&w);
	return 0;
}

bool
maildrop_octets(struct maildrop *m, uint32_t i, uint64_t *octets)
{
	struct maildrop_message *msg = &m->messages[i];

	if (msg->gone)
		return false;
	if (msg->octets == MAILDROP_UNKNOWN) {
		uint64_t v;
		int fd = maildrop_message(m, i);
		if (fd < 0)
			return false;
		int r = measure(m, fd, &v);
		close(fd);
		if (r != 0)
			return false;
		msg->octets = v;
	}
	*octets = msg->octets;
	return true;
}

void
maildrop_correct(struct maildrop *m, uint32_t i, uint64_t octets)
{
	m->messages[i].octets = octets;
}

bool
maildrop_stated(const struct maildrop *m, uint32_t i, uint64_t *octets)
{
	return name_file_octets(name_of(m, i), octets);
}

void
maildrop_put_uid(const struct maildrop *m, uint32_t i, struct buf *b)
{
	struct str name = name_of(m, i);

	if (m->messages[i].twin)
		name_put_hash(b, name);
	else
		name_put_uid(b, str_head(name, m->messages[i].unique_n));
}

void
maildrop_delete(struct maildrop *m, uint32_t i)
{
	m->messages[i].deleted = true;
}

void
maildrop_retrieved(struct maildrop *m, uint32_t i)
{
	m->messages[i].retrieved = true;
}

void
maildrop_reset(struct maildrop *m)
{
	for (uint32_t i = 0; i < m->count; i++)
		m->messages[i].deleted = false;
}

/* ---- UPDATE ---- */

static int
act_remove(struct maildrop *m, uint32_t i, int folder_fd, const char *name)
{
	(void)m;
	(void)i;
	return unlinkat(folder_fd, name, 0);
}

/* A name that is taken in cur/ is never replaced. */
static int
move_to_cur(struct maildrop *m, uint32_t i)
{
	char text[NAME_MAX + 1];
	struct buf name = BUF_ON(text);

	buf_put(&name, str_head(name_of(m, i), m->messages[i].unique_n));
	buf_put(&name, STR(":2,S"));
	const char *to = buf_cstr(&name);
	if (to == NULL) {
		errno = ENAMETOOLONG;
		return -1;
	}
	return renameat2(m->folder_fd[MAILDROP_NEW], file_name(m, i),
	    m->folder_fd[MAILDROP_CUR], to, RENAME_NOREPLACE);
}

static void
update_one(
    struct maildrop *m, uint32_t i, bool touched[2], struct maildrop_result *r)
{
	struct maildrop_message *msg = &m->messages[i];

	if (msg->deleted) {
		if (at_file(m, i, act_remove) == 0) {
			touched[msg->folder] = true;
			r->deleted++;
		} else if (!msg->gone) {
			r->failed++;
			r->error = errno;
		}
	} else if (msg->retrieved && !msg->gone &&
		   msg->folder == MAILDROP_NEW && !msg->twin) {
		/* best effort: where it stays in new/ it is still mail */
		if (move_to_cur(m, i) == 0)
			r->moved++;
	}
}

struct maildrop_result
maildrop_update(struct maildrop *m)
{
	struct maildrop_result r = { 0 };
	bool touched[2] = { false, false };

	for (uint32_t i = 0; i < m->count; i++)
		update_one(m, i, touched, &r);
	for (int f = MAILDROP_NEW; f <= MAILDROP_CUR; f++) {
		if (touched[f] && fsync(m->folder_fd[f]) != 0) {
			r.failed += r.deleted;
			r.error = errno;
		}
	}
	return r;
}

void
maildrop_unlock(struct maildrop *m)
{
	io_close(&m->lock_fd);
}
