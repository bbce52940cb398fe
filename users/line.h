/* SPDX-License-Identifier: ISC
 * line: the lines of userd's tables (postern-users(5)), read and written. Pure.
 * Public: `postern check` reads the tables with it.
 *
 * A key is the form in which an address is kept and sought: the local part
 * unquoted and in lower case, then @ and the domain in lower case; a bare name
 * has no @.
 */
#ifndef USERS_LINE_H
#define USERS_LINE_H

#include "common/buf.h"
#include "common/limits.h"

enum {
	LINE_MAX_BYTES = 16 * 1024, /* so that an alias fits into one packet */
	LINE_KEY = LIMIT_ADDRESS + 2,
	LINE_HASH = 128, /* crypto_pwhash_STRBYTES */
	LINE_MAILBOX = 512,
	LINE_HASH_MEMORY_KIB = 256 * 1024, /* most that a hash may cost */
	LINE_HASH_PASSES = 16
};

/* Puts the key of an address, a bare name, or @domain. */
void line_put_key(struct buf *, struct str address);
/* True for a path that stays below the mail directory: parts of printable
 * bytes, none empty, none that begins with a dot, no colon. */
bool line_is_mailbox(struct str);
/* True for an Argon2id hash string within the bounds above. */
bool line_is_hash(struct str);

struct line_user {
	struct str address; /* as written; without @ a system user's name */
	struct str hash, mailbox;
};

struct line_alias {
	struct str
	    address; /* as written: an address, @domain, or a bare name */
	struct str targets; /* what is left to read */
};

struct line_account {
	struct str name, home;
	uint64_t uid;
};

/* Each returns NULL, or what is wrong with the line.  Views into the line. */

/* What a line of a file holds: nothing where it is blank or a comment. */
const char *line_strip(struct str raw, struct str *line);
extern const char line_too_long[]; /* line_strip says so, over LINE_MAX_BYTES */

/* address:hash:mailbox, or name:hash: (a system user's mail password). */
const char *line_user(struct str line, struct line_user *);
/* address: target, target ... */
const char *line_alias(struct str line, struct line_alias *);
/* The next target; false at the end.  Puts its canonical form (bare names get
 * @me).  *wrong is set when a target is none. */
bool line_alias_next(
    struct line_alias *, struct str me, struct buf *target, const char **wrong);
/* address or @domain */
const char *line_relay(struct str line, struct str *address);
/* name:uid:home, made by postern-start. */
const char *line_account(struct str line, struct line_account *);

#endif
