/* SPDX-License-Identifier: ISC
 * places: contract in places.h.
 */
#include "install/places.h"

const struct place places[] = {
	{ LAYOUT_CONTROL, "root", "root", 0755, "control files" },
	{ LAYOUT_USERS, "root", "posternu", 0750, "users and aliases" },
	{ LAYOUT_SPOOL, "posternq", "posternq", 0700, "the queue" },
	{ LAYOUT_RUN, "root", "root", 0755, "sockets" },
	{ LAYOUT_MAIL, "posternm", "posternm", 0700, "virtual mailboxes" },
};

const size_t place_count = N_ELEMENTS(places);
