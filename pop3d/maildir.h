/* SPDX-License-Identifier: ISC
 * maildir: the inside of maildrop that reads the directories.
 */
#ifndef POP3D_MAILDIR_H
#define POP3D_MAILDIR_H

#include "pop3d/maildrop.h"

/* Reads new/ and cur/ again and notes under which name each message is now; one
 * that is in neither is gone.  0, or -1 with errno. */
int maildir_relocate(struct maildrop *);

#endif
