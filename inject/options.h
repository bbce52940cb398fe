/* SPDX-License-Identifier: ISC
 * options: the command line of sendmail(8), as its callers write it.  Pure.
 */
#ifndef OPTIONS_H
#define OPTIONS_H

#include "common/str.h"

enum options_mode {
	MODE_MAIL,    /* -bm: read a message */
	MODE_SMTP,    /* -bs: SMTP on fd 0 and 1 */
	MODE_LIST,    /* -bp, mailq */
	MODE_ALIASES, /* -bi, -I, newaliases */
	MODE_VERIFY,  /* -bv */
	MODE_RUN,     /* -q */
	MODE_HELP,
	MODE_VERSION
};

struct options {
	enum options_mode mode;
	bool header_recipients; /* -t */
	bool ignore_dots;	/* -i, -oi, -O IgnoreDots */
	bool verbose;		/* -v */
	bool id;		/* --id */
	const char *sender;	/* -f, -r; NULL: not given */
	const char *name;	/* -F; NULL: not given */
	struct str run;		/* behind -q */
	char **recipients;	/* within argv */
	size_t recipient_count;
	const char *problem; /* NULL: none */
	struct str about;    /* what it is about */
};

/* argv[0] tells mailq and newaliases from sendmail.  Moves the recipients to
 * the front of argv, in their order; borrows argv.  False: problem is set. */
bool options_parse(int argc, char **argv, struct options *);

#endif
