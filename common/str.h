/* SPDX-License-Identifier: ISC
 * str: a borrowed run of bytes, with its length.  Never freed, never assumed to
 * end in NUL, may hold any byte.  Network input is handled as str only.
 */
#ifndef STR_H
#define STR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct str {
	const char *p;
	size_t n;
};

#define STR(literal)  ((struct str){ .p = (literal), .n = sizeof(literal) - 1 })
#define N_ELEMENTS(a) (sizeof(a) / sizeof((a)[0]))

/* A str over the bytes of a C string, or the empty str for NULL. */
struct str str_of(const char *cstr);
bool str_eq(struct str a, struct str b);
/* As str_eq, with ASCII letters of either case alike (no locale). */
bool str_ieq(struct str a, struct str b);
bool str_starts(struct str s, struct str prefix);
bool str_istarts(struct str s, struct str prefix);
bool str_ends(struct str s, struct str suffix);
/* Order as memcmp, a prefix before what it begins: <0, 0, >0. */
int str_cmp(struct str a, struct str b);
/* s without its first n bytes; empty when it has no more than n. */
struct str str_skip(struct str s, size_t n);
/* The first n bytes of s; s itself when it has no more than n. */
struct str str_head(struct str s, size_t n);
/* Index of the first c, or s.n when there is none. */
size_t str_find(struct str s, char c);
/* Splits at the first (str_rcut: last) c into what stands before and behind it.
 * False when there is none: then *head is s and *tail empty.  The outputs may
 * be s itself. */
bool str_cut(struct str s, char c, struct str *head, struct str *tail);
bool str_rcut(struct str s, char c, struct str *head, struct str *tail);
/* s without spaces and tabs (and CR, LF) at both ends. */
struct str str_trim(struct str s);
/* Next word of *rest: what stands before a space or tab, and is not empty;
 * takes it from *rest.  Empty at the end. */
struct str str_word(struct str *rest);
/* Next line of *rest without its LF; takes it from *rest.  False at the end. A
 * last line without LF counts. */
bool str_line(struct str *rest, struct str *line);
/* Decimal digits only, at least one, value at most max; else false and *v is
 * not set. */
bool str_u64(struct str s, uint64_t max, uint64_t *v);
/* Exactly 16 lower-case hexadecimal digits (the form of a queue id). */
bool str_hex64(struct str s, uint64_t *v);
bool byte_is_digit(char c);
bool byte_is_alpha(char c);
char byte_lower(char c);

#endif
