/* SPDX-License-Identifier: ISC
 * A control of the power cuts: linked into a queued and a local of their own
 * with --wrap=fsync and --wrap=syncfs, so that no name is ever made to last:
 * neither is a directory synced, nor a file behind its name, which on ext4 and
 * XFS would do the same.  The bytes of files are still written out before they
 * are named.  check-power must find the mail that these lose.
 */
#include <unistd.h>

int __wrap_fsync(int);
int __wrap_syncfs(int);

int
__wrap_fsync(int fd)
{
	(void)fd;
	return 0;
}

int
__wrap_syncfs(int fd)
{
	(void)fd;
	return 0;
}
