/* SPDX-License-Identifier: ISC
 * caller: who runs this program, and how addresses of this host are completed:
 * the password file, the environment, control files.
 */
#ifndef CALLER_H
#define CALLER_H

#include "inject/addrlist.h"
#include "inject/outcome.h"

enum { CALLER_NAME = 256 };

struct caller {
	struct addr_defaults defaults;
	struct str id_host; /* of Message-IDs */
	struct str user;    /* login name; "anonymous" without one */
	struct str name;    /* full name; may be empty */
	uint64_t databytes; /* largest message; 0: any */
	char user_room[LIMIT_USER + 1], name_room[CALLER_NAME];
	char host_room[LIMIT_DOMAIN + 1], domain_room[LIMIT_DOMAIN + 1];
	char plus_room[LIMIT_DOMAIN + 1], id_room[LIMIT_DOMAIN + 1];
};

/* Opens fd 0, 1 and 2 that are closed as /dev/null; before anything else opens
 * a file. */
void caller_fill_descriptors(void);
/* layout_init, but that a wrong POSTERN_ROOT is an outcome (false). */
bool caller_layout(struct outcome *);
/* Fills all of it.  False: outcome says what to mend. */
bool caller_load(struct caller *, struct outcome *);

/* Says the outcome's text on fd 2, in one line behind the program's name. */
void caller_complain(const char *program, const struct outcome *);

#endif
