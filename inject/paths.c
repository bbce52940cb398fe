/* SPDX-License-Identifier: ISC
 * paths: contract in paths.h.  Pure.
 */
#include "inject/paths.h"

/* The byte that says what comes.  MORE: go on. */
static enum paths_status
take_type(struct paths *p, char c)
{
	if (p->state == PATHS_WANT_T && c == '\0')
		return PATHS_END;
	if (c != (p->state == PATHS_WANT_F ? 'F' : 'T'))
		return PATHS_BAD;
	p->state = p->state == PATHS_WANT_F ? PATHS_IN_F : PATHS_IN_T;
	p->n = 0;
	return PATHS_MORE;
}

static enum paths_status
take_byte(struct paths *p, char c, char *type, struct str *path)
{
	if (p->state == PATHS_WANT_F || p->state == PATHS_WANT_T)
		return take_type(p, c);
	if (c != '\0') {
		if (p->n == sizeof(p->text))
			return PATHS_LONG;
		p->text[p->n++] = c;
		return PATHS_MORE;
	}
	*type = p->state == PATHS_IN_F ? 'F' : 'T';
	*path = (struct str){ .p = p->text, .n = p->n };
	p->state = PATHS_WANT_T;
	return PATHS_ONE;
}

enum paths_status
paths_next(struct paths *p, struct str *in, char *type, struct str *path)
{
	enum paths_status status = PATHS_MORE;

	while (status == PATHS_MORE && in->n > 0) {
		status = take_byte(p, in->p[0], type, path);
		*in = str_skip(*in, 1);
	}
	return status;
}
