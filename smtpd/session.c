/* SPDX-License-Identifier: ISC
 * session: contract in session.h.  Pure.
 */
#include "smtpd/command.h"
#include "smtpd/reply.h"
#include "smtpd/session.h"

void
session_begin(
    struct session *s, const struct session_config *config, bool relay)
{
	s->config = config;
	s->relay = relay;
	s->phase = PHASE_NEW;
	s->transaction = (struct session_transaction){ .recipients = 0 };
	s->esmtp = false;
	s->helo = BUF_ON(s->helo_storage);
	s->address = BUF_ON(s->address_storage);
	s->errors = 0;
	s->messages = 0;
}

void
session_greet(const struct session *s, struct buf *reply)
{
	reply_line(reply, 220, true, s->config->greeting);
}

/* ---- replies ---- */

static enum session_action
close_with(const struct session *s, struct buf *reply, unsigned code,
    const char *status, const char *text)
{
	char storage[REPLY_TEXT_MAX];
	struct buf line = BUF_ON(storage);

	buf_put(&line, str_head(s->config->me, LIMIT_DOMAIN));
	buf_putc(&line, ' ');
	buf_puts(&line, text);
	reply_put(reply, code, status, buf_str(&line));
	return SESSION_CLOSE;
}

/* Counts a refusal; true when it is one too many (421 is then the reply). */
static bool
one_too_many(struct session *s, struct buf *reply)
{
	if (++s->errors <= SESSION_MAX_ERRORS)
		return false;
	(void)close_with(s, reply, 421, "4.7.0", "Too many errors");
	return true;
}

static enum session_action
refuse(struct session *s, struct buf *reply, unsigned code, const char *status,
    struct str text)
{
	if (one_too_many(s, reply))
		return SESSION_CLOSE;
	reply_relay(reply, code, status, text);
	return SESSION_GO_ON;
}

static enum session_action
accept(struct buf *reply, unsigned code, const char *status, const char *text)
{
	reply_put(reply, code, status, str_of(text));
	return SESSION_GO_ON;
}

/* The one way in which a transaction ends, whatever its outcome. */
static enum session_action
end_transaction(struct session *s)
{
	bool open = s->phase == PHASE_MAIL || s->phase == PHASE_RCPT;

	s->transaction = (struct session_transaction){ .recipients = 0 };
	buf_reset(&s->address);
	if (s->phase != PHASE_NEW)
		s->phase = PHASE_IDLE;
	return open ? SESSION_FORGET : SESSION_GO_ON;
}

/* ---- commands ---- */

static enum session_action
greeted(struct session *s, struct str name, bool esmtp)
{
	enum session_action action = end_transaction(s); /* RFC 5321 4.1.4 */

	s->phase = PHASE_IDLE;
	s->esmtp = esmtp;
	buf_reset(&s->helo);
	buf_put(&s->helo, name);
	return action;
}

static enum session_action
on_helo(struct session *s, struct str arg, struct buf *reply)
{
	if (!command_is_helo(arg))
		return refuse(
		    s, reply, 501, "5.5.4", STR("Say HELO and your name"));
	reply_line(reply, 250, true, s->config->me);
	return greeted(s, arg, false);
}

static enum session_action
on_ehlo(struct session *s, struct str arg, struct buf *reply)
{
	char storage[32];
	struct buf size = BUF_ON(storage);

	if (!command_is_helo(arg))
		return refuse(
		    s, reply, 501, "5.5.4", STR("Say EHLO and your name"));
	buf_puts(&size, "SIZE");
	if (s->config->databytes > 0) {
		buf_putc(&size, ' ');
		buf_put_u64(&size, s->config->databytes);
	}
	reply_line(reply, 250, false, s->config->me);
	reply_line(reply, 250, false, STR("PIPELINING"));
	reply_line(reply, 250, false, buf_str(&size));
	reply_line(reply, 250, false, STR("8BITMIME"));
	reply_line(reply, 250, true, STR("ENHANCEDSTATUSCODES"));
	return greeted(s, arg, true);
}

static enum session_action
bad_argument(struct session *s, struct buf *reply, enum command_syntax e,
    const char *status, const char *usage)
{
	switch (e) {
	case COMMAND_BAD_ADDRESS:
		return refuse(s, reply, 501, status, STR("Not an address"));
	case COMMAND_LONG_ADDRESS:
		return refuse(s, reply, 501, status, STR("Address too long"));
	case COMMAND_BAD_PARAMETER:
		return refuse(s, reply, 501, "5.5.4", STR("Bad parameter"));
	case COMMAND_NEW_PARAMETER:
		return refuse(s, reply, 555, "5.5.4", STR("Unknown parameter"));
	case COMMAND_NO_PATH:
	case COMMAND_OK:
		break;
	}
	return refuse(s, reply, 501, "5.5.4", str_of(usage));
}

static enum session_action
on_mail(struct session *s, struct str arg, struct buf *reply)
{
	struct command_mail mail;
	enum command_syntax e = command_mail(arg, &mail);

	if (e != COMMAND_OK)
		return bad_argument(
		    s, reply, e, "5.1.7", "Say MAIL FROM:<address>");
	if (s->config->databytes > 0 && mail.has_size &&
	    mail.size > s->config->databytes)
		return refuse(
		    s, reply, 552, "5.3.4", STR("Message over the size limit"));
	buf_reset(&s->address);
	if (!mail.null)
		address_put(&s->address, mail.sender);
	s->phase = PHASE_MAIL;
	reply_put(reply, 250, "2.1.0", STR("Sender ok"));
	return SESSION_SENDER;
}

static enum session_action
take_recipient(struct session *s, struct buf *reply)
{
	s->transaction.recipients++;
	s->phase = PHASE_RCPT;
	reply_put(reply, 250, "2.1.5", STR("Recipient ok"));
	return SESSION_RECIPIENT;
}

static enum session_action
on_rcpt(struct session *s, struct str arg, struct buf *reply)
{
	struct address a;
	enum command_syntax e = command_rcpt(arg, &a);

	if (e != COMMAND_OK)
		return bad_argument(
		    s, reply, e, "5.1.3", "Say RCPT TO:<address>");
	if (s->transaction.recipients >= LIMIT_RECIPIENTS)
		return accept(reply, 452, "4.5.3", "Too many recipients");
	if (a.domain.n == 0)
		a = (struct address){ .local = STR("postmaster"),
			.domain = s->config->me };
	buf_reset(&s->address);
	address_put(&s->address, a);
	a = address_split(buf_str(&s->address));
	/* RFC 5321 4.5.1: in no case is the postmaster refused */
	if (str_ieq(a.domain, s->config->me) && command_is_postmaster(a.local))
		return take_recipient(s, reply);
	return SESSION_ASK;
}

enum session_action
session_answer(
    struct session *s, char verdict, struct str text, struct buf *reply)
{
	if (verdict == 'K' || (verdict == 'N' && s->relay))
		return take_recipient(s, reply);
	s->transaction.refused = true;
	if (verdict == 'N')
		return refuse(s, reply, 550, "5.7.1",
		    STR("Relaying denied: not a domain of ours"));
	if (verdict == 'D')
		return refuse(s, reply, 550, "5.1.1",
		    text.n > 0 ? text : STR("No such mailbox"));
	if (verdict != 'Z' || text.n == 0)
		text = STR("Cannot look up recipients now");
	reply_relay(reply, 451, "4.3.0", text);
	return SESSION_GO_ON;
}

static enum session_action
on_data(struct session *s, struct str arg, struct buf *reply)
{
	if (arg.n > 0)
		return refuse(
		    s, reply, 501, "5.5.4", STR("DATA takes no argument"));
	reply_line(reply, 354, true, STR("Go ahead, end with CRLF.CRLF"));
	return SESSION_DATA;
}

static enum session_action
on_rset(struct session *s, struct str arg, struct buf *reply)
{
	if (arg.n > 0)
		return refuse(
		    s, reply, 501, "5.5.4", STR("RSET takes no argument"));
	reply_put(reply, 250, "2.0.0", STR("Ok"));
	return end_transaction(s);
}

static enum session_action
on_noop(struct session *s, struct str arg, struct buf *reply)
{
	(void)s;
	(void)arg;
	return accept(reply, 250, "2.0.0", "Ok");
}

static enum session_action
on_vrfy(struct session *s, struct str arg, struct buf *reply)
{
	if (arg.n == 0)
		return refuse(
		    s, reply, 501, "5.5.4", STR("Say VRFY and an address"));
	return accept(reply, 252, "2.0.0", "Not told; send mail to find out");
}

static enum session_action
on_help(struct session *s, struct str arg, struct buf *reply)
{
	(void)s;
	(void)arg;
	return accept(reply, 214, "2.0.0",
	    "HELO EHLO MAIL RCPT DATA RSET NOOP VRFY HELP QUIT");
}

static enum session_action
on_quit(struct session *s, struct str arg, struct buf *reply)
{
	if (arg.n > 0)
		return refuse(
		    s, reply, 501, "5.5.4", STR("QUIT takes no argument"));
	(void)close_with(s, reply, 221, "2.0.0", "Bye");
	return SESSION_QUIT;
}

enum { IN_ANY = PHASE_NEW | PHASE_IDLE | PHASE_MAIL | PHASE_RCPT };

static const struct {
	enum command_verb verb;
	int phases; /* where it is allowed */
	enum session_action (*run)(
	    struct session *, struct str arg, struct buf *reply);
} commands[] = {
	{ VERB_HELO, IN_ANY, on_helo },
	{ VERB_EHLO, IN_ANY, on_ehlo },
	{ VERB_MAIL, PHASE_IDLE, on_mail },
	{ VERB_RCPT, PHASE_MAIL | PHASE_RCPT, on_rcpt },
	{ VERB_DATA, PHASE_RCPT, on_data },
	{ VERB_RSET, IN_ANY, on_rset },
	{ VERB_NOOP, IN_ANY, on_noop },
	{ VERB_VRFY, IN_ANY, on_vrfy },
	{ VERB_HELP, IN_ANY, on_help },
	{ VERB_QUIT, IN_ANY, on_quit },
};

/* A known command in the wrong place. */
static enum session_action
out_of_order(struct session *s, enum command_verb verb, struct buf *reply)
{
	struct str text = STR("Say MAIL first");

	if (s->phase == PHASE_NEW)
		text = STR("Say EHLO or HELO first");
	else if (verb == VERB_MAIL)
		text = STR("The sender is already given");
	else if (s->phase == PHASE_MAIL && s->transaction.refused)
		return refuse(
		    s, reply, 554, "5.5.1", STR("No valid recipients"));
	else if (s->phase == PHASE_MAIL)
		text = STR("Say RCPT first");
	return refuse(s, reply, 503, "5.5.1", text);
}

enum session_action
session_command(struct session *s, struct str line, struct buf *reply)
{
	struct command c;

	if (!command_parse(line, &c))
		return refuse(s, reply, 500, "5.5.2",
		    STR("Only printable ASCII in commands"));
	for (size_t i = 0; i < N_ELEMENTS(commands); i++) {
		if (commands[i].verb != c.verb)
			continue;
		if ((commands[i].phases & (int)s->phase) == 0)
			return out_of_order(s, c.verb, reply);
		return commands[i].run(s, c.arg, reply);
	}
	if (c.verb == VERB_KNOWN)
		return refuse(
		    s, reply, 502, "5.5.1", STR("Command not implemented"));
	return refuse(s, reply, 500, "5.5.1", STR("Unknown command"));
}

enum session_action
session_bad_line(struct session *s, enum line_status status, struct buf *reply)
{
	if (status == LINE_TOO_LONG)
		return refuse(s, reply, 500, "5.5.6", STR("Line too long"));
	return close_with(s, reply, 500, "5.5.2", "Bare LF; lines end in CRLF");
}

/* ---- the end of a message ---- */

static enum session_action
refuse_message(struct session *s, enum data_problem problem, struct buf *reply)
{
	switch (problem) {
	case DATA_BARE:
		return refuse(s, reply, 554, "5.6.0",
		    STR("Bare CR or LF in the message; lines end in CRLF"));
	case DATA_NUL:
		return refuse(
		    s, reply, 554, "5.6.0", STR("NUL byte in the message"));
	case DATA_TOO_LARGE:
		return refuse(
		    s, reply, 552, "5.3.4", STR("Message over the size limit"));
	case DATA_LOOP:
		return refuse(s, reply, 554, "5.4.6",
		    STR("Too many Received lines: a mail loop"));
	case DATA_GOOD:
		break;
	}
	return SESSION_GO_ON;
}

/* The codes of RFC 5321 4.2.3 that fit queued's text best. */
static unsigned
code_of(char verdict, struct str text)
{
	struct str status = reply_status(text);

	if (verdict != 'D')
		return str_eq(status, STR("4.3.1")) ? 452 : 451;
	if (str_eq(status, STR("5.7.1")))
		return 550;
	return str_eq(status, STR("5.3.4")) ? 552 : 554;
}

enum session_action
session_data_end(struct session *s, enum data_problem problem, char verdict,
    struct str text, struct buf *reply)
{
	(void)end_transaction(s);
	if (problem != DATA_GOOD)
		return refuse_message(s, problem, reply);
	if (verdict == 'K') {
		char storage[REPLY_TEXT_MAX];
		struct buf line = BUF_ON(storage);

		buf_puts(&line, text.n > 0 ? "Queued as " : "Accepted");
		buf_put(&line, str_head(text, 64));
		reply_put(reply, 250, "2.0.0", buf_str(&line));
		s->errors = 0;
		s->messages++;
		return SESSION_GO_ON;
	}
	if (verdict == 'D')
		return refuse(s, reply, code_of(verdict, text), "5.3.0",
		    text.n > 0 ? text : STR("Not accepted"));
	reply_relay(reply, code_of(verdict, text), "4.3.0",
	    text.n > 0 ? text : STR("Try again later"));
	return SESSION_GO_ON;
}

void
session_end(const struct session *s, enum session_end why, struct buf *reply)
{
	if (why == SESSION_TIMEOUT)
		(void)close_with(s, reply, 421, "4.4.2", "Timeout");
	else
		(void)close_with(
		    s, reply, 421, "4.3.0", "Service not available");
}
