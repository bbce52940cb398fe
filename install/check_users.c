/* SPDX-License-Identifier: ISC
 * check_users: the tables of userd, and its answers.  Contract in check.h.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "common/control.h"
#include "common/domains.h"
#include "common/io.h"
#include "common/layout.h"
#include "common/limits.h"
#include "common/packet.h"
#include "common/table.h"
#include "install/check.h"
#include "install/localsocket.h"
#include "users/line.h"

enum { TABLE_MAX = 1 << 30, ANSWER_MS = 3000, DOMAINS_ASKED = 1000 };

static struct check *current;
static int users_dir = -1;
static const char *table_name; /* the file that is being read */
static char me_text[CONTROL_LINE_MAX];
static struct buf me;

/* ---- lines ---- */

static const char *
user_line(struct str line)
{
	struct line_user u;

	return line_user(line, &u);
}

static const char *
alias_line(struct str line)
{
	struct line_alias a;
	char text[LIMIT_ADDRESS + 2];
	struct buf target = BUF_ON(text);
	const char *wrong = line_alias(line, &a);

	while (
	    wrong == NULL && line_alias_next(&a, buf_str(&me), &target, &wrong))
		buf_reset(&target);
	return wrong;
}

static struct table *relayed; /* domains that relayrcpts names */

static const char *
relay_line(struct str line)
{
	struct str address;
	struct str local;
	struct str domain;
	char text[LIMIT_DOMAIN + 1];
	struct buf key = BUF_ON(text);
	const char *wrong = line_relay(line, &address);

	if (wrong != NULL || !str_rcut(address, '@', &local, &domain))
		return wrong;
	buf_put_lower(&key, domain);
	if (relayed != NULL)
		(void)table_put(relayed, buf_str(&key), STR("")); /* once */
	return NULL;
}

/* Accepting all of a domain that we only relay for is backscatter, so a domain
 * without recipients accepts nobody. */
static const char *
rcpthost_line(void *arg, struct str line, unsigned number)
{
	const struct domains *domains = arg;
	char text[LIMIT_DOMAIN + 1];
	struct buf key = BUF_ON(text);
	struct str none;

	buf_put_lower(&key, line);
	if (line.p[0] == '.' || key.full ||
	    domains_find(domains, buf_str(&key), &none) != DOMAIN_RELAYED ||
	    table_get(relayed, buf_str(&key), &none))
		return NULL;
	check_warning(current, "rcpthosts", number,
	    "users/relayrcpts names no recipient of this domain: all are "
	    "refused");
	return NULL;
}

static void
relayed_check(int control_dir)
{
	struct domains *domains = domains_load(control_dir);

	if (domains != NULL && relayed != NULL)
		(void)control_list(
		    control_dir, "rcpthosts", rcpthost_line, domains);
	domains_free(domains);
}

static void
ignore_mistake(const char *file, unsigned line, const char *what)
{
	(void)file;
	(void)line;
	(void)what; /* check_settings has told */
}

static void
lines_check(struct check *c, const char *(*check)(struct str), struct str rest)
{
	struct str line;

	for (unsigned number = 1; str_line(&rest, &line); number++) {
		line = str_trim(line);
		if (line.n == 0 || line.p[0] == '#')
			continue;
		const char *wrong = line.n > LINE_MAX_BYTES
					? "the line is too long"
					: check(line);
		if (wrong != NULL)
			check_mistake(c, table_name, number, wrong);
	}
}

static void
table_check(struct check *c, const char *name, const char *file,
    const char *(*check)(struct str))
{
	struct stat st;

	table_name = name;
	if (fstatat(users_dir, file, &st, AT_SYMLINK_NOFOLLOW) < 0) {
		if (errno != ENOENT)
			check_mistake(c, name, 0, strerror(errno));
		return;
	}
	if ((st.st_mode & 0007) != 0)
		check_mistake(c, name, 0,
		    "others must have no access: it holds password hashes");
	if (!S_ISREG(st.st_mode) || st.st_size > TABLE_MAX) {
		check_mistake(c, name, 0, "is not a plain file of sane size");
		return;
	}
	size_t size = (size_t)st.st_size + 1;
	char *text = malloc(size);
	int64_t n =
	    text == NULL ? -1 : io_read_file(users_dir, file, text, size);
	if (n < 0)
		check_mistake(c, name, 0, strerror(errno));
	else
		lines_check(
		    c, check, (struct str){ .p = text, .n = (size_t)n });
	free(text);
}

void
check_users(struct check *c, int control_dir)
{
	const char *path = layout_path(LAYOUT_USERS);

	current = c;
	me = BUF_ON(me_text);
	if (control_line(control_dir, "me", &me) < 0)
		buf_puts(&me, "localhost"); /* check_settings has told */
	users_dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (users_dir < 0) {
		if (errno != ENOENT) /* check_places has told */
			check_mistake(c, path, 0, strerror(errno));
		return;
	}
	table_check(c, "users/users", "users", user_line);
	table_check(c, "users/aliases", "aliases", alias_line);
	relayed = table_new();
	table_check(c, "users/relayrcpts", "relayrcpts", relay_line);
	control_on_mistake(ignore_mistake);
	relayed_check(control_dir);
	control_on_mistake(NULL);
	table_free(relayed);
	io_close(&users_dir);
}

/* ---- asking the running userd ---- */

static int asked_fd;
static bool may_ask_why;
static unsigned domains_asked;

/* R (accepted?) or Q (why?): 'K', 'D', 'N', 'Z', or 0 without an answer. */
static char
userd_ask(char type, struct str local, struct str domain)
{
	char question_text[LIMIT_ADDRESS + 64];
	char address_text[LIMIT_ADDRESS + 32];
	static char storage[PACKET_MAX];
	struct buf question = BUF_ON(question_text);
	struct buf address = BUF_ON(address_text);
	struct str answer;

	buf_put(&address, local);
	buf_putc(&address, '@');
	buf_put(&address, domain);
	packet_begin(&question, type);
	packet_str(&question, buf_str(&address));
	if (question.full || address.full ||
	    packet_ask(asked_fd, buf_str(&question), NULL, 0, storage,
		sizeof(storage), ANSWER_MS, &answer) != 1)
		return 0;
	struct packet p = packet_open(answer);
	return p.type == 'T' ? (char)packet_get_u8(&p) : p.type;
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
	control_on_mistake(ignore_mistake);
	(void)control_list(control_dir, locals, domain_ask, locals);
	(void)control_list(
	    control_dir, virtualdomains, domain_ask, virtualdomains);
	control_on_mistake(NULL);
	io_close(&asked_fd);
}
