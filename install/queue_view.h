/* SPDX-License-Identifier: ISC
 * queue_view: keeps the rows that qmgr lists and prints them, for `postern
 * queue`.
 */
#ifndef QUEUE_VIEW_H
#define QUEUE_VIEW_H

#include "common/str.h"

/* One unfinished recipient. */
struct queue_row {
	uint64_t id;
	int64_t birth, due; /* seconds since 1970; due 0: not waiting */
	uint64_t size;
	struct str sender, address, text;
	uint32_t idx;
	char state; /* n w h a b m, as in INTERNALS.md */
	unsigned attempts;
	char *storage; /* queue_view's own copy of the texts */
};

/* Keeps a copy.  False: no memory. */
bool queue_view_add(const struct queue_row *);
size_t queue_view_count(void);
void queue_view_clear(void);
/* A line per recipient, aligned, oldest message first. */
void queue_view_table(int64_t now);
/* An object per message and line. */
void queue_view_json(void);
/* A paragraph per message. */
void queue_view_details(int64_t now);

#endif
