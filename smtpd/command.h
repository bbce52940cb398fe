/* SPDX-License-Identifier: ISC
 * command: SMTP commands of a client, parsed (RFC 5321 4.1, 1870, 6152).  Pure;
 * all outputs are views into the line.
 */
#ifndef SMTPD_COMMAND_H
#define SMTPD_COMMAND_H

#include "common/address.h"

enum command_verb {
	VERB_UNKNOWN,
	VERB_KNOWN, /* a command of RFC 5321 or an extension, not offered here
		     */
	VERB_HELO,
	VERB_EHLO,
	VERB_MAIL,
	VERB_RCPT,
	VERB_DATA,
	VERB_RSET,
	VERB_NOOP,
	VERB_VRFY,
	VERB_HELP,
	VERB_QUIT
};

struct command {
	enum command_verb verb;
	struct str arg; /* behind the verb, without spaces at its ends */
};

/* Splits a line.  False when it holds control bytes or bytes over 0x7e. */
bool command_parse(struct str line, struct command *out);

enum command_syntax {
	COMMAND_OK,
	COMMAND_NO_PATH,       /* not FROM:<...> or TO:<...>: 501 5.5.4 */
	COMMAND_BAD_ADDRESS,   /* 501 5.1.7 or 5.1.3 */
	COMMAND_LONG_ADDRESS,  /* over RFC 5321 4.5.3.1: 501 5.1.7 or 5.1.3 */
	COMMAND_BAD_PARAMETER, /* a known one with a wrong value, or twice: 501
				*/
	COMMAND_NEW_PARAMETER  /* none that was offered: 555 5.5.4 */
};

struct command_mail {
	bool null; /* <>: the null reverse-path */
	struct address sender;
	bool has_size;
	uint64_t size; /* declared (RFC 1870); UINT64_MAX for huge numbers */
};

/* The argument of MAIL.  A source route is checked and left out (RFC 5321
 * appendix C); spaces around the path are taken. */
enum command_syntax command_mail(struct str arg, struct command_mail *out);
/* The argument of RCPT; an address without a domain is COMMAND_OK only for
 * postmaster (4.1.1.3), and then its domain is empty. */
enum command_syntax command_rcpt(struct str arg, struct address *out);
/* Whether a local part, as written, is postmaster (any case, quoted or not). */
bool command_is_postmaster(struct str local);
/* Whether a HELO or EHLO argument is acceptable: one word. */
bool command_is_helo(struct str arg);

#endif
