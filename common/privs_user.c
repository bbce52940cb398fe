/* SPDX-License-Identifier: ISC
 * privs: the part that asks the user database; contract in privs.h.  Apart, for
 * a program that is linked with its libraries must not need it.
 */
#include <errno.h>
#include <pwd.h>
#include <unistd.h>
#include "common/die.h"
#include "common/privs.h"

int
privs_lookup(const char *user, uid_t *uid, gid_t *gid)
{
	errno = 0;
	struct passwd *pw = getpwnam(user);
	if (pw == NULL) {
		/* these say "no such entry" (getpwnam(3), ERRORS) */
		if (errno == ENOENT || errno == ESRCH || errno == EBADF ||
		    errno == EPERM)
			errno = 0;
		return -1;
	}
	*uid = pw->pw_uid;
	*gid = pw->pw_gid;
	return 0;
}

void
privs_require(const char *user)
{
	uid_t uid;
	gid_t gid;
	uid_t now = getuid();
	if (now != geteuid() || getgid() != getegid())
		die(EXITCODE_PERMANENT, "a set-uid or set-gid start is refused",
		    0);
	int found = privs_lookup(user, &uid, &gid);
	if (found == 0 && now == uid)
		return;
	if (now != 0)
		return; /* the one user of a one-user suite */
	if (found < 0)
		die(EXITCODE_PERMANENT,
		    "the postern users are missing; run install/users", errno);
	if (privs_drop(uid, gid) < 0)
		die(EXITCODE_PERMANENT, "cannot become the role's user", errno);
}
