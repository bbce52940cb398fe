/* SPDX-License-Identifier: ISC
 * `postern queue`: what waits, why, and orders about it.  Run by root (or the
 * one user of a one-user suite); asks qmgr at run/qmgr (INTERNALS.md, "Ask:
 * qmgr").  queue_view.c prints what it answers.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "common/clock.h"
#include "common/exitcode.h"
#include "common/io.h"
#include "common/packet.h"
#include "install/cli.h"
#include "install/localsocket.h"
#include "install/queue_view.h"

enum {
	ASK_MS = 15000,
	GONE_TRIES = 50, /* a fifth of a second each */
	TEXT_MAX = 1200
};

static const char help[] =
    "usage: postern queue list [--json] [ID ...]\n"
    "       postern queue show ID ...\n"
    "       postern queue cat ID\n"
    "       postern queue retry ID ... | --all\n"
    "       postern queue delete ID ... | --all\n"
    "\n"
    "list    what waits: age, attempts, next attempt, and why\n"
    "show    everything known of a message\n"
    "cat     the message itself\n"
    "retry   try now, held messages too\n"
    "delete  remove without a bounce; final once it returns\n"
    "\n"
    "An ID has 16 hexadecimal digits, as in the log (qid=).  Exit status: 0\n"
    "done, 100 wrong usage or no such message, 111 the suite does not "
    "answer.\n";

static int sock = -1;
static char storage[PACKET_MAX];

static int
usage(void)
{
	fputs(help, stderr);
	return EXITCODE_PERMANENT;
}

static int
away(const char *what)
{
	fprintf(stderr, "postern queue: %s: %s\n", what, strerror(errno));
	return EXITCODE_TEMPORARY;
}

static int
unknown(const char *id)
{
	fprintf(stderr, "postern queue: no message %s in the queue\n", id);
	return EXITCODE_PERMANENT;
}

/* ---- asking ---- */

static int
connect_qmgr(void)
{
	sock = localsocket_connect("qmgr");
	return sock < 0 ? away("run/qmgr") : EXITCODE_DONE;
}

/* Sends the question; *p is the answer, of type `wanted`, and *fd (may be NULL)
 * its descriptor or -1.  False: none came (errno). */
static bool
ask(const struct buf *question, char wanted, struct packet *p, int *fd)
{
	struct str bytes;
	int fds[PACKET_FDS];
	size_t nfds;

	if (packet_send(sock, buf_str(question), NULL, 0) < 0)
		return false;
	int ready = io_wait(sock, false, ASK_MS);
	if (ready <= 0) {
		errno = ready == 0 ? ETIMEDOUT : errno;
		return false;
	}
	int n =
	    packet_recv(sock, storage, sizeof(storage), 0, &bytes, fds, &nfds);
	if (n <= 0) {
		/* closed without an answer: we are not the one it obeys */
		errno = n == 0 ? EACCES : errno;
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
ask_about(char type, uint64_t id, char wanted, struct packet *p, int *fd)
{
	char space[16];
	struct buf question = BUF_ON(space);

	packet_begin(&question, type);
	packet_u64(&question, id);
	return ask(&question, wanted, p, fd);
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

/* Fetches the rows of one message, or (0) of all.  False: no answer. */
static bool
fetch(uint64_t id)
{
	uint32_t cursor = 0;

	do {
		char space[32];
		struct buf question = BUF_ON(space);
		struct packet p;

		packet_begin(&question, 'L');
		packet_u32(&question, cursor);
		packet_u64(&question, id);
		if (!ask(&question, 'l', &p, NULL))
			return false;
		cursor = packet_get_u32(&p);
		uint32_t n = packet_get_u32(&p);
		for (uint32_t i = 0; i < n && !p.bad; i++) {
			struct queue_row row;
			read_row(&p, &row);
			if (!p.bad && !queue_view_add(&row))
				return false;
		}
		if (!packet_end(&p)) {
			errno = EPROTO;
			return false;
		}
	} while (cursor != 0);
	return true;
}

/* ---- subcommands ---- */

static bool
read_id(const char *arg, uint64_t *id)
{
	if (str_hex64(str_of(arg), id) && *id != 0)
		return true;
	fprintf(stderr,
	    "postern queue: %s is no queue id (16 hexadecimal digits)\n", arg);
	return false;
}

/* Asks for these messages; *code tells of unknown ones.  False: no use to go
 * on. */
static bool
fetch_named(int argc, char **argv, int *code)
{
	for (int i = 0; i < argc; i++) {
		uint64_t id;
		size_t before = queue_view_count();

		if (!read_id(argv[i], &id)) {
			*code = EXITCODE_PERMANENT;
			return false;
		}
		if (!fetch(id)) {
			*code = away("qmgr");
			return false;
		}
		if (queue_view_count() == before)
			*code = unknown(argv[i]);
	}
	return true;
}

static int
list(int argc, char **argv)
{
	bool json = argc > 0 && strcmp(argv[0], "--json") == 0;
	int code = EXITCODE_DONE;

	if (json) {
		argc--;
		argv++;
	}
	if (argc == 0 && !fetch(0))
		return away("qmgr");
	if (!fetch_named(argc, argv, &code))
		return code;
	if (json)
		queue_view_json();
	else
		queue_view_table(clock_now());
	return code;
}

static int
show(int argc, char **argv)
{
	int code = EXITCODE_DONE;

	if (argc == 0)
		return usage();
	if (!fetch_named(argc, argv, &code))
		return code;
	queue_view_details(clock_now());
	return code;
}

static int
copy_body(int fd, uint64_t offset, uint64_t size)
{
	while (size > 0) {
		size_t most =
		    size < sizeof(storage) ? (size_t)size : sizeof(storage);
		int64_t n = io_pread_all(fd, storage, most, offset);

		if (n <= 0)
			return away("the message");
		struct str part = { .p = storage, .n = (size_t)n };
		if (io_write_all(STDOUT_FILENO, part) < 0)
			return away("standard output");
		offset += (uint64_t)n;
		size -= (uint64_t)n;
	}
	return EXITCODE_DONE;
}

static int
cat(int argc, char **argv)
{
	uint64_t id;
	struct packet p;
	int fd = -1;

	if (argc != 1)
		return usage();
	if (!read_id(argv[0], &id))
		return EXITCODE_PERMANENT;
	if (!ask_about('B', id, 'b', &p, &fd))
		return away("qmgr");
	char verdict = (char)packet_get_u8(&p);
	uint64_t offset = packet_get_u64(&p);
	uint64_t size = packet_get_u64(&p);
	struct str text = packet_get_str(&p, TEXT_MAX);
	if (!packet_end(&p) || (verdict == 'K' && fd < 0)) {
		errno = EPROTO;
		return away("qmgr");
	}
	if (verdict == 'D')
		return unknown(argv[0]);
	if (verdict != 'K') {
		fprintf(stderr, "postern queue: %.*s\n", (int)text.n, text.p);
		return EXITCODE_TEMPORARY;
	}
	int code = copy_body(fd, offset, size);
	io_close(&fd);
	return code;
}

static int
retry(const char *arg, uint64_t id)
{
	struct packet p;

	if (!ask_about('T', id, 't', &p, NULL))
		return away("qmgr");
	bool known = packet_get_u8(&p) != 0;
	uint32_t n = packet_get_u32(&p);
	if (!known)
		return unknown(arg);
	printf("%u recipient%s tried now\n", n, n == 1 ? "" : "s");
	return EXITCODE_DONE;
}

/* Waits until a message with recipients in flight is gone. */
static int
wait_gone(uint64_t id)
{
	for (int i = 0; i < GONE_TRIES; i++) {
		queue_view_clear();
		if (!fetch(id))
			return away("qmgr");
		if (queue_view_count() == 0)
			return EXITCODE_DONE;
		if (usleep(200000) < 0 && errno != EINTR)
			return away("usleep");
	}
	fputs("postern queue: an attempt is still under way; the message goes "
	      "when that ends\n",
	    stderr);
	return EXITCODE_TEMPORARY;
}

static int delete (const char *arg, uint64_t id)
{
	struct packet p;

	if (!ask_about('D', id, 'd', &p, NULL))
		return away("qmgr");
	bool known = packet_get_u8(&p) != 0;
	uint32_t removed = packet_get_u32(&p);
	uint32_t flying = packet_get_u32(&p);
	if (!known)
		return unknown(arg);
	printf("%u recipient%s removed\n", removed, removed == 1 ? "" : "s");
	if (flying > 0)
		printf(
		    "%u being delivered now: removed if that fails\n", flying);
	return flying > 0 && id != 0 ? wait_gone(id) : EXITCODE_DONE;
}

/* Gives the order for each ID, or for all. */
static int
order(int argc, char **argv, int (*give)(const char *arg, uint64_t id))
{
	int code = EXITCODE_DONE;

	if (argc == 0)
		return usage();
	if (argc == 1 && strcmp(argv[0], "--all") == 0)
		return give("--all", 0);
	for (int i = 0; i < argc; i++) {
		uint64_t id;

		if (!read_id(argv[i], &id))
			return EXITCODE_PERMANENT;
		int one = give(argv[i], id);
		code = one > code ? one : code;
	}
	return code;
}

static int
order_retry(int argc, char **argv)
{
	return order(argc, argv, retry);
}

static int
order_delete(int argc, char **argv)
{
	return order(argc, argv, delete);
}

int
cli_queue(int argc, char **argv)
{
	static const struct {
		const char *name;
		int (*run)(int argc, char **argv);
	} subs[] = {
		{ "list", list },
		{ "show", show },
		{ "cat", cat },
		{ "retry", order_retry },
		{ "delete", order_delete },
	};

	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--help") == 0) {
			fputs(help, stdout);
			return EXITCODE_DONE;
		}
	}
	for (size_t i = 0; argc > 1 && i < N_ELEMENTS(subs); i++) {
		if (strcmp(argv[1], subs[i].name) != 0)
			continue;
		int code = connect_qmgr();
		if (code == EXITCODE_DONE)
			code = subs[i].run(argc - 2, argv + 2);
		io_close(&sock);
		if (fflush(stdout) != 0 || ferror(stdout))
			return away("standard output");
		return code;
	}
	return usage();
}
