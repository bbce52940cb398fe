/* SPDX-License-Identifier: ISC
 * postern-sendmail: the command line of sendmail(8), for the programs that know
 * no other way to send mail; mailq and newaliases are its names, too.  Run by
 * any user; it hands the message to postern-queue.
 *
 * The queue program is started first, then the sandbox is entered, then the
 * message is read.
 */
#include <stdlib.h>
#include <sysexits.h>
#include <unistd.h>
#include "common/address.h"
#include "common/args.h"
#include "common/clock.h"
#include "common/io.h"
#include "common/log.h"
#include "common/sandbox.h"
#include "inject/caller.h"
#include "inject/letter.h"
#include "inject/modes.h"
#include "inject/options.h"

static const char help[] =
    "usage: sendmail [OPTION ...] [RECIPIENT ...] < message\n"
    "       sendmail -t [OPTION ...] [RECIPIENT ...] < message\n"
    "       sendmail -bs | -bp | -bi | -bv ADDRESS ... | -q | --help | "
    "--version\n"
    "       mailq, newaliases  the same as -bp and -bi\n\n"
    "  -t          recipients from To, Cc and Bcc, too\n"
    "  -i, -oi     a line of a single dot does not end the message\n"
    "  -f ADDRESS  the sender; '<>' for none\n"
    "  -F NAME     the full name, for a From that is missing\n"
    "  -bs         SMTP on standard input and output\n"
    "  -bp         what waits in the queue (postern queue list)\n"
    "  -bi         read /etc/aliases (postern alias import)\n"
    "  -bv         where an address goes (postern why)\n"
    "  -q          try all waiting mail now (postern queue retry --all)\n"
    "  -v          say under which id the message was queued\n"
    "  --id        print that id alone\n\n"
    "Other options of sendmail are taken and have no effect; see\n"
    "postern-sendmail(8), also for the exit codes (sysexits).\n";

static const struct sandbox_rule rules[] = {
	ALLOW_LETTER,
};

static struct {
	struct options options;
	struct caller caller;
	struct envelope envelope;
	struct letter letter;
	struct outcome outcome;
	struct addrlist list;
	char sender_room[LIMIT_ADDRESS + 1], from_room[LIMIT_ADDRESS + 1];
	struct buf sender, from;
} self;

static const int exit_codes[] = {
	[OUTCOME_DONE] = EX_OK,
	[OUTCOME_USAGE] = EX_USAGE,
	[OUTCOME_DATA] = EX_DATAERR,
	[OUTCOME_ADDRESS] = EX_NOUSER,
	[OUTCOME_REFUSED] = EX_UNAVAILABLE,
	[OUTCOME_INPUT] = EX_IOERR,
	[OUTCOME_CONFIG] = EX_CONFIG,
	[OUTCOME_BUG] = EX_SOFTWARE,
	[OUTCOME_RIGHT] = EX_NOPERM,
	[OUTCOME_LATER] = EX_TEMPFAIL,
};

static _Noreturn void
finish(void)
{
	if (self.outcome.kind != OUTCOME_DONE)
		caller_complain("sendmail", &self.outcome);
	exit(exit_codes[self.outcome.kind]);
}

static _Noreturn void
fail_usage(const char *problem, struct str about)
{
	outcome_set_about(&self.outcome, OUTCOME_USAGE, problem, about);
	finish();
}

/* ---- addresses of the command line ---- */

static void
take_sender(void *arg, struct str address)
{
	(void)arg;
	buf_reset(&self.sender);
	buf_put(&self.sender, address);
}

static void
take_recipient(void *arg, struct str address)
{
	(void)arg;
	envelope_add(&self.envelope, address);
}

static void
take_addresses(struct str text, bool sender)
{
	self.list = (struct addrlist){ .defaults = &self.caller.defaults,
		.each = sender ? take_sender : take_recipient,
		.allow_null = sender };
	if (!addrlist_run(&self.list, text)) {
		outcome_set_about(&self.outcome, OUTCOME_USAGE,
		    sender ? "bad sender" : "bad recipient", text);
		outcome_add(&self.outcome, str_of(self.list.problem));
		finish();
	}
	if (sender && self.list.mailboxes != 1)
		fail_usage("-f takes one address", text);
}

/* user@host, which From says when it is missing, and the sender, unless -f
 * says otherwise. */
static void
find_sender(void)
{
	const char *given = self.options.sender;

	self.sender = BUF_ON(self.sender_room);
	self.from = BUF_ON(self.from_room);
	buf_put(&self.from, self.caller.user);
	buf_putc(&self.from, '@');
	buf_put_lower(&self.from, self.caller.defaults.host);
	if (given == NULL)
		buf_put(&self.sender, buf_str(&self.from));
	else if (str_trim(str_of(given)).n > 0)
		take_addresses(str_of(given), true);
	if (given != NULL && buf_str(&self.sender).n > 0) {
		buf_reset(&self.from);
		buf_put(&self.from, buf_str(&self.sender));
	}
}

static void
find_recipients(void)
{
	envelope_begin(&self.envelope);
	for (size_t i = 0; i < self.options.recipient_count; i++)
		take_addresses(str_of(self.options.recipients[i]), false);
	if (self.envelope.count > 0 || self.options.header_recipients)
		return;
	outcome_set(&self.outcome, OUTCOME_USAGE,
	    "no recipients: name them, or say -t to take them from the header");
	finish();
}

/* ---- the message ---- */

static void
say_id(void)
{
	struct str id = str_of(self.outcome.id);

	if (self.options.id && id.n == 0)
		id = STR("-"); /* the drop box gives none */
	if (self.options.verbose && !self.options.id)
		(void)io_write_all(STDOUT_FILENO,
		    id.n > 0 ? STR("sendmail: queued as ")
			     : STR("sendmail: kept until Postern runs again"));
	if (self.options.id || self.options.verbose) {
		(void)io_write_all(STDOUT_FILENO, id);
		(void)io_write_all(STDOUT_FILENO, STR("\n"));
	}
}

static _Noreturn void
send_message(void)
{
	const struct sandbox sandbox = { .role = "sendmail",
		.rules = rules,
		.rule_count = N_ELEMENTS(rules),
		.silent = true,
		.max_file = letter_file_limit() };
	struct str name = str_of(self.options.name);

	if (!caller_load(&self.caller, &self.outcome))
		finish();
	find_sender();
	find_recipients();
	if (name.n == 0)
		name = str_of(getenv("NAME"));
	self.letter = (struct letter){
		.request = { .defaults = self.caller.defaults,
		    .id_host = self.caller.id_host,
		    .from = buf_str(&self.from),
		    .from_name = name.n > 0 ? name : self.caller.name,
		    .now_us = clock_now_us(),
		    .pid = (uint64_t)getpid(),
		    .recipients = self.options.header_recipients },
		.envelope = &self.envelope,
		.sender = buf_str(&self.sender),
		.dot_ends = !self.options.ignore_dots,
		.max_size = self.caller.databytes,
		.no_recipients = "no recipients: To, Cc and Bcc name nobody",
	};
	if (!letter_open(&self.letter, &self.outcome))
		finish();
	sandbox_enter(&sandbox);
	letter_send(&self.letter, &self.outcome);
	if (self.outcome.kind == OUTCOME_DONE)
		say_id();
	finish();
}

int
main(int argc, char **argv)
{
	struct options *o = &self.options;

	caller_fill_descriptors();
	log_init("sendmail");
	if (!options_parse(argc, argv, o))
		fail_usage(o->problem, o->about);
	if (o->mode == MODE_HELP)
		args_answer(STR("--help"), help);
	if (o->mode == MODE_VERSION)
		args_answer(STR("--version"), help);
	if (!caller_layout(&self.outcome))
		finish();
	if (o->mode == MODE_MAIL)
		send_message();
	int code = modes_run(o, &self.outcome);

	if (code < 0)
		finish();
	return code;
}
