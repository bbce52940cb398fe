/* SPDX-License-Identifier: ISC
 * token: the lexical tokens of a structured header field (RFC 5322 3.2, with
 * the obsolete forms of 4.1).  Pure.
 */
#ifndef TOKEN_H
#define TOKEN_H

#include "common/str.h"

enum token_kind {
	TOKEN_END,     /* nothing is left */
	TOKEN_SPACE,   /* white space, line ends included */
	TOKEN_COMMENT, /* (nested ones included), parentheses included */
	TOKEN_ATOM,    /* atext, and bytes over 0x7f */
	TOKEN_QUOTED,  /* "...", quotes included */
	TOKEN_LITERAL, /* [...], brackets included */
	TOKEN_SPECIAL, /* one of <>@,;:. */
	TOKEN_BAD      /* unbalanced, or a byte that may not stand here */
};

struct token {
	enum token_kind kind;
	struct str text; /* a view into the field; of BAD: all that is left */
};

/* Takes the next token from *rest. */
struct token token_next(struct str *rest);
/* Is it this special? */
bool token_is(const struct token *, char special);
/* Space or comment? */
bool token_is_blank(const struct token *);
/* Any byte over 0x7f? */
bool token_is_8bit(struct str);

#endif
