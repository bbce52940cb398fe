/* SPDX-License-Identifier: ISC
 * privs: the part that asks the name service; contract in privs.h.  Apart, for
 * a program that is linked with its libraries must not need it.
 */
#include <errno.h>
#include <pwd.h>
#include <stddef.h>
#include <unistd.h>
#include "common/buf.h"
#include "common/limits.h"
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

const struct passwd *
privs_find(struct str name)
{
	char room[LIMIT_USER + 1];
	struct buf b = BUF_ON(room);

	buf_put(&b, name);
	const char *user = buf_cstr(&b);
	return user == NULL ? NULL : getpwnam(user);
}

uid_t
privs_uid_or_own(const char *user)
{
	uid_t uid;
	gid_t gid;

	return privs_lookup(user, &uid, &gid) == 0 ? uid : geteuid();
}
