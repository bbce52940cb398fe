/* SPDX-License-Identifier: ISC
 * postern-pop3d: POP3 for a user who has logged in; one process a session.
 *
 * Runs as the mailbox owner.  postern-become starts it with 0 and 1 the
 * connection, 3 a socket that holds one `P` packet, 4 the directory that the
 * packet's maildir is below, 5 the life pipe, which it only holds.  By hand, as
 * qmail-pop3d: postern-pop3d MAILDIR, with the connection on 0 and 1.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>
#include "common/args.h"
#include "common/die.h"
#include "common/io.h"
#include "common/limits.h"
#include "common/log.h"
#include "common/packet.h"
#include "common/sandbox.h"
#include "pop3d/session.h"

enum pop3d_fd {
	FD_IN = 0,
	FD_OUT = 1,
	FD_REQUEST = 3,
	FD_BASE = 4,
	FD_LIFE = 5,
	FD_END
};

enum {
	TIMEOUT_S = 600, /* RFC 1939 section 3: at least ten minutes */
	INPUT_ROOM = 8 * 1024,
	ALREADY_READ_MAX = 4 * 1024,
	OUTPUT_ROOM = 64 * 1024
};

static const struct sandbox_rule rules[] = {
	ALLOW(openat, "messages, below the Maildir (Landlock)"),
	ALLOW(getdents64, "the lists of new/ and cur/"),
	ALLOW(lseek, "to read those lists again"),
	ALLOW(newfstatat, "is a message that was seen twice still there?"),
	ALLOW(unlinkat, "QUIT: deleted messages"),
	ALLOW(renameat2, "QUIT: messages read go from new/ to cur/"),
	ALLOW(fsync, "QUIT: deletions are durable"),
	ALLOW(mkdirat, "new/ and cur/ of a mailbox that is new"),
	ALLOW(flock, "one session per maildrop"),
	ALLOW(setitimer, "the wait for that lock has an end"),
	ALLOW_IF(mprotect, 3, PROT_READ | PROT_WRITE, "the list of messages"),
	ALLOW(poll, "wait for the client"),
};

static struct {
	struct session session;
	char input[INPUT_ROOM], output[OUTPUT_ROOM];
	char scratch[MAILDROP_SCRATCH];
	char request[PACKET_MAX];
	struct str sid, peer_ip, login, already_read; /* views into request */
	const char *maildir;			      /* by hand */
	unsigned timeout_s;
	bool create;
	int dirfd;
} self = { .timeout_s = TIMEOUT_S, .dirfd = -1 };

static const char help[] =
    "usage: postern-pop3d [-t SECONDS] MAILDIR\n"
    "Serves POP3 for MAILDIR on fd 0 and 1 to a user who is logged in.\n"
    "Without MAILDIR: started by postern-become (see postern-pop3d(8)).\n";

static void
args_parse(int argc, char **argv)
{
	for (int i = 1; i < argc; i++) {
		struct str a = str_of(argv[i]);
		uint64_t v;
		args_answer(a, help);
		if (str_eq(a, STR("-t")) && i + 1 < argc &&
		    str_u64(str_of(argv[i + 1]), 86400, &v) && v > 0) {
			self.timeout_s = (unsigned)v;
			i++;
		} else if (a.n > 0 && a.p[0] != '-' && i + 1 == argc) {
			self.maildir = argv[i];
		} else {
			die(EXITCODE_PERMANENT, "wrong arguments; see --help",
			    0);
		}
	}
	if (self.timeout_s != TIMEOUT_S && self.maildir == NULL)
		die(EXITCODE_PERMANENT, "wrong arguments; see --help", 0);
}

/* Says why there is no session, in place of the reply to PASS, and ends. */
static _Noreturn void
refuse(const char *reply, const char *what, int error)
{
	conn_put(&self.session.conn, str_of(reply));
	(void)conn_flush(&self.session.conn);
	LOG(ERROR, "maildrop", F_STR("sid", self.sid),
	    F_STR("user", self.login), F_TEXT("what", what),
	    F_TEXT("error", error != 0 ? strerror(error) : "-"));
	_exit(EXITCODE_TEMPORARY);
}

/* ---- what become says ---- */

static struct str
read_request(void)
{
	struct str bytes = { 0 };
	int fds[PACKET_FDS];
	size_t nfds;
	int r = packet_recv(FD_REQUEST, self.request, sizeof(self.request),
	    MSG_DONTWAIT, &bytes, fds, &nfds);

	if (r <= 0)
		die(EXITCODE_PERMANENT,
		    "usage: postern-pop3d MAILDIR (or run by postern-become)",
		    0);
	packet_close_fds(fds, nfds);
	struct packet p = packet_open(bytes);
	(void)packet_get_u64(&p);	      /* become's key */
	(void)packet_get_str(&p, LIMIT_USER); /* who we are */
	struct str maildir = packet_get_str(&p, PACKET_MAX);
	self.sid = packet_get_str(&p, LIMIT_SID);
	self.peer_ip = packet_get_str(&p, LIMIT_PEER);
	self.login = packet_get_str(&p, LIMIT_ADDRESS);
	self.already_read = packet_get_str(&p, ALREADY_READ_MAX);
	if (!packet_end(&p) || p.type != 'P')
		bug("a bad packet from become");
	return maildir;
}

static void
open_by_become(void)
{
	struct str maildir = read_request();

	if (getuid() == 0 || geteuid() == 0)
		bug("started for root");
	for (int fd = FD_REQUEST; fd < FD_END; fd++)
		if (io_cloexec(fd, true) != 0 && fd != FD_LIFE)
			die(EXITCODE_PERMANENT, "missing descriptor", errno);
	self.create = true;
	self.dirfd = maildrop_find(FD_BASE, maildir, true);
	if (self.dirfd < 0)
		refuse("-ERR [SYS/TEMP] the maildrop cannot be opened\r\n",
		    "maildir", errno);
	close(FD_BASE);
	close(FD_REQUEST);
}

static void
open_by_hand(void)
{
	(void)log_off_network(); /* without a log rather than not at all */
	self.sid = self.peer_ip = self.login = STR("-");
	self.dirfd = open(self.maildir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (self.dirfd < 0)
		refuse("-ERR [SYS/PERM] this user has no Maildir\r\n",
		    self.maildir, errno);
}

/* ---- serving ---- */

static void
open_maildrop(void)
{
	struct maildrop *drop = &self.session.drop;
	const char *what = "maildrop";

	switch (maildrop_open(drop, self.dirfd, self.create, &what)) {
	case MAILDROP_OK:
		break;
	case MAILDROP_IN_USE:
		refuse("-ERR [IN-USE] maildrop locked by another session\r\n",
		    "locked", 0);
	case MAILDROP_TOO_MANY:
		refuse("-ERR [SYS/PERM] too many messages in the maildrop\r\n",
		    "over 1000000 messages", 0);
	case MAILDROP_FAILED:
		refuse("-ERR [SYS/TEMP] the maildrop cannot be opened\r\n",
		    what, errno);
	}
	struct buf *b = conn_room(&self.session.conn, 64);
	buf_puts(b, "+OK ");
	buf_put_u64(b, drop->count);
	buf_puts(b, " messages\r\n");
}

static void
log_end(enum session_end how)
{
	static const char *const ends[] = {
		[SESSION_QUIT] = "quit",
		[SESSION_LOST] = "lost",
		[SESSION_TIMEOUT] = "timeout",
		[SESSION_ERRORS] = "errors",
	};
	const struct session *s = &self.session;

	LOG(INFO, "pop3", F_STR("sid", self.sid), F_STR("ip", self.peer_ip),
	    F_STR("user", self.login), F_NUM("messages", s->drop.count),
	    F_NUM("retr", s->retrieved), F_NUM("octets", s->octets),
	    F_NUM("deleted", s->deleted), F_NUM("failed", s->failed),
	    F_TEXT("end", ends[how]));
}

int
main(int argc, char **argv)
{
	struct session *s = &self.session;

	args_parse(argc, argv);
	log_init("pop3d");
	if (signal(SIGPIPE, SIG_IGN) == SIG_ERR)
		die(EXITCODE_TEMPORARY, "signal", errno);
	conn_init(&s->conn, FD_IN, FD_OUT, (int)self.timeout_s * 1000,
	    self.input, sizeof(self.input), self.output, sizeof(self.output));
	if (maildrop_reserve(&s->drop, self.scratch) != 0)
		die(EXITCODE_TEMPORARY, "no address space", errno);
	if (self.maildir == NULL)
		open_by_become();
	else
		open_by_hand();
	conn_tune(&s->conn);
	if (!conn_preload(&s->conn, self.already_read))
		bug("already-read does not fit");

	const struct sandbox_dir dirs[] = { { .fd = self.dirfd,
	    .write = true } };
	sandbox_enter(&(struct sandbox){ .role = "pop3d",
	    .rules = rules,
	    .rule_count = N_ELEMENTS(rules),
	    .dirs = dirs,
	    .dir_count = N_ELEMENTS(dirs) });
	open_maildrop();
	log_end(session_run(s));
	return EXITCODE_DONE;
}
