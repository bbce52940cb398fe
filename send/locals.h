/* SPDX-License-Identifier: ISC
 * locals: become's side of the template of postern-local (send/localtemplate),
 * which forks them.  The template is started when it is first needed, and anew
 * after it has died, after so many children, and after one has crashed, so that
 * its address layout cannot be learnt at leisure.
 */
#ifndef SEND_LOCALS_H
#define SEND_LOCALS_H

#include "send/child.h"

/* Asks for a process for c, with control_fd (which stays open here) as its
 * control socket.  0: c->pid is CHILD_PID_DUE until the template has told it,
 * and a start that fails is told on the control socket.  -1 with errno. */
int locals_start(struct child *c, int control_fd);
/* Reads what is due, so that the pid of every process is known. */
void locals_settle(void);
/* A process has ended: true when it was the template. */
bool locals_ended(pid_t pid, int status);
/* A child crashed: the next one comes of another template. */
void locals_renew(void);

#endif
