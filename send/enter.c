/* SPDX-License-Identifier: ISC
 * enter: contract in enter.h.
 */
#include "send/enter.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <sys/stat.h>
#include <unistd.h>
#include "common/privs.h"

/* As the user: a home on a network disk need not be open to root, and root
 * need not walk a path that users can change. */
static int
open_base(uid_t uid, const char *home, int mail_dirfd, enum enter_step *failed)
{
	const int flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC;
	bool is_home = home[0] != '\0';
	struct stat st;
	int fd = is_home ? open(home, flags) : openat(mail_dirfd, ".", flags);

	*failed = ENTER_BASE;
	if (fd < 0 || !is_home)
		return fd;
	if (fstat(fd, &st) == 0) {
		if (st.st_uid == uid)
			return fd;
		*failed = ENTER_OWNER;
		errno = EPERM;
	}
	int error = errno;
	close(fd);
	errno = error;
	return -1;
}

int
enter_account(uid_t uid, gid_t gid, const char *home, int mail_dirfd,
    enum enter_step *failed)
{
	*failed = ENTER_USER;
	if (privs_drop(uid, gid) < 0)
		return -1;
	return open_base(uid, home, mail_dirfd, failed);
}

const char *
enter_explain(unsigned step, int error)
{
	switch (step) {
	case ENTER_USER:
		return "4.3.0 cannot become the mailbox's owner";
	case ENTER_BASE:
		return error == ENOENT
			   ? "4.2.1 the user's home directory does not exist"
			   : "4.2.1 the user cannot open the home directory";
	case ENTER_OWNER:
		return "4.2.1 the home directory is not the user's own";
	case ENTER_FDS:
	case ENTER_EXEC:
		return "4.3.0 the delivery program cannot be started";
	default:
		return "4.3.0 the delivery program failed to start";
	}
}
