/* SPDX-License-Identifier: ISC
 * check: the parts of `postern check`.
 */
#ifndef CHECK_H
#define CHECK_H

#include "common/str.h"
#include "common/table.h"

struct check {
	bool json;
	bool quiet; /* only count */
	unsigned mistakes, warnings;
};

enum check_kind { CHECK_MISTAKE, CHECK_WARNING };

/* Prints and counts.  A file that is no absolute path is one below the control
 * directory; line is 0 when it is about the whole file.  What is wrong, and
 * behind a colon what to do. */
__attribute__((format(printf, 5, 6))) void check_say(struct check *,
    enum check_kind, const char *file, unsigned line, const char *format, ...);
/* The same of a plain text. */
void check_mistake(
    struct check *, const char *file, unsigned line, const char *what);
void check_warning(
    struct check *, const char *file, unsigned line, const char *what);

/* Gives each line of a table of userd's that holds something to `each`, which
 * returns NULL or what is wrong with it.  That is told as a mistake, and what
 * is wrong with the file; one that is missing has no lines.  The name begins
 * with users/. */
void check_table(struct check *, int users_dirfd, const char *name,
    const char *(*each)(struct str line, unsigned number));

/* Notes under which line of a file a name stands.  False: *first is the number
 * of an earlier one. */
bool check_first(
    struct table *, struct str name, unsigned number, struct str *first);

/* For control_on_mistake, where check_settings has told of them all. */
void check_ignore(const char *file, unsigned line, const char *what);

/* The roles' users, and every row of the layout (places.h): there, what it
 * should be, owner, mode. */
void check_places(struct check *);
/* Every setting, by its kind and by its meaning. */
void check_settings(struct check *, int control_dirfd);
/* Every file in the control directory: is it a setting, does it hold what is
 * never read? */
void check_files(struct check *, int control_dirfd);
/* Which domains are whose: listed twice, or in two places. */
void check_domains(struct check *, int control_dirfd);
/* Where mail is taken and sent: listening, relaying, routes to ourselves. */
void check_net(struct check *, int control_dirfd);
/* Numbers that contradict each other, or the machine. */
void check_numbers(struct check *, int control_dirfd);
/* The tables of userd, line by line. */
void check_users(struct check *, int control_dirfd);
/* Are postmaster and abuse of our domains accepted, and the aliases and their
 * targets?  By the rules that userd has. */
void check_addresses(struct check *, int control_dirfd);

#endif
