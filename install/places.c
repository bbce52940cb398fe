/* SPDX-License-Identifier: ISC
 * places: contract in places.h, and the table.
 */
#include "install/places.h"

#include <string.h>

/* What lies within the spool is queued's alone: postern-fsck looks after it. */
const struct place places[] = {
	{ PLACE_DIR, LAYOUT_CONTROL, NULL, "root", "root", 0755,
	    "control files" },
	{ PLACE_FILE, LAYOUT_CONTROL, "*", "root", "root", 0644,
	    "a setting each" },
	{ PLACE_DIR, LAYOUT_USERS, NULL, "root", "posternu", 0750,
	    "users and aliases" },
	{ PLACE_FILE, LAYOUT_USERS, ".lock", "root", "root", 0600,
	    "held by who edits" },
	{ PLACE_FILE, LAYOUT_USERS, "*", "root", "posternu", 0640,
	    "their tables" },
	{ PLACE_DIR, LAYOUT_SPOOL, NULL, "posternq", "posternq", 0700,
	    "the queue" },
	{ PLACE_DIR, LAYOUT_MAIL, NULL, "posternm", "posternm", 0700,
	    "virtual mailboxes" },
	{ PLACE_DIR, LAYOUT_DROP, NULL, "posternk", "posternk", 0710,
	    "the drop box" },
	{ PLACE_DIR, LAYOUT_DROP_NEW, NULL, "posternk", "posternk", 03770,
	    "mail while stopped" },
	{ PLACE_DIR, LAYOUT_LOG, NULL, "posternlog", "adm", 02750,
	    "the log, if files" },
	{ PLACE_DIR, LAYOUT_RUN, NULL, "root", "root", 0755, "sockets, state" },
	{ PLACE_FILE, LAYOUT_RUN, "lock", "root", "root", 0600,
	    "locked while it runs" },
	{ PLACE_FILE, LAYOUT_RUN, "roles", "root", "root", 0644, "what runs" },
	{ PLACE_FILE, LAYOUT_RUN, "errors", "root", "root", 0640,
	    "its last errors" },
	{ PLACE_SOCKET, LAYOUT_RUN, "queue", "posternq", "posternq", 0666,
	    "takes mail of users here" },
	{ PLACE_SOCKET, LAYOUT_RUN, "filter", "posternf", "posternf", 0666,
	    "takes smtpd's mail" },
	{ PLACE_SOCKET, LAYOUT_RUN, "users", "posternu", "posternu", 0666,
	    "says who exists" },
	{ PLACE_SOCKET, LAYOUT_RUN, "qmgr", "posterns", "posterns", 0600,
	    "takes root's orders" },
	{ PLACE_PROGRAM, LAYOUT_RUN, "postern-queue", "root", "posternk", 02755,
	    "hands mail in; drop box" },
	{ PLACE_PROGRAM, LAYOUT_RUN, "*", "root", "root", 0755,
	    "the programs" },
};

const size_t place_count = N_ELEMENTS(places);

const char *
place_kind_name(enum place_kind kind)
{
	static const char *const names[] = {
		[PLACE_DIR] = "folder",
		[PLACE_FILE] = "file",
		[PLACE_SOCKET] = "socket",
		[PLACE_PROGRAM] = "program",
	};

	return names[kind];
}

const char *
place_path(const struct place *p, const char *name, struct buf *path)
{
	if (name == NULL)
		name = p->name;
	if (p->kind == PLACE_PROGRAM)
		return layout_program(name, path);
	return name == NULL ? layout_path(p->where)
			    : layout_file(p->where, name, path);
}

const struct place *
place_of_file(enum place_kind kind, enum layout_place where, const char *name)
{
	const struct place *others = NULL;

	for (size_t i = 0; i < place_count; i++) {
		const struct place *p = &places[i];
		bool of_it = kind == PLACE_PROGRAM ? p->kind == PLACE_PROGRAM
						   : p->kind != PLACE_PROGRAM &&
							 p->where == where;
		if (!of_it || p->name == NULL)
			continue;
		if (strcmp(p->name, name) == 0)
			return p;
		if (strcmp(p->name, "*") == 0)
			others = p;
	}
	return others;
}
