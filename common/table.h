/* SPDX-License-Identifier: ISC
 * table: a hash table from byte strings to byte strings, built once and then
 * only read; owns copies of what is put in.
 */
#ifndef TABLE_H
#define TABLE_H

#include "common/str.h"

struct table;

/* NULL with ENOMEM. */
struct table *table_new(void);
void table_free(struct table *); /* NULL is fine */
/* 0; -1 with EEXIST when the key is there, or ENOMEM. */
int table_put(struct table *, struct str key, struct str value);
/* True and *value (a view, valid until table_free) when the key is there. */
bool table_get(const struct table *, struct str key, struct str *value);
size_t table_count(const struct table *);

#endif
