/* SPDX-License-Identifier: ISC
 * results: what postern-remote prints by hand: qmail-remote's reports, or lines
 * for people.
 */
#ifndef RESULTS_H
#define RESULTS_H

#include "send/attempt.h"

struct results_form {
	bool text;	  /* for people; else each report ends in a NUL */
	bool exit_status; /* the exit code tells the verdict */
};

/* failure: why the undecided ones did not get it; NULL when there are none.
 * names[] are the recipients as the caller wrote them.  The exit code: 0, or
 * 111 when it could not be printed; with exit_status 0, 1 or 111. */
int results_print(const struct results_form *, struct str host, char **names,
    const struct attempt_mail *, const struct attempt_end *failure);

#endif
