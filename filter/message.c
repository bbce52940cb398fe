/* SPDX-License-Identifier: ISC
 * message: contract in message.h.
 */
#include "filter/message.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include "common/io.h"
#include "common/log.h"
#include "queue/envelope.h"

static const char no_memory[] =
    "4.3.1 Too much mail at a time, try again later";
static const char no_file[] = "4.3.0 Message cannot be kept, try again later";
static const char too_large[] = "5.3.4 Message too big";
static const char bad_sender[] = "5.1.7 Bad sender address";
static const char bad_recipient[] = "5.1.3 Bad recipient address";
static const char too_many[] = "4.5.3 Too many recipients";
static const char incomplete[] = "5.5.1 Message without sender or recipient";

enum {
	ROOM_FIRST = 512,     /* of recipients; doubles */
	MEMORY_KEPT = 1 << 20 /* for what is read ahead: no message has it */
};

static uint64_t in_use, memory_limit, body_limit;
static struct arrivals arrivals;

void
message_limit(uint64_t memory, uint64_t body)
{
	memory_limit = memory;
	body_limit = body;
}

/* Those who dawdle give way to those who do not. */
static bool
make_room(size_t n)
{
	struct arrival *a;

	while (in_use + n > memory_limit &&
	       (a = arrivals_dawdler(&arrivals)) != NULL) {
		LOG(WARN, "stalled", F_NUM("refused", 1),
		    F_NUM("memory", in_use));
		message_refuse((struct message *)(void *)a, 'Z', no_memory);
	}
	return in_use + n <= memory_limit;
}

static bool
take(size_t n)
{
	if (!make_room(n))
		return false;
	in_use += n;
	return true;
}

char *
message_keep(struct str bytes)
{
	if (!take(bytes.n))
		return NULL;
	char *p = malloc(bytes.n);
	if (p != NULL)
		memcpy(p, bytes.p, bytes.n);
	else
		in_use -= bytes.n;
	return p;
}

void
message_drop(char *p, size_t n)
{
	if (p != NULL)
		in_use -= n;
	free(p);
}

static bool
count(struct message *m, size_t n)
{
	if (m->counted + n > memory_limit - MEMORY_KEPT) {
		message_refuse(m, 'D', too_large); /* however often it comes */
		return false;
	}
	bool taken = take(n);

	/* m itself may have had to give way */
	if (taken && m->verdict == 'K') {
		m->counted += n;
		return true;
	}
	if (taken)
		in_use -= n;
	message_refuse(m, 'Z', no_memory);
	return false;
}

/* ---- life ---- */

struct message *
message_new(void)
{
	struct message *m = malloc(sizeof(*m));

	if (m == NULL)
		return NULL;
	memset(m, 0, offsetof(struct message, sender));
	m->verdict = 'K';
	m->body_fd = m->envelope_fd = -1;
	arrivals_begin(&arrivals, &m->arrival);
	return m;
}

void
message_let_go(struct message *m)
{
	io_close(&m->body_fd);
	io_close(&m->envelope_fd);
}

static void
forget(struct message *m)
{
	arrivals_end(&arrivals, &m->arrival);
	message_let_go(m);
	free(m->recipients);
	m->recipients = NULL;
	m->recipients_n = m->recipients_cap = 0;
	in_use -= m->counted;
	m->counted = 0;
}

void
message_free(struct message *m)
{
	if (m == NULL)
		return;
	forget(m);
	free(m);
}

void
message_refuse(struct message *m, char verdict, const char *why)
{
	if (m->verdict != 'K')
		return;
	m->verdict = verdict;
	m->why = why;
	forget(m);
}

/* ---- envelope ---- */

void
message_sender(struct message *m, struct str sender)
{
	if (m->verdict != 'K')
		return;
	if (m->has_sender || sender.n > sizeof(m->sender) ||
	    !envelope_sender_ok(sender)) {
		message_refuse(m, 'D', bad_sender);
		return;
	}
	m->has_sender = true;
	m->sender_n = (uint16_t)sender.n;
	memcpy(m->sender, sender.p, sender.n);
}

/* Where n more bytes go; NULL: refused. */
static char *
room_for(struct message *m, size_t n)
{
	size_t cap = m->recipients_cap;

	if (cap - m->recipients_n >= n)
		return m->recipients + m->recipients_n;
	size_t more = cap == 0 ? ROOM_FIRST : cap;
	if (!count(m, more))
		return NULL;
	char *p = realloc(m->recipients, cap + more);
	if (p == NULL) {
		message_refuse(m, 'Z', no_memory);
		return NULL;
	}
	m->recipients = p;
	m->recipients_cap = cap + more;
	return p + m->recipients_n;
}

void
message_recipient(struct message *m, struct str address)
{
	char text[LIMIT_ADDRESS + 2];
	struct buf b = BUF_ON(text);

	if (m->verdict != 'K')
		return;
	buf_putc(&b, 'T');
	buf_put(&b, address);
	buf_putc(&b, '\0');
	if (b.full || !envelope_recipient_ok(address))
		message_refuse(m, 'D', bad_recipient);
	else if (m->recipient_count == LIMIT_RECIPIENTS)
		message_refuse(m, 'Z', too_many);
	char *to = m->verdict == 'K' ? room_for(m, buf_str(&b).n) : NULL;
	if (to == NULL)
		return;
	memcpy(to, text, buf_str(&b).n);
	m->recipients_n += buf_str(&b).n;
	m->recipient_count++;
}

/* ---- body ---- */

static bool
open_file(struct message *m, int *fd, const char *name)
{
	if (*fd < 0)
		*fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (*fd >= 0)
		return true;
	LOG(ERROR, "memfd", F_ERRNO(errno));
	message_refuse(m, 'Z', no_file);
	return false;
}

/* The offset, which a program shares, stays at 0. */
static bool
write_at(struct message *m, int fd, struct str bytes, uint64_t at)
{
	if (io_pwrite_all(fd, bytes, at) == 0)
		return true;
	LOG(ERROR, "memfd", F_ERRNO(errno));
	message_refuse(m, 'Z', no_file);
	return false;
}

void
message_body(struct message *m, struct str bytes)
{
	if (m->verdict != 'K')
		return;
	if (body_limit != 0 && m->size + bytes.n > body_limit) {
		message_refuse(m, 'D', too_large);
		return;
	}
	if (!count(m, bytes.n) || !open_file(m, &m->body_fd, "message") ||
	    !write_at(m, m->body_fd, bytes, m->size))
		return;
	m->size += bytes.n;
}

/* ---- the end ---- */

static bool
seal(struct message *m, int fd)
{
	if (fcntl(fd, F_ADD_SEALS,
		F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) == 0)
		return true;
	LOG(ERROR, "memfd", F_ERRNO(errno));
	message_refuse(m, 'Z', no_file);
	return false;
}

static bool
write_envelope(struct message *m)
{
	char text[LIMIT_ADDRESS + 2];
	struct buf b = BUF_ON(text);
	struct str recipients = { .p = m->recipients, .n = m->recipients_n };

	buf_putc(&b, 'F');
	buf_put(&b, (struct str){ .p = m->sender, .n = m->sender_n });
	buf_putc(&b, '\0');
	uint64_t at = buf_str(&b).n;
	/* the envelope ends by one more NUL */
	return open_file(m, &m->envelope_fd, "envelope") &&
	       write_at(m, m->envelope_fd, buf_str(&b), 0) &&
	       write_at(m, m->envelope_fd, recipients, at) &&
	       write_at(m, m->envelope_fd, (struct str){ .p = "", .n = 1 },
		   at + recipients.n);
}

bool
message_close(struct message *m)
{
	if (m->verdict != 'K')
		return false;
	if (!m->has_sender || m->recipient_count == 0) {
		message_refuse(m, 'D', incomplete);
		return false;
	}
	if (!open_file(m, &m->body_fd, "message") || !write_envelope(m) ||
	    !seal(m, m->body_fd) || !seal(m, m->envelope_fd))
		return false;
	arrivals_end(&arrivals, &m->arrival);
	free(m->recipients);
	m->recipients = NULL;
	return true;
}
