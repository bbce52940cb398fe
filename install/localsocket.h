/* SPDX-License-Identifier: ISC
 * localsocket: connections to the sockets below run/.  Public.
 */
#ifndef LOCALSOCKET_H
#define LOCALSOCKET_H

/* Connects to run/NAME (SOCK_SEQPACKET), however long its path is.  The
 * descriptor, or -1 with errno. */
int localsocket_connect(const char *name);

#endif
