/* SPDX-License-Identifier: ISC
 * postern-inject: hands in a message as qmail-inject does: recipients from
 * arguments or header, the header completed.  Run by any user; it hands the
 * message to postern-queue.
 *
 * The queue program is started first, then the sandbox is entered, then the
 * message is read.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "common/address.h"
#include "common/args.h"
#include "common/clock.h"
#include "common/exitcode.h"
#include "common/io.h"
#include "common/log.h"
#include "common/sandbox.h"
#include "inject/caller.h"
#include "inject/letter.h"

static const char help[] =
    "usage: postern-inject [-aAhHnN] [-f SENDER] [--id] [--] [RECIPIENT ...]\n"
    "       postern-inject --help | --version\n\n"
    "  -A         recipients from the arguments, or, without any, the header\n"
    "  -a         from the arguments only\n"
    "  -h         from the header only\n"
    "  -H         from both\n"
    "  -f SENDER  the sender; '' for none\n"
    "  -n         print the message in place of queueing it; -N queues it\n"
    "  --id       print the queue id\n\n"
    "Completes the header of the message on standard input and queues it, as\n"
    "qmail-inject does; see postern-inject(1), also for exit codes.\n";

static const struct sandbox_rule rules[] = {
	ALLOW_LETTER,
};

enum source { ARGUMENTS_OR_HEADER, ARGUMENTS, HEADER, BOTH };

static struct {
	enum source source;
	bool print, id;
	const char *sender_argument; /* NULL: not given */
	bool no_return_path, drop_from, drop_message_id, name_in_comment;
	struct caller caller;
	struct envelope envelope;
	struct letter letter;
	struct outcome outcome;
	struct addrlist list;
	char sender_room[LIMIT_ADDRESS + 1], from_room[LIMIT_ADDRESS + 1];
	struct buf sender, from;
} self;

static _Noreturn void
finish(void)
{
	if (self.outcome.kind == OUTCOME_DONE)
		exit(EXITCODE_DONE);
	caller_complain("postern-inject", &self.outcome);
	exit(self.outcome.kind == OUTCOME_LATER ||
		     self.outcome.kind == OUTCOME_INPUT
		 ? EXITCODE_TEMPORARY
		 : EXITCODE_PERMANENT);
}

static _Noreturn void
fail_usage(const char *problem, struct str about)
{
	outcome_set_about(&self.outcome, OUTCOME_USAGE, problem, about);
	finish();
}

/* ---- command line and environment ---- */

static void
take_flag(char letter)
{
	switch (letter) {
	case 'a':
		self.source = ARGUMENTS;
		return;
	case 'A':
		self.source = ARGUMENTS_OR_HEADER;
		return;
	case 'h':
		self.source = HEADER;
		return;
	case 'H':
		self.source = BOTH;
		return;
	case 'n':
		self.print = true;
		return;
	case 'N':
		self.print = false;
		return;
	default:
		fail_usage("unknown option (see --help)",
		    (struct str){ .p = &letter, .n = 1 });
	}
}

/* Of "-abc"; true when the argument behind it was the sender. */
static bool
take_flags(const char *p, const char *beside)
{
	for (; *p != '\0'; p++) {
		if (*p != 'f') {
			take_flag(*p);
			continue;
		}
		self.sender_argument = p[1] != '\0' ? p + 1 : beside;
		if (self.sender_argument == NULL)
			fail_usage("this option needs a value", STR("f"));
		return p[1] == '\0';
	}
	return false;
}

/* The index of the first recipient. */
static int
parse_arguments(int argc, char **argv)
{
	int i = 1;

	for (; i < argc && argv[i][0] == '-' && argv[i][1] != '\0'; i++) {
		struct str arg = str_of(argv[i]);

		args_answer(arg, help);
		if (str_eq(arg, STR("--")))
			return i + 1;
		if (str_eq(arg, STR("--id")))
			self.id = true;
		else if (str_starts(arg, STR("--")))
			fail_usage("unknown option (see --help)", arg);
		else if (take_flags(
			     argv[i] + 1, i + 1 < argc ? argv[i + 1] : NULL))
			i++;
	}
	return i;
}

/* QMAILINJECT */
static void
parse_habits(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		switch (s.p[i]) {
		case 'c':
			self.name_in_comment = true;
			break;
		case 's':
			self.no_return_path = true;
			break;
		case 'f':
			self.drop_from = true;
			break;
		case 'i':
			self.drop_message_id = true;
			break;
		case 'r':
		case 'm':
			fail_usage("QMAILINJECT: Postern has no VERP",
			    (struct str){ .p = s.p + i, .n = 1 });
		default:
			break; /* qmail-inject takes no offence, either */
		}
}

/* The first of these variables that is set and not empty, or the fallback. */
static struct str
variable(const char *const names[], struct str fallback)
{
	for (; *names != NULL; names++) {
		struct str v = str_of(getenv(*names));

		if (v.n > 0)
			return v;
	}
	return fallback;
}

static void
set_domain(const char *name, struct str *to)
{
	struct str v = str_of(getenv(name));

	if (v.n == 0)
		return;
	if (!address_is_domain(v))
		fail_usage("no domain is the value of", str_of(name));
	*to = v;
}

static void
take_environment(void)
{
	static const char *const names[] = { "QMAILNAME", "MAILNAME", "NAME",
		NULL };

	parse_habits(str_of(getenv("QMAILINJECT")));
	set_domain("QMAILDEFAULTHOST", &self.caller.defaults.host);
	set_domain("QMAILDEFAULTDOMAIN", &self.caller.defaults.domain);
	set_domain("QMAILPLUSDOMAIN", &self.caller.defaults.plusdomain);
	set_domain("QMAILIDHOST", &self.caller.id_host);
	self.caller.name = variable(names, self.caller.name);
}

/* ---- addresses ---- */

static void
take_address(void *arg, struct str address)
{
	struct buf *to = arg;

	buf_reset(to);
	buf_put(to, address);
}

static void
take_recipient(void *arg, struct str address)
{
	(void)arg;
	envelope_add(&self.envelope, address);
}

static void
read_addresses(struct str text, const char *what,
    void (*each)(void *, struct str), void *arg)
{
	self.list = (struct addrlist){ .defaults = &self.caller.defaults,
		.each = each,
		.arg = arg,
		.allow_null = arg != NULL };
	if (!addrlist_run(&self.list, text)) {
		outcome_set_about(&self.outcome, OUTCOME_USAGE, what, text);
		outcome_add(&self.outcome, str_of(self.list.problem));
		finish();
	}
	if (arg != NULL && self.list.mailboxes != 1)
		fail_usage(what, text);
}

/* user@host, by these variables where they are set */
static void
find_user(struct buf *to, const char *const users[], const char *const hosts[],
    struct str user, struct str host)
{
	char room[2 * LIMIT_ADDRESS];
	struct buf b = BUF_ON(room);

	buf_put(&b, variable(users, user));
	buf_putc(&b, '@');
	buf_put(&b, variable(hosts, host));
	if (b.full)
		fail_usage("too long", STR("QMAILUSER or QMAILHOST"));
	read_addresses(buf_str(&b), "no address", take_address, to);
}

static void
find_sender(void)
{
	static const char *const users[] = { "QMAILUSER", "MAILUSER", NULL };
	static const char *const hosts[] = { "QMAILHOST", "MAILHOST", NULL };
	static const char *const susers[] = { "QMAILSUSER", NULL };
	static const char *const shosts[] = { "QMAILSHOST", NULL };
	const char *given = self.sender_argument;

	self.sender = BUF_ON(self.sender_room);
	self.from = BUF_ON(self.from_room);
	find_user(&self.from, users, hosts, self.caller.user,
	    self.caller.defaults.host);
	if (given == NULL) {
		struct address a = address_split(buf_str(&self.from));

		find_user(&self.sender, susers, shosts, a.local, a.domain);
	} else if (str_trim(str_of(given)).n > 0) {
		read_addresses(
		    str_of(given), "bad sender", take_address, &self.sender);
	}
}

static void
find_recipients(char **argv, int count)
{
	envelope_begin(&self.envelope);
	for (int i = 0; self.source != HEADER && i < count; i++)
		read_addresses(
		    str_of(argv[i]), "bad recipient", take_recipient, NULL);
}

/* ---- the message ---- */

static void
open_letter(int count)
{
	self.letter = (struct letter){
		.request = { .defaults = self.caller.defaults,
		    .id_host = self.caller.id_host,
		    .from = buf_str(&self.from),
		    .from_name = self.caller.name,
		    .now_us = clock_now_us(),
		    .pid = (uint64_t)getpid(),
		    .recipients =
			self.source == HEADER || self.source == BOTH ||
			(self.source == ARGUMENTS_OR_HEADER && count == 0),
		    .drop_from = self.drop_from,
		    .drop_message_id = self.drop_message_id,
		    .name_in_comment = self.name_in_comment },
		.envelope = &self.envelope,
		.sender = buf_str(&self.sender),
		.use_return_path =
		    self.sender_argument == NULL && !self.no_return_path,
		.print = self.print,
		.max_size = self.caller.databytes,
		.no_recipients = "no recipients: neither arguments nor header "
				 "name anybody",
	};
	if (!letter_open(&self.letter, &self.outcome))
		finish();
}

static void
say_id(void)
{
	if (!self.id || self.print)
		return;
	/* the drop box gives none */
	(void)io_write_all(STDOUT_FILENO,
	    self.outcome.id[0] != '\0' ? str_of(self.outcome.id) : STR("-"));
	(void)io_write_all(STDOUT_FILENO, STR("\n"));
}

int
main(int argc, char **argv)
{
	const struct sandbox sandbox = { .role = "inject",
		.rules = rules,
		.rule_count = N_ELEMENTS(rules),
		.silent = true,
		.max_file = letter_file_limit() };

	caller_fill_descriptors();
	log_init("inject");
	int first = parse_arguments(argc, argv);

	if (!caller_layout(&self.outcome) ||
	    !caller_load(&self.caller, &self.outcome))
		finish();
	take_environment();
	find_sender();
	find_recipients(argv + first, argc - first);
	open_letter(argc - first);
	sandbox_enter(&sandbox);
	letter_send(&self.letter, &self.outcome);
	if (self.outcome.kind == OUTCOME_DONE)
		say_id();
	finish();
}
