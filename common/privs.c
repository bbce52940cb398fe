/* SPDX-License-Identifier: ISC
 * privs: contract in privs.h.
 */
#include "common/privs.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <sys/prctl.h>
#include <unistd.h>
#include "common/die.h"
#include "common/log.h"

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

int
privs_drop(uid_t uid, gid_t gid)
{
	if (getuid() == uid && geteuid() == uid && getgid() == gid &&
	    geteuid() != 0)
		return 0;
	if (setgroups(1, &gid) < 0 || setresgid(gid, gid, gid) < 0 ||
	    setresuid(uid, uid, uid) < 0)
		return -1;
	if (uid != 0 && (setuid(0) == 0 || seteuid(0) == 0)) {
		errno = EPERM;
		return -1;
	}
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

void
privs_lock(void)
{
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		die(EXITCODE_TEMPORARY, "PR_SET_NO_NEW_PRIVS", errno);
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
		die(EXITCODE_TEMPORARY, "PR_SET_DUMPABLE", errno);
}
