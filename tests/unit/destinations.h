/* SPDX-License-Identifier: ISC
 * destinations: fresh destinations and mail for them, for the unit tests of
 * qmgr's modules.
 */
#ifndef TEST_DESTINATIONS_H
#define TEST_DESTINATIONS_H

#include "queue/destination.h"

/* A group's set-up: names, index and destinations. */
int destinations_set_up(void **state);
/* One that nobody has had. */
struct destination *destination_fresh(enum schedule_channel);
/* A message of that sender with n recipients of one mailbox, all queued at d:
 * its number. */
uint32_t destination_mail(struct destination *, struct str sender, unsigned n);

#endif
