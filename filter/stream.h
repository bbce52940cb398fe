/* SPDX-License-Identifier: ISC
 * stream: the sessions that bring mail to the filter, as streams of frames.
 */
#ifndef FILTER_STREAM_H
#define FILTER_STREAM_H

#include <sys/types.h>
#include "common/facts.h"

/* listen_fd: run/filter, where only root, smtpd and the one user of a one-user
 * suite are served. */
void stream_init(int listen_fd, uid_t own_uid, uid_t smtpd_uid);
/* Serves a session that listen announced; takes fd over. */
void stream_serve(int fd, const struct facts *);
unsigned stream_count(void);
/* Frees what has ended, goes on with what had to wait. */
void stream_run(void);

#endif
