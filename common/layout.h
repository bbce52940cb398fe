/* SPDX-License-Identifier: ISC
 * layout: where Postern's files are.  $POSTERN_ROOT moves all of them below
 * another folder, for tests and trials.
 */
#ifndef LAYOUT_H
#define LAYOUT_H

#include "common/buf.h"

enum layout_place {
	LAYOUT_CONTROL, /* /etc/postern: control files, one setting each */
	LAYOUT_USERS,	/* /etc/postern/users: tables of userd */
	LAYOUT_SPOOL,	/* /var/spool/postern: queued's alone */
	LAYOUT_RUN,	/* /run/postern: sockets, the list of running roles */
	LAYOUT_MAIL,	/* /var/mail/postern: virtual mailboxes */
	LAYOUT_LOG,	/* /var/log/postern: the log, where it is files */
	LAYOUT_DROP,	/* /var/spool/postern-drop: the drop box, pickup's */
	LAYOUT_DROP_NEW /* its folder that postern-queue writes to */
};

/* Reads POSTERN_ROOT; call once, first thing in main.  Dies (100) when it is
 * not an absolute path or too long. */
void layout_init(void);
/* The place's path, ended by NUL; lives as long as the process. */
const char *layout_path(enum layout_place);
/* path = place "/" name.  Dies (100) when it does not fit. */
const char *layout_file(enum layout_place, const char *name, struct buf *);
/* Path of another program of the suite: beside the running one.  Dies (111)
 * when it cannot be told. */
const char *layout_program(const char *name, struct buf *);

#endif
