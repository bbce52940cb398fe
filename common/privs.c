/* SPDX-License-Identifier: ISC
 * privs: contract in privs.h.
 */
#include "common/privs.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>
#include "common/buf.h"
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

bool
privs_is_person(uid_t uid)
{
	enum { FIRST = 1000, NOBODY = 65534 };

	return uid >= FIRST && uid != NOBODY;
}

/* ---- the roles' users ---- */

enum { PASSWD_LINE = 4096 };

/* name:password:uid:gid:... */
static bool
is_entry(struct str line, struct str user, uid_t *uid, gid_t *gid)
{
	struct str fields[4];
	uint64_t u, g;

	for (size_t i = 0; i < N_ELEMENTS(fields); i++)
		if (!str_cut(line, ':', &fields[i], &line))
			return false;
	if (!str_eq(fields[0], user) || !str_u64(fields[2], UINT32_MAX, &u) ||
	    !str_u64(fields[3], UINT32_MAX, &g))
		return false;
	*uid = (uid_t)u;
	*gid = (gid_t)g;
	return true;
}

/* Looks into the lines of text that are whole, and keeps the rest. */
static bool
is_in(struct buf *text, struct str user, uid_t *uid, gid_t *gid)
{
	struct str rest = buf_str(text);
	struct str line, next;
	bool found = false;

	while (!found && str_cut(rest, '\n', &line, &next)) {
		found = is_entry(line, user, uid, gid);
		rest = next;
	}
	buf_drop(text, buf_str(text).n - rest.n);
	return found;
}

/* Looks in /etc/passwd, where install/users puts them: programs that serve
 * strangers have no name service in their image.  0, -1 with errno 0 when there
 * is no such user, -1 with errno. */
static int
role_user(struct str user, uid_t *uid, gid_t *gid)
{
	char room[PASSWD_LINE];
	struct buf text = BUF_ON(room);
	bool found = false;
	ssize_t n = 1;
	int fd = open("/etc/passwd", O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return -1;
	while (!found && n > 0) {
		n = read(fd, buf_tail(&text), buf_room(&text));
		if (n > 0)
			buf_grew(&text, (size_t)n);
		found = is_in(&text, user, uid, gid);
	}
	int error = n < 0 ? errno : 0;
	if (n == 0 && buf_room(&text) == 0)
		error = EFBIG; /* a line that does not fit */
	close(fd);
	errno = error;
	return found ? 0 : -1;
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
	if (now != 0)
		return; /* start made us that user, or there is but one */
	if (role_user(str_of(user), &uid, &gid) < 0)
		die_do(EXITCODE_PERMANENT, "the postern users are missing",
		    errno, "run install/users");
	if (privs_drop(uid, gid) < 0)
		die(EXITCODE_PERMANENT, "cannot become the role's user", errno);
}

void
privs_require_beside(const char *user, const char *run_dir)
{
	struct stat st;
	uid_t uid;
	gid_t gid;

	privs_require(user);
	if (stat(run_dir, &st) == 0 && st.st_uid == geteuid())
		return;
	if (role_user(str_of(user), &uid, &gid) == 0 && uid == geteuid())
		return;
	LOG(ERROR, "wrong-user", F_NUM("uid", geteuid()),
	    F_TEXT("wanted", user));
	die(EXITCODE_PERMANENT,
	    "let tcpserver or inetd start this program as root or as its user",
	    0);
}

void
privs_lock(void)
{
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		die(EXITCODE_TEMPORARY, "PR_SET_NO_NEW_PRIVS", errno);
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
		die(EXITCODE_TEMPORARY, "PR_SET_DUMPABLE", errno);
}
