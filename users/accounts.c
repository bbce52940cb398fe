/* SPDX-License-Identifier: ISC
 * accounts: contract in accounts.h.
 */
#include "users/accounts.h"

#include <errno.h>
#include <pwd.h>
#include <unistd.h>
#include "common/buf.h"
#include "common/limits.h"
#include "common/privs.h"

struct table *
accounts_read(void)
{
	struct table *t = table_new();
	const struct passwd *pw;
	bool good = t != NULL;

	setpwent();
	while (good && (pw = getpwent()) != NULL) {
		char room[LIMIT_USER + 1];
		struct buf key = BUF_ON(room);

		if (!privs_is_person(pw->pw_uid) ||
		    (geteuid() != 0 && pw->pw_uid != geteuid()))
			continue;
		buf_put_lower(&key, str_of(pw->pw_name));
		if (!key.full)
			good = table_put(t, buf_str(&key),
				   str_of(pw->pw_name)) == 0 ||
			       errno == EEXIST;
	}
	endpwent();
	if (good)
		return t;
	table_free(t);
	return NULL;
}
