/* SPDX-License-Identifier: ISC
 * account: contract in account.h.
 */
#include "send/account.h"

#include <errno.h>
#include <pwd.h>
#include <string.h>
#include <unistd.h>
#include "common/buf.h"
#include "common/die.h"
#include "common/privs.h"
#include "send/passwdfile.h"

static const char owner_name[] = "posternm";
static const char unusable[] = "5.2.1 this user's entry is not usable";

/* Copies what we need; false when a field does not fit. */
static bool
take(struct account *a, const struct passwd *pw)
{
	struct buf name = BUF_ON(a->name), home = BUF_ON(a->home);
	buf_puts(&name, pw->pw_name);
	buf_puts(&home, pw->pw_dir);
	a->uid = pw->pw_uid;
	a->gid = pw->pw_gid;
	return buf_cstr(&name) != NULL && buf_cstr(&home) != NULL;
}

void
account_init(struct account *owner)
{
	bool is_root = geteuid() == 0;
	errno = 0;
	const struct passwd *pw =
	    is_root ? getpwnam(owner_name) : getpwuid(geteuid());
	if (pw == NULL || !take(owner, pw))
		die(EXITCODE_PERMANENT,
		    is_root ? "the user posternm is missing; run install/users"
			    : "this user has no entry in the user database",
		    errno);
	if (is_root && (owner->uid == 0 || owner->gid == 0))
		die(EXITCODE_PERMANENT, "posternm is root", 0);
	owner->home[0] = '\0';
}

/* Letters, digits, dot, dash, underscore; not a dash in front (useradd(8)). */
static bool
is_user_name(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		if (!byte_is_alpha(s.p[i]) && !byte_is_digit(s.p[i]) &&
		    s.p[i] != '.' && s.p[i] != '_' && s.p[i] != '-')
			return false;
	return s.n > 0 && s.n <= LIMIT_USER && s.p[0] != '-';
}

static bool
look_up(struct str name, struct account *out, enum verdict *verdict,
    const char **text)
{
	char space[LIMIT_USER + 1];
	struct buf b = BUF_ON(space);
	*verdict = VERDICT_FAIL;
	*text = "5.1.1 no such user";
	buf_put(&b, name);
	const char *cname = buf_cstr(&b);
	if (!is_user_name(name) || cname == NULL)
		return false;
	static struct passwdfile file = { .path = "/etc/passwd",
		.order_path = "/etc/nsswitch.conf" };
	if (passwdfile_find(&file, name, out)) {
		*text = unusable;
		return out->home[0] == '/';
	}
	errno = 0;
	const struct passwd *pw = getpwnam(cname);
	if (pw == NULL) {
		/* these say "no such entry" (getpwnam(3), ERRORS) */
		if (errno != 0 && errno != ENOENT && errno != ESRCH &&
		    errno != EBADF && errno != EPERM) {
			*verdict = VERDICT_DEFER;
			*text = "4.3.0 the user database cannot be asked";
		}
		return false;
	}
	*text = unusable;
	return take(out, pw) && out->home[0] == '/';
}

bool
account_find(const struct account *owner, struct str name, struct account *out,
    enum verdict *verdict, const char **text)
{
	if (name.n == 0) {
		*out = *owner;
		return true;
	}
	if (!look_up(name, out, verdict, text))
		return false;
	*verdict = VERDICT_FAIL;
	*text = "5.2.1 this account does not take mail";
	if (out->uid == 0 || out->gid == 0)
		return false;
	if (geteuid() != 0) {
		*verdict = VERDICT_DEFER;
		*text = "4.2.1 this suite runs as one ordinary user and cannot "
			"deliver to others";
		return out->uid == geteuid();
	}
	return privs_is_person(out->uid);
}
