/* SPDX-License-Identifier: ISC
 * ask: the DNS for a program that is run by hand: a postern-dnsd of its own.
 */
#ifndef SEND_ASK_H
#define SEND_ASK_H

#include "send/walk.h"

/* Starts it; its log goes to stderr when `verbose`.  0, or -1 with errno. */
int ask_start(bool verbose);
/* Asks all that the walk wants to know, and takes the answers.  Without one in
 * time the walk is over. */
void ask_all(struct walk *);

#endif
