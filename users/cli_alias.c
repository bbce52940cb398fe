/* SPDX-License-Identifier: ISC
 * postern alias: adds, changes and lists aliases (postern-alias(1)).  Runs as
 * the administrator.
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include "common/address.h"
#include "common/control.h"
#include "common/exitcode.h"
#include "common/io.h"
#include "common/layout.h"
#include "common/limits.h"
#include "common/log.h"
#include "common/packet.h"
#include "install/cli.h"
#include "install/json.h"
#include "users/cli_import.h"
#include "users/edit.h"
#include "users/line.h"
#include "users/tables.h"

enum { ANSWER_MS = 3000 };

static const char usage[] =
    "usage: postern alias add ADDRESS TARGET ...\n"
    "       postern alias del ADDRESS [TARGET ...]\n"
    "       postern alias list [--json]\n"
    "       postern alias import [FILE]\n\n"
    "Mail for ADDRESS goes to every TARGET, an address here or elsewhere.\n"
    "@domain is the catch-all of a domain; a bare name is an alias in every\n"
    "domain of control/locals.  add appends to an alias that is there; del\n"
    "takes the targets away, or all of it.  import takes all aliases of\n"
    "sendmail's /etc/aliases, or says what is wrong there.  See\n"
    "postern-alias(1).\n";

static char me_room[CONTROL_LINE_MAX];
static struct buf me = { .p = me_room, .cap = sizeof(me_room) };

/* For targets without a domain. */
static int
read_me(void)
{
	int fd = open(
	    layout_path(LAYOUT_CONTROL), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int r = fd < 0 ? -1 : control_line(fd, "me", &me);
	io_close(&fd);
	if (r >= 0)
		return 0;
	return edit_fail(EXITCODE_TEMPORARY,
	    "cannot read control/me: run postern init, or look as root",
	    STR(""));
}

/* ---- the line ---- */

/* Puts the form in which two of the same target are alike. */
static void
put_target_key(struct buf *b, struct str target)
{
	struct line_alias one = { .targets = target };
	char room[LIMIT_ADDRESS + 2];
	struct buf canonical = BUF_ON(room);
	const char *wrong = NULL;
	if (line_alias_next(&one, buf_str(&me), &canonical, &wrong) && !wrong)
		line_put_key(b, buf_str(&canonical));
	else
		line_put_key(b, target);
}

static bool
is_among(struct str target, int argc, char **argv)
{
	char a_room[LINE_KEY], b_room[LINE_KEY];
	struct buf a = BUF_ON(a_room);
	put_target_key(&a, target);
	for (int i = 0; i < argc; i++) {
		struct buf b = BUF_ON(b_room);
		put_target_key(&b, str_of(argv[i]));
		if (str_eq(buf_str(&a), buf_str(&b)))
			return true;
	}
	return false;
}

static void
put_target(struct buf *line, unsigned *n, struct str target)
{
	buf_puts(line, (*n)++ ? ", " : ": ");
	buf_put(line, target);
}

/* Puts those of the alias' targets that are not among argv. */
static unsigned
put_others(struct buf *line, struct str old, int argc, char **argv)
{
	struct line_alias a;
	char room[LIMIT_ADDRESS + 2];
	struct buf target = BUF_ON(room);
	const char *wrong = NULL;
	unsigned n = 0;
	if (line_alias(str_trim(old), &a) != NULL)
		return 0;
	while (line_alias_next(&a, buf_str(&me), &target, &wrong))
		if (!wrong && !is_among(buf_str(&target), argc, argv))
			put_target(line, &n, buf_str(&target));
	return n;
}

static bool
has_target(struct str old, char *target)
{
	struct line_alias a;
	char room[LIMIT_ADDRESS + 2];
	struct buf one = BUF_ON(room);
	const char *wrong = NULL;
	if (line_alias(str_trim(old), &a) != NULL)
		return false;
	while (line_alias_next(&a, buf_str(&me), &one, &wrong))
		if (!wrong && is_among(buf_str(&one), 1, &target))
			return true;
	return false;
}

/* What the line's own parser says of it. */
static int
check_line(struct str line)
{
	struct line_alias a;
	char room[LIMIT_ADDRESS + 2];
	struct buf target = BUF_ON(room);
	const char *wrong =
	    line.n > LINE_MAX_BYTES
		? "more than 16384 bytes of targets: make several aliases"
		: line_alias(line, &a);
	while (!wrong && line_alias_next(&a, buf_str(&me), &target, &wrong))
		continue;
	return wrong ? edit_fail(EXITCODE_PERMANENT, wrong, line) : 0;
}

/* ---- what userd says of it ---- */

/* Warns when the running userd would refuse this recipient. */
static void
warn_of(int userd, struct str address)
{
	static char storage[PACKET_MAX];
	char room[LIMIT_ADDRESS + 16];
	char said_room[LIMIT_REPORT];
	struct buf question = BUF_ON(room);
	struct buf said = BUF_ON(said_room);
	struct str answer;
	packet_begin(&question, 'R');
	packet_str(&question, address);
	if (question.full ||
	    packet_ask(userd, buf_str(&question), NULL, 0, storage,
		sizeof(storage), ANSWER_MS, &answer) != 1)
		return;
	struct packet p = packet_open(answer);
	struct str text = packet_get_str(&p, PACKET_MAX);
	if (p.type != 'D' || p.bad)
		return;
	log_safe(&said, text, sizeof(said_room) - 1);
	if (buf_cstr(&said) != NULL)
		fprintf(stderr, "postern alias: warning: %.*s: %s\n",
		    (int)address.n, address.p, buf_cstr(&said));
}

/* An alias that leads back to itself, and targets that nobody has: told, but
 * not refused, for the next command may add what is missing. */
static void
warn_of_line(struct str line)
{
	struct line_alias a;
	char room[LIMIT_ADDRESS + 2];
	struct buf target = BUF_ON(room);
	const char *wrong = NULL;
	int userd = edit_userd();
	if (userd < 0 || line_alias(line, &a) != NULL) {
		io_close(&userd);
		return; /* postern check tells it later */
	}
	if (a.address.p[0] != '@' && str_find(a.address, '@') < a.address.n)
		warn_of(userd, a.address);
	while (line_alias_next(&a, buf_str(&me), &target, &wrong) && !wrong) {
		warn_of(userd, buf_str(&target));
		buf_reset(&target);
	}
	io_close(&userd);
}

/* ---- add, del ---- */

static int
refuse_hidden(struct str key)
{
	struct edit e;
	struct str line;
	int code = edit_open(&e, "users", false);
	if (code != 0)
		return code;
	if (str_find(key, '@') < key.n &&
	    edit_find(&e, edit_user_address, key, &line))
		code = edit_fail(EXITCODE_PERMANENT,
		    "there is a user of this address, who would get the mail: "
		    "remove the user, or take another name",
		    key);
	edit_close(&e);
	return code;
}

static int
alias_add(int argc, char **argv, struct str key)
{
	static char room[4 * LINE_MAX_BYTES];
	struct buf line = BUF_ON(room);
	struct edit e;
	struct str old = STR("");
	if (argc < 2)
		return edit_fail(EXITCODE_PERMANENT,
		    "add wants a target: an address to which the mail goes",
		    STR(""));
	int code = refuse_hidden(key);
	if (code == 0)
		code = edit_open(&e, "aliases", true);
	if (code != 0)
		return code;
	bool found = edit_find(&e, edit_alias_address, key, &old);
	buf_puts(&line, argv[0]);
	unsigned n = put_others(&line, found ? old : STR(""), 0, NULL);
	for (int i = 1; i < argc; i++)
		if (!is_among(str_of(argv[i]), i - 1, argv + 1) &&
		    !(found && has_target(old, argv[i])))
			put_target(&line, &n, str_of(argv[i]));
	code = check_line(buf_str(&line));
	if (code == 0)
		code = edit_change(&e, found ? old : STR(""), buf_str(&line));
	edit_close(&e);
	if (code == 0) {
		printf("%.*s\n", (int)line.n, line.p);
		warn_of_line(buf_str(&line));
	}
	return code;
}

static int
no_alias(struct str key)
{
	struct edit e;
	struct str line;
	if (edit_open(&e, TABLES_IMPORTED, false) != 0)
		return EXITCODE_TEMPORARY;
	bool imported = edit_find(&e, edit_alias_address, key, &line);
	edit_close(&e);
	return edit_fail(EXITCODE_PERMANENT,
	    imported ? "it comes from /etc/aliases: change it there, then "
		       "`postern alias import`"
		     : "no such alias (see postern alias list)",
	    key);
}

static int
alias_del(int argc, char **argv, struct str key)
{
	static char room[4 * LINE_MAX_BYTES];
	struct buf line = BUF_ON(room);
	struct edit e;
	struct str old;
	int code = edit_open(&e, "aliases", true);
	if (code != 0)
		return code;
	if (!edit_find(&e, edit_alias_address, key, &old)) {
		code = no_alias(key);
	} else {
		buf_puts(&line, argv[0]);
		if (argc == 1 ||
		    put_others(&line, old, argc - 1, argv + 1) == 0)
			buf_reset(&line);
		code = edit_change(&e, old, buf_str(&line));
	}
	edit_close(&e);
	if (code == 0 && line.n == 0)
		printf("deleted %.*s\n", (int)key.n, key.p);
	else if (code == 0)
		printf("%.*s\n", (int)line.n, line.p);
	return code;
}

/* ---- list ---- */

/* How a list is printed. */
struct listing {
	bool json, imported;
	size_t width;
};

static void
print_alias(struct line_alias a, const struct listing *l)
{
	char room[LIMIT_ADDRESS + 2];
	struct buf target = BUF_ON(room);
	const char *wrong = NULL, *comma = "";
	if (l->json) {
		fputs("{\"address\":", stdout);
		json_string(a.address);
		printf(",\"imported\":%s,\"targets\":[",
		    l->imported ? "true" : "false");
	} else {
		printf(
		    "%-*.*s  ", (int)l->width, (int)a.address.n, a.address.p);
	}
	while (line_alias_next(&a, buf_str(&me), &target, &wrong)) {
		fputs(comma, stdout);
		comma = l->json ? "," : ", ";
		if (l->json)
			json_string(buf_str(&target));
		else
			printf("%.*s", (int)target.n, target.p);
	}
	puts(l->json ? "]}" : l->imported ? "  (imported)" : "");
}

/* Without print only the width is found. */
static int
walk_aliases(const char *table, struct listing *l, bool print)
{
	struct edit e;
	struct str line;
	struct line_alias a;
	int code = edit_open(&e, table, false);
	if (code != 0)
		return code;
	struct str rest = { .p = e.text, .n = e.n };
	while (str_line(&rest, &line)) {
		line = str_trim(line);
		if (line.n == 0 || line.p[0] == '#' ||
		    line_alias(line, &a) != NULL)
			continue;
		if (print)
			print_alias(a, l);
		else if (a.address.n > l->width)
			l->width = a.address.n;
	}
	edit_close(&e);
	return 0;
}

static int
alias_list(bool json)
{
	struct listing l = { .json = json };
	int code = 0;
	for (int print = json; code == 0 && print < 2; print++) {
		l.imported = false;
		code = walk_aliases("aliases", &l, print);
		l.imported = true;
		if (code == 0)
			code = walk_aliases(TABLES_IMPORTED, &l, print);
	}
	if (code != 0)
		return code;
	return ferror(stdout) || fflush(stdout) ? EXITCODE_TEMPORARY : 0;
}

int
cli_alias(int argc, char **argv)
{
	char key_room[LINE_KEY];
	struct buf key = BUF_ON(key_room);
	const char *verb = argc > 1 ? argv[1] : "";
	if (strcmp(verb, "--help") == 0) {
		fputs(usage, stdout);
		return EXITCODE_DONE;
	}
	if (strcmp(verb, "import") == 0 && argc <= 3 &&
	    (argc == 2 || argv[2][0] != '-'))
		return cli_import(argc == 3 ? argv[2] : "/etc/aliases");
	int code = read_me();
	if (code != 0)
		return code;
	bool json = argc == 3 && strcmp(argv[2], "--json") == 0;
	if (strcmp(verb, "list") == 0 && (argc == 2 || json))
		return alias_list(json);
	if (argc >= 3 && argv[2][0] != '-') {
		line_put_key(&key, str_of(argv[2]));
		if (strcmp(verb, "add") == 0)
			return alias_add(argc - 2, argv + 2, buf_str(&key));
		if (strcmp(verb, "del") == 0)
			return alias_del(argc - 2, argv + 2, buf_str(&key));
	}
	fputs(usage, stderr);
	return EXITCODE_PERMANENT;
}
