/* SPDX-License-Identifier: ISC
 * Fuzz: userd's tables and what is looked up in them.  The input is cut at
 * NULs: users, aliases, relayrcpts, accounts, then addresses and login names.
 */
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>
#include "common/io.h"
#include "tests/fuzz/scratch.h"
#include "users/ask.h"
#include "users/line.h"
#include "users/loginname.h"
#include "users/resolve.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void
put_control(void)
{
	static bool done;
	if (done)
		return;
	scratch_put("me", STR("mx.example"));
	scratch_put("locals", STR("mx.example\n[192.0.2.1]"));
	scratch_put("virtualdomains", STR("virt.example\nuser.example:bob"));
	scratch_put("rcpthosts", STR("relay.example"));
	scratch_put("postmaster", STR("bob"));
	scratch_put("extensions", STR("1"));
	done = true;
}

static struct table *
make_accounts(struct str text)
{
	int fd = memfd_create("accounts", MFD_CLOEXEC);
	if (fd < 0 || io_write_all(fd, text) < 0)
		abort();
	struct table *t = tables_accounts(fd);
	(void)close(fd);
	return t;
}

static void
look(const struct tables *t, const struct table *accounts, struct str s)
{
	static char why_room[RESOLVE_TEXT], out_room[PACKET_MAX];
	struct buf why = BUF_ON(why_room), out = BUF_ON(out_room);
	struct resolved r, again;
	struct login l;
	resolve(t, accounts, s, &r, NULL);
	resolve(t, accounts, s, &again, &why);
	if (r.kind != again.kind)
		abort();
	if (r.kind == RESOLVE_VIRTUAL && !line_is_mailbox(r.mailbox))
		abort();
	loginname_find(t, accounts, s, &l);
	if (l.found && !line_is_hash(l.hash))
		abort();
	for (const char *kind = "RWQ"; *kind; kind++) {
		char room[LIMIT_ADDRESS + 16];
		struct buf q = BUF_ON(room);
		packet_begin(&q, *kind);
		packet_str(&q, s);
		struct packet p = packet_open(buf_str(&q));
		if (!q.full && s.n <= LIMIT_ADDRESS &&
		    (!ask_answer(t, accounts, &p, &out) || out.full))
			abort();
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static const char *const names[] = { "users", "aliases", "relayrcpts" };
	static char error[TABLES_ERROR];
	struct buf wrong = BUF_ON(error);
	struct str rest = { .p = (const char *)data, .n = n }, part;
	put_control();
	for (size_t i = 0; i < N_ELEMENTS(names); i++) {
		str_cut(rest, '\0', &part, &rest);
		scratch_put(names[i], part);
	}
	str_cut(rest, '\0', &part, &rest);
	struct table *accounts = make_accounts(part);
	struct tables *t = tables_load(scratch_dir(), scratch_dir(), &wrong);
	while (t && str_cut(rest, '\0', &part, &rest))
		look(t, accounts, part);
	tables_free(t);
	table_free(accounts);
	return 0;
}
