/* SPDX-License-Identifier: ISC
 * privs: contract in privs.h.
 */
#include "common/privs.h"

#include <errno.h>
#include <grp.h>
#include <sys/prctl.h>
#include <unistd.h>
#include "common/die.h"
#include "common/log.h"

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
privs_lock(void)
{
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		die(EXITCODE_TEMPORARY, "PR_SET_NO_NEW_PRIVS", errno);
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
		die(EXITCODE_TEMPORARY, "PR_SET_DUMPABLE", errno);
}
