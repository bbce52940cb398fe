/* SPDX-License-Identifier: ISC
 * messdir: contract in messdir.h.
 */
#include "queue/messdir.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>
#include "common/io.h"

int
messdir_sync(int dirfd, const char *name)
{
	int fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return errno;
	int e = fsync(fd) < 0 ? errno : 0;
	io_close(&fd);
	return e;
}

void
messdir_name(uint64_t id, char out[MESS_NAME])
{
	mess_name(id, out);
	out[7] = '\0';
}

int
messdir_sync_of(int dirfd, uint64_t id)
{
	char dir[MESS_NAME];
	messdir_name(id, dir);
	int e = messdir_sync(dirfd, dir);
	return e == ENOENT ? 0 : e; /* nothing was ever there */
}

/* Another process may have made it, and not synced it yet. */
static int
make_dir_of(int dirfd, uint64_t id)
{
	static bool durable[256];
	size_t i = (id >> 20) % N_ELEMENTS(durable);
	char dir[MESS_NAME];
	if (durable[i])
		return 0;
	messdir_name(id, dir);
	if (mkdirat(dirfd, dir, 0700) < 0 && errno != EEXIST)
		return errno;
	int e = messdir_sync(dirfd, "mess");
	durable[i] = e == 0;
	return e;
}

int
messdir_enter(int dirfd, const char *tmp, uint64_t id)
{
	char name[MESS_NAME];
	mess_name(id, name);
	int e = make_dir_of(dirfd, id);
	if (e == 0 && renameat(dirfd, tmp, dirfd, name) < 0)
		e = errno;
	return e;
}
