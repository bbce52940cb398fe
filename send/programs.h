/* SPDX-License-Identifier: ISC
 * programs: what become starts: which arguments and descriptors each gets.
 */
#ifndef SEND_PROGRAMS_H
#define SEND_PROGRAMS_H

#include "send/child.h"

/* Opens them, once; postern-pop3d may be missing.  Dies (100). */
void programs_open(void);
bool programs_have_pop3d(void);
/* Each starts a program as the child's account, with `fd` as its descriptor 3
 * (and a session's three: in, out, life).  As spawn(). */
pid_t programs_runner(struct child *, int fd, int *status_fd);
pid_t programs_pop3d(
    struct child *, int fd, const int *session, int *status_fd);
/* Starts the template of postern-local as this process's user; its link ends
 * when it cannot run. */
pid_t programs_template(int fd);

#endif
