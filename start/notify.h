/* SPDX-License-Identifier: ISC
 * notify: tells the service manager that the suite is ready, or stops:
 * sd_notify(3), by hand.
 */
#ifndef NOTIFY_H
#define NOTIFY_H

#include "start/family.h"

/* path: $NOTIFY_SOCKET, or NULL: nobody wants to know.  Logs what goes wrong;
 * the suite runs all the same. */
void notify_init(const char *path);
/* READY=1 when every role has been ready for the first time, STOPPING=1 when a
 * stop begins, and each time how many roles are ready. */
void notify_state(const struct family *);

#endif
