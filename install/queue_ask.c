/* SPDX-License-Identifier: ISC
 * queue_ask: contract in queue_ask.h.
 */
#include "install/queue_ask.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "common/exitcode.h"
#include "common/io.h"
#include "install/localsocket.h"

enum { ASK_MS = 30000, TEXT_MAX = 1200, QUESTION_MAX = 4096 };

static int sock = -1;
static char storage[PACKET_MAX];

int
queue_ask_failed(void)
{
	if (errno == EACCES && geteuid() == 0)
		fputs("postern queue: qmgr has closed the connection: too many "
		      "ask at once, or it has just died; try again\n",
		    stderr);
	else if (errno == EACCES || errno == EPERM)
		fputs("postern queue: only root, or the user who runs the "
		      "suite, may look at the queue: run it so\n",
		    stderr);
	else if (errno == ENOENT || errno == ECONNREFUSED)
		fprintf(stderr,
		    "postern queue: run/qmgr: %s: the suite does not run: see "
		    "postern status\n",
		    strerror(errno));
	else if (errno == ETIMEDOUT)
		fputs("postern queue: qmgr does not answer yet; after a start "
		      "it reads the whole queue first: try again, or see "
		      "postern status\n",
		    stderr);
	else
		fprintf(
		    stderr, "postern queue: run/qmgr: %s\n", strerror(errno));
	return EXITCODE_TEMPORARY;
}

int
queue_ask_open(void)
{
	sock = localsocket_connect("qmgr");
	return sock < 0 ? queue_ask_failed() : EXITCODE_DONE;
}

void
queue_ask_close(void)
{
	io_close(&sock);
}

/* Sends the question; *p is the answer, of type `wanted`, and *fd (may be NULL)
 * its descriptor or -1.  False: none came (errno). */
static bool
ask(const struct buf *question, char wanted, struct packet *p, int *fd)
{
	struct str bytes;
	int fds[PACKET_FDS];
	size_t nfds;

	if (packet_send(sock, buf_str(question), NULL, 0) < 0) {
		/* closed at once: we are not the one it obeys */
		errno = errno == EPIPE ? EACCES : errno;
		return false;
	}
	int ready = io_wait(sock, false, ASK_MS);
	if (ready <= 0) {
		errno = ready == 0 ? ETIMEDOUT : errno;
		return false;
	}
	int n =
	    packet_recv(sock, storage, sizeof(storage), 0, &bytes, fds, &nfds);
	if (n <= 0) {
		errno = n == 0 || errno == ECONNRESET ? EACCES : errno;
		return false;
	}
	*p = packet_open(bytes);
	if (fd != NULL && nfds > 0) {
		*fd = fds[0];
		fds[0] = -1;
	}
	packet_close_fds(fds, nfds);
	if (p->type == wanted)
		return true;
	errno = EPROTO;
	return false;
}

static bool
broken(void)
{
	errno = EPROTO;
	return false;
}

static void
read_row(struct packet *p, struct queue_row *r)
{
	r->id = packet_get_u64(p);
	r->birth = (int64_t)packet_get_u64(p);
	r->size = packet_get_u64(p);
	r->sender = packet_get_str(p, TEXT_MAX);
	r->idx = packet_get_u32(p);
	r->address = packet_get_str(p, TEXT_MAX);
	r->state = (char)packet_get_u8(p);
	r->attempts = packet_get_u8(p);
	r->due = (int64_t)packet_get_u64(p);
	r->text = packet_get_str(p, TEXT_MAX);
}

int
queue_ask_rows(const struct selection *s,
    bool (*each)(void *arg, const struct queue_row *),
    void (*looked_at)(uint64_t at, uint64_t end), void *arg)
{
	uint64_t cursor = 0;

	do {
		char space[QUESTION_MAX];
		struct buf question = BUF_ON(space);
		struct packet p;

		packet_begin(&question, 'L');
		packet_u64(&question, cursor);
		selection_put(&question, s);
		if (!ask(&question, 'l', &p, NULL))
			return -1;
		cursor = packet_get_u64(&p);
		uint32_t at = packet_get_u32(&p);
		uint32_t end = packet_get_u32(&p);
		uint32_t n = packet_get_u32(&p);
		for (uint32_t i = 0; i < n; i++) {
			struct queue_row row;
			read_row(&p, &row);
			if (p.bad)
				break;
			if (!each(arg, &row))
				return 0;
		}
		if (!packet_end(&p)) {
			(void)broken();
			return -1;
		}
		if (looked_at != NULL)
			looked_at(at, end);
	} while (cursor != 0);
	return 0;
}

int
queue_ask_order(char verb, bool dry, uint64_t most, const struct selection *s,
    struct str text, void (*looked_at)(uint64_t at, uint64_t end),
    struct queue_obeyed *sum)
{
	uint64_t cursor = 0;
	uint64_t done = 0;

	do {
		char space[QUESTION_MAX];
		struct buf question = BUF_ON(space);
		struct packet p;

		packet_begin(&question, 'A');
		packet_u8(&question, (uint8_t)verb);
		packet_u8(&question, dry);
		packet_u64(&question, cursor);
		packet_u32(&question, most == 0 ? 0 : (uint32_t)(most - done));
		selection_put(&question, s);
		packet_str(&question, text);
		if (!ask(&question, 'a', &p, NULL))
			return -1;
		cursor = packet_get_u64(&p);
		uint32_t at = packet_get_u32(&p);
		uint32_t end = packet_get_u32(&p);
		uint32_t messages = packet_get_u32(&p);
		sum->rcpts += packet_get_u32(&p);
		sum->flying += packet_get_u32(&p);
		if (!packet_end(&p)) {
			(void)broken();
			return -1;
		}
		sum->messages += messages;
		done += messages;
		if (looked_at != NULL)
			looked_at(at, end);
	} while (cursor != 0 && (most == 0 || done < most));
	return 0;
}

char
queue_ask_body(
    uint64_t id, int *fd, uint64_t *offset, uint64_t *size, struct str *why)
{
	char space[16];
	struct buf question = BUF_ON(space);
	struct packet p;

	*fd = -1;
	packet_begin(&question, 'B');
	packet_u64(&question, id);
	if (!ask(&question, 'b', &p, fd))
		return '\0';
	char verdict = (char)packet_get_u8(&p);
	*offset = packet_get_u64(&p);
	*size = packet_get_u64(&p);
	*why = packet_get_str(&p, TEXT_MAX);
	if (packet_end(&p) && (verdict == 'K') == (*fd >= 0))
		return verdict;
	io_close(fd);
	(void)broken();
	return '\0';
}

int
queue_ask_settle(uint64_t *bound, uint64_t *left)
{
	char space[16];
	struct buf question = BUF_ON(space);
	struct packet p;

	packet_begin(&question, 'F');
	packet_u64(&question, *bound);
	if (!ask(&question, 'f', &p, NULL))
		return -1;
	*bound = packet_get_u64(&p);
	*left = packet_get_u64(&p);
	return packet_end(&p) || broken() ? 0 : -1;
}
