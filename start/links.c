/* SPDX-License-Identifier: ISC
 * links: socket pairs between roles that both run.  Part of postern-start.
 */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include "common/io.h"
#include "common/log.h"
#include "common/packet.h"
#include "start/family.h"

/* Sends an end to c, named after the other role. */
static int
end_send(const struct child *c, const char *peer, int fd)
{
	char text[64];
	struct buf b = BUF_ON(text);

	packet_begin(&b, 'L');
	packet_str(&b, str_of(peer));
	return packet_send(c->channel.fd, buf_str(&b), &fd, 1);
}

/* True when made, or when one of the two is on its way out. */
static bool
link_make(
    const struct plan_link *l, const struct child *a, const struct child *b)
{
	int ends[2];

	if (io_pair(l->type | SOCK_NONBLOCK, ends) < 0) {
		LOG(ERROR, "link", F_TEXT("a", l->a), F_TEXT("b", l->b),
		    F_ERRNO(errno));
		return false;
	}
	int r = end_send(a, l->b, ends[0]);
	if (r == 0)
		r = end_send(b, l->a, ends[1]);
	int error = errno;
	io_close(&ends[0]);
	io_close(&ends[1]);
	/* EPIPE: that one's death is about to be told */
	return r == 0 || error == EPIPE;
}

/* The snapshot of the account database goes to userd like a link. */
static bool
accounts_send(struct family *f)
{
	const struct child *userd = family_find(f, "userd");

	if (!f->accounts_due || f->accounts_fd < 0 || userd == NULL ||
	    userd->state != FAMILY_READY)
		return true;
	if (end_send(userd, "accounts", f->accounts_fd) < 0)
		return errno == EPIPE;
	f->accounts_due = false;
	return true;
}

bool
links_make(struct family *f)
{
	bool all = accounts_send(f);

	for (size_t i = 0; i < plan_link_count; i++) {
		const struct plan_link *l = &plan_links[i];
		const struct child *a = family_find(f, l->a);
		const struct child *b = family_find(f, l->b);

		if (f->linked[i] || a == NULL || b == NULL ||
		    a->state != FAMILY_READY || b->state != FAMILY_READY)
			continue;
		f->linked[i] = link_make(l, a, b);
		all = all && f->linked[i];
	}
	return all;
}

void
links_forget(struct family *f, const struct child *c)
{
	for (size_t i = 0; i < plan_link_count; i++)
		if (strcmp(plan_links[i].a, c->plan->name) == 0 ||
		    strcmp(plan_links[i].b, c->plan->name) == 0)
			f->linked[i] = false;
	if (strcmp(c->plan->name, "userd") == 0)
		f->accounts_due = true;
}
