/* SPDX-License-Identifier: ISC
 * plan: which roles there are, and which of them are linked (INTERNALS.md
 * "Processes" and "Links").  postern-start runs them.  Public: `postern check`
 * looks whether their users are there.
 */
#ifndef PLAN_H
#define PLAN_H

#include <stdbool.h>
#include <sys/types.h>
#include "common/layout.h"

enum { PLAN_NO_DIR = -1, PLAN_SOCKETS = 4 };

/* Roles stop in this order: first what takes mail in, last what keeps it. */
enum plan_stage { STAGE_DOOR, STAGE_QMGR, STAGE_WORK, STAGE_SPOOL, STAGES };

struct plan_role {
	const char *name;
	const char *program;
	const char *user;
	const char *argument; /* NULL: none */
	int dir;	      /* enum layout_place, or PLAN_NO_DIR */
	const char *socket;   /* its Unix socket below run/, or NULL */
	int socket_type;
	mode_t socket_mode;
	const char *tcp; /* control file with its TCP addresses, or NULL */
	const char *only_with; /* runs only while this control file says
				* something; NULL: always */
	bool is_template;      /* replaced, not reloaded */
	enum plan_stage stage;
};

struct plan_link {
	const char *a, *b;
	int type; /* SOCK_SEQPACKET or SOCK_STREAM */
};

extern const struct plan_role plan_roles[];
extern const size_t plan_role_count;
extern const struct plan_link plan_links[];
extern const size_t plan_link_count;

#endif
