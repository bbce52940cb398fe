/* SPDX-License-Identifier: ISC
 * name: contract in name.h.
 */
#include "pop3d/name.h"

struct str
name_unique(struct str name)
{
	return str_head(name, str_find(name, ':'));
}

static struct str
leading_digits(struct str s)
{
	size_t n = 0;
	while (n < s.n && byte_is_digit(s.p[n]))
		n++;
	return str_head(s, n);
}

uint64_t
name_time(struct str name)
{
	uint64_t v;
	return str_u64(leading_digits(name), UINT64_MAX - 1, &v) ? v
								 : UINT64_MAX;
}

/* The number behind `,KEY=` in the unique part; it ends there or at a comma. */
static bool
field(struct str name, char key, uint64_t *v)
{
	struct str rest = name_unique(name);

	while (str_cut(rest, ',', &(struct str){ 0 }, &rest)) {
		if (rest.n < 3 || rest.p[0] != key || rest.p[1] != '=')
			continue;
		struct str value = str_head(rest, str_find(rest, ','));
		return str_u64(str_skip(value, 2), (uint64_t)1 << 48, v);
	}
	return false;
}

bool
name_file_octets(struct str name, uint64_t *octets)
{
	return field(name, 'S', octets);
}

bool
name_wire_octets(struct str name, uint64_t *octets)
{
	uint64_t file, wire;

	if (!field(name, 'W', &wire))
		return false;
	if (name_file_octets(name, &file) &&
	    (wire < file || wire > 2 * file + 2))
		return false;
	*octets = wire;
	return true;
}

static bool
is_uid(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] < 0x21 || s.p[i] > 0x7e)
			return false;
	return s.n > 0 && s.n <= NAME_UID_MAX;
}

/* FNV-1a (Fowler, Noll, Vo) with a start value of our choice. */
static uint64_t
fnv1a(struct str s, uint64_t h)
{
	for (size_t i = 0; i < s.n; i++) {
		h ^= (unsigned char)s.p[i];
		h *= 0x100000001b3ULL;
	}
	return h;
}

void
name_put_hash(struct buf *b, struct str text)
{
	buf_putc(b, 'h');
	buf_put_hex64(b, fnv1a(text, 0xcbf29ce484222325ULL));
	buf_put_hex64(b, fnv1a(text, 0x9ae16a3b2f90404fULL));
}

void
name_put_uid(struct buf *b, struct str unique)
{
	if (is_uid(unique))
		buf_put(b, unique);
	else
		name_put_hash(b, unique);
}
