/* SPDX-License-Identifier: ISC
 * io: small helpers around descriptors.
 */
#ifndef IO_H
#define IO_H

#include <sys/types.h>
#include "common/str.h"

/* Writes all of s, waiting as needed.  0, or -1 with errno. */
int io_write_all(int fd, struct str s);
/* Has a file's data written and waited for, so that a name given after it
 * cannot outlive it; what is left for a sync is what the file system says of
 * it.  0, or -1 with errno. */
int io_write_out(int fd);
/* Writes all of s at offset.  0, or -1 with errno (ENOSPC on a short write). */
int io_pwrite_all(int fd, struct str s, uint64_t offset);
/* Reads up to n bytes at offset, less only at the end of the file.  The number
 * of bytes, or -1 with errno. */
int64_t io_pread_all(int fd, char *p, size_t n, uint64_t offset);
/* Reads fd to its end into p.  Bytes read, or -1 with errno: EFBIG when there
 * is more than cap. */
int64_t io_slurp(int fd, char *p, size_t cap);
/* Opens `name` below dirfd for reading (no symbolic link as last component, no
 * blocking on a FIFO; regular files only) and slurps it.  Bytes, or -1, errno.
 */
int64_t io_read_file(int dirfd, const char *name, char *p, size_t cap);
/* Writes content to .NAME.new beside `name`, syncs it, renames it over `name`
 * and syncs the directory.  One writer at a time.  0, or -1 with errno and no
 * trace left; that of one who died goes with the next call. */
int io_replace_file(
    int dirfd, const char *name, struct str content, unsigned mode);
/* The same, and the file is theirs, as far as root writes it. */
int io_replace_file_of(int dirfd, const char *name, struct str content,
    unsigned mode, uid_t, gid_t);
/* The same by the umask and without a sync: who reads sees the old content or
 * the new, and neither need outlive the machine. */
int io_swap_file(
    int dirfd, const char *name, struct str content, unsigned mode);
int io_nonblock(int fd, bool on); /* 0, or -1 with errno */
int io_cloexec(int fd, bool on);  /* 0, or -1 with errno */
/* Waits until fd is readable (or writable) or timeout_ms are over: 1, 0 when
 * time is over, -1 with errno. */
int io_wait(int fd, bool for_write, int timeout_ms);
/* A socket pair, close-on-exec; type SOCK_SEQPACKET or SOCK_STREAM, plus
 * SOCK_NONBLOCK.  0, or -1 with errno. */
int io_pair(int type, int fds[2]);
/* Closes when it is not -1, and sets it to -1. */
void io_close(int *fd);

#endif
