/* SPDX-License-Identifier: ISC
 * check_running: what the running userd says of addresses that must be good.
 * Contract in check.h.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include "common/control.h"
#include "common/io.h"
#include "common/layout.h"
#include "common/limits.h"
#include "common/log.h"
#include "common/packet.h"
#include "install/check.h"
#include "install/localsocket.h"
#include "users/line.h"

enum {
	ANSWER_MS = 3000,
	DOMAINS_ASKED = 1000,
	ALIASES_ASKED = 10000,
	TABLE_MAX = 1 << 30,
	SAID = 256
};

static struct check *current;
static int asked_fd;
static bool may_ask_why;
static unsigned domains_asked, aliases_asked;
static char said_text[SAID]; /* of the last D or Z */

/* Keeps what a verdict says, for people. */
static void
keep_said(struct str text)
{
	struct buf b = BUF_ON(said_text);

	log_safe(&b, text, sizeof(said_text) - 1);
	said_text[b.n] = '\0';
}

/* R (accepted?) or Q (why?): 'K', 'D', 'N', 'Z', or 0 without an answer. */
static char
address_ask(char type, struct str address)
{
	char question_text[LIMIT_ADDRESS + 64];
	static char storage[PACKET_MAX];
	struct buf question = BUF_ON(question_text);
	struct str answer;

	packet_begin(&question, type);
	packet_str(&question, address);
	if (question.full ||
	    packet_ask(asked_fd, buf_str(&question), NULL, 0, storage,
		sizeof(storage), ANSWER_MS, &answer) != 1)
		return 0;
	struct packet p = packet_open(answer);
	if (p.type == 'D' || p.type == 'Z')
		keep_said(packet_get_str(&p, PACKET_MAX));
	return p.type == 'T' ? (char)packet_get_u8(&p) : p.type;
}

static char
userd_ask(char type, struct str local, struct str domain)
{
	char text[LIMIT_ADDRESS + 32];
	struct buf address = BUF_ON(text);

	buf_put(&address, local);
	buf_putc(&address, '@');
	buf_put(&address, domain);
	return address.full ? '\0' : address_ask(type, buf_str(&address));
}

/* Mail for postmaster is always accepted; Q tells whether it can arrive. */
static void
postmaster_ask(const char *file, unsigned number, struct str domain)
{
	char verdict =
	    userd_ask(may_ask_why ? 'Q' : 'R', STR("postmaster"), domain);

	if (verdict == 'Z')
		check_mistake(current, file, number,
		    "postmaster of this domain has no mailbox (RFC 5321 "
		    "4.5.1): name one in control/postmaster");
	else if (verdict != 'K')
		check_mistake(current, file, number,
		    "postmaster of this domain is not accepted (RFC 5321 "
		    "4.5.1)");
}

static const char *
domain_ask(void *arg, struct str line, unsigned number)
{
	struct str domain;
	struct str prepend;
	const char *file = arg;

	str_cut(line, ':', &domain, &prepend);
	if (domains_asked++ >= DOMAINS_ASKED || domain.n == 0 ||
	    domain.p[0] == '.')
		return NULL;
	postmaster_ask(file, number, domain);
	if (userd_ask('R', STR("abuse"), domain) != 'K')
		check_mistake(current, file, number,
		    "abuse of this domain is not accepted (RFC 2142): name a "
		    "mailbox in control/postmaster, or add an alias");
	return NULL;
}

/* ---- aliases ---- */

static void
complain(unsigned number, const char *what, struct str address)
{
	char text[SAID + 2 * LIMIT_ADDRESS];
	struct buf b = BUF_ON(text);

	buf_puts(&b, what);
	log_safe(&b, address, LIMIT_ADDRESS);
	buf_puts(&b, ": ");
	buf_puts(&b, said_text);
	if (buf_cstr(&b) != NULL)
		check_warning(current, "users/aliases", number, text);
}

/* One line: is the alias good, and is each of its targets? */
static void
alias_ask(struct str line, unsigned number, struct str me)
{
	struct line_alias a;
	char text[LIMIT_ADDRESS + 2];
	struct buf target = BUF_ON(text);
	const char *wrong = line_alias(line, &a);

	if (wrong != NULL)
		return; /* check_users has told */
	/* @domain is no address, and a bare name is one at each of our domains
	 */
	if (a.address.n > 0 && a.address.p[0] != '@' &&
	    str_find(a.address, '@') < a.address.n &&
	    address_ask('R', a.address) == 'D') {
		complain(number, "refused, ", a.address);
		return;
	}
	while (line_alias_next(&a, me, &target, &wrong)) {
		if (wrong == NULL && address_ask('R', buf_str(&target)) == 'D')
			complain(number, "its target ", buf_str(&target));
		buf_reset(&target);
	}
}

/* The table, for free(); NULL: there is none, or it cannot be read. */
static char *
aliases_read(struct str *rest)
{
	struct stat st;
	char *text = NULL;
	int64_t n = -1;
	int dir =
	    open(layout_path(LAYOUT_USERS), O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (dir >= 0 &&
	    fstatat(dir, "aliases", &st, AT_SYMLINK_NOFOLLOW) == 0 &&
	    S_ISREG(st.st_mode) && st.st_size <= TABLE_MAX)
		text = malloc((size_t)st.st_size + 1);
	if (text != NULL)
		n = io_read_file(dir, "aliases", text, (size_t)st.st_size + 1);
	io_close(&dir);
	if (n >= 0) {
		*rest = (struct str){ .p = text, .n = (size_t)n };
		return text;
	}
	free(text);
	return NULL;
}

static void
aliases_ask(int control_dir)
{
	char me_text[CONTROL_LINE_MAX];
	struct buf me = BUF_ON(me_text);
	struct str rest;
	struct str line;
	char *text = aliases_read(&rest);

	if (text == NULL)
		return; /* none, or check_users has told */
	if (control_line(control_dir, "me", &me) < 0)
		buf_puts(&me, "localhost");
	for (unsigned number = 1;
	     aliases_asked < ALIASES_ASKED && str_line(&rest, &line);
	     number++) {
		line = str_trim(line);
		if (line.n == 0 || line.p[0] == '#')
			continue;
		aliases_asked++;
		alias_ask(line, number, buf_str(&me));
	}
	free(text);
}

/* Whoever owns userd's socket is userd's user. */
static bool
is_one_user_suite(void)
{
	struct stat st;
	int run =
	    open(layout_path(LAYOUT_RUN), O_PATH | O_DIRECTORY | O_CLOEXEC);
	bool same = run >= 0 && fstatat(run, "users", &st, 0) == 0 &&
		    st.st_uid == geteuid();

	io_close(&run);
	return same;
}

void
check_running(struct check *c, int control_dir)
{
	static char locals[] = "locals";
	static char virtualdomains[] = "virtualdomains";

	current = c;
	asked_fd = localsocket_connect("users");
	if (asked_fd < 0) {
		check_warning(c, "run/users", 0,
		    "userd does not run: whether postmaster and abuse are "
		    "accepted was not asked");
		return;
	}
	may_ask_why = geteuid() == 0 || is_one_user_suite();
	control_on_mistake(check_ignore);
	(void)control_list(control_dir, locals, domain_ask, locals);
	(void)control_list(
	    control_dir, virtualdomains, domain_ask, virtualdomains);
	control_on_mistake(NULL);
	aliases_ask(control_dir);
	io_close(&asked_fd);
}
