/* SPDX-License-Identifier: ISC
 * advice: contract in advice.h.
 */
#include "common/advice.h"

#include <errno.h>

const char *
advice_file(int error)
{
	switch (error) {
	case ENOENT:
		return "run postern init first, or set POSTERN_ROOT to where "
		       "the suite is";
	case EACCES:
	case EPERM:
		return "run it as root, or as the user whose suite it is";
	case ENOSPC:
	case EDQUOT:
		return "the disk is full: make room";
	case EROFS:
		return "mount the file system for writing";
	case ENOTDIR:
	case EISDIR:
	case ELOOP:
		return "something else stands in its place: postern check says "
		       "what must be there";
	case EMFILE:
	case ENFILE:
		return "raise the limit of open files (ulimit -n)";
	case ENOMEM:
		return "free memory, or raise the limit of it";
	default:
		return "look at the disk and at the kernel's log (dmesg)";
	}
}

const char *
advice_listen(int error)
{
	switch (error) {
	case EADDRINUSE:
		return "another program has the port (ss -ltnp shows which): "
		       "stop it, or name another address in that file";
	case EADDRNOTAVAIL:
		return "this host has no such address: write one that ip addr "
		       "shows into that file";
	case EACCES:
	case EPERM:
		return "ports below 1024 are root's: run it as root, or name a "
		       "higher port in that file";
	default:
		return "look at the address in that file";
	}
}
