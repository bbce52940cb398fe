/* SPDX-License-Identifier: ISC
 * statusview: how `postern status` shows what it has found, as tables of at
 * most 80 columns or as JSON.
 */
#ifndef STATUSVIEW_H
#define STATUSVIEW_H

#include "install/diskroom.h"
#include "install/lasterrors.h"
#include "install/queuestats.h"
#include "install/running.h"

/* As monitoring wants it (Nagios' plugins). */
enum status_level { STATUS_OK, STATUS_WARNING, STATUS_CRITICAL };

enum { STATUS_REASONS = 8, STATUS_REASON = 640 /* a path and words */ };

struct status {
	enum status_level level;
	bool down; /* nothing runs */
	struct running roles[RUNNING_MAX];
	int role_count;
	struct queuestats queue;
	struct diskroom disk;
	struct lasterrors errors;
	bool files_known;
	uint64_t files; /* of messages in the spool, when nothing runs */
	bool drop_known;
	uint64_t dropped; /* files in the drop box */
	size_t reason_count;
	char reason[STATUS_REASONS][STATUS_REASON]; /* why it is not OK */
};

void statusview_text(const struct status *);
void statusview_json(const struct status *);

#endif
