/* SPDX-License-Identifier: ISC
 * child: contract in child.h.
 */
#include "send/child.h"

#include <errno.h>
#include <sys/wait.h>
#include <unistd.h>
#include "common/die.h"
#include "common/io.h"
#include "common/log.h"
#include "common/packet.h"

struct asker qmgr, userd;
struct child children[CHILDREN];
static size_t used[CHILD_KINDS];
static size_t child_end; /* those from here on were never used */
static char packet_space[PACKET_MAX];

/* ---- children ---- */

bool
child_has_room(enum child_kind kind)
{
	static const size_t most[CHILD_KINDS] = { [CHILD_LOCAL] = LOCALS_MAX,
		[CHILD_RUNNER] = RUNNERS_MAX,
		[CHILD_POP3D] = POP3DS_MAX,
		[CHILD_REFUSED] = REFUSED_MAX };
	return used[kind] < most[kind];
}

struct child *
child_new(enum child_kind kind, uint64_t key)
{
	for (size_t i = 0; i < CHILDREN; i++) {
		if (children[i].kind != CHILD_FREE)
			continue;
		if (i >= child_end)
			child_end = i + 1;
		children[i] = (struct child){ .kind = kind,
			.key = key,
			.status = { .fd = -1 },
			.control = { .fd = -1 },
			.job_fd = -1,
			.qmgr_fd = -1 };
		used[kind]++;
		return &children[i];
	}
	bug("no place for a child"); /* on_link_ready looked */
}

void
child_free_if_over(struct child *c)
{
	if (c->kind == CHILD_FREE || c->pid != 0 || c->status.fd >= 0 ||
	    c->control.fd >= 0 || c->due != 0)
		return;
	used[c->kind]--;
	c->kind = CHILD_FREE;
}

void
child_forget_request(struct child *c)
{
	io_close(&c->job_fd);
	io_close(&c->qmgr_fd);
	c->asked = c->resumed = false;
	c->due = 0;
}

void
child_drop_watch(struct watch *w)
{
	loop_remove(w);
	io_close(&w->fd);
}

struct child *
child_find_local(const struct account *a, bool is_owner)
{
	for (size_t i = 0; i < child_end; i++) {
		struct child *c = &children[i];
		if (c->kind == CHILD_LOCAL && c->control.fd >= 0 &&
		    c->is_owner == is_owner &&
		    str_eq(str_of(c->account.name), str_of(a->name)))
			return c;
	}
	return NULL;
}

struct child *
child_find_pid(pid_t pid)
{
	for (size_t i = 0; i < child_end; i++)
		if (children[i].kind != CHILD_FREE && children[i].pid == pid)
			return &children[i];
	return NULL;
}

size_t
child_runners(const struct account *a)
{
	size_t n = 0;
	for (size_t i = 0; i < child_end; i++)
		n += children[i].kind == CHILD_RUNNER &&
		     str_eq(str_of(children[i].account.name), str_of(a->name));
	return n;
}

void
child_log_end(const struct child *c, int status)
{
	static const char *const programs[] = { [CHILD_LOCAL] = "local",
		[CHILD_RUNNER] = "programs",
		[CHILD_POP3D] = "pop3d" };
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return;
	LOG(WARN, "child-died", F_TEXT("user", c->account.name),
	    F_TEXT("program", programs[c->kind]),
	    F_NUM("signal", WIFSIGNALED(status) ? WTERMSIG(status) : 0),
	    F_NUM("exit", WIFEXITED(status) ? WEXITSTATUS(status) : 0));
}

/* ---- answers ---- */

static bool
is_due_to(const struct child *c, const struct asker *a)
{
	bool to_qmgr = c->due == 'A' || c->due == 'F';
	return c->kind != CHILD_FREE && c->due != 0 && to_qmgr == (a == &qmgr);
}

static int
send_due(struct child *c, int fd)
{
	struct buf b = BUF_ON(packet_space);
	packet_begin(&b, c->due);
	packet_u64(&b, c->key);
	if (c->due == 'A') {
		packet_u8(&b, c->resumed ? 1 : 0);
		packet_str(&b, c->is_owner ? STR("") : str_of(c->account.name));
		return packet_send(fd, buf_str(&b), &c->qmgr_fd, 1);
	}
	if (c->due == 'F')
		packet_u8(&b, (uint8_t)c->verdict);
	if (c->due != 'K')
		packet_str(&b, str_of(c->text));
	return packet_send(fd, buf_str(&b), NULL, 0);
}

void
asker_lose(struct asker *a)
{
	child_drop_watch(&a->watch);
	for (size_t i = 0; i < child_end; i++) {
		struct child *c = &children[i];
		bool is_qmgrs = c->kind == CHILD_LOCAL && a == &qmgr;
		if (is_due_to(c, a) || (is_qmgrs && c->asked)) {
			child_forget_request(c);
			child_free_if_over(c);
		}
	}
}

/* 0; -1: the link is full (to be tried again) or lost. */
static int
put(struct asker *a, int sent)
{
	if (sent == 0)
		return 0;
	a->blocked = errno == EAGAIN || errno == ENOBUFS;
	if (!a->blocked)
		asker_lose(a);
	return -1;
}

void
asker_answer_all(struct asker *a)
{
	a->blocked = false;
	for (size_t i = 0; i < child_end && a->watch.fd >= 0; i++) {
		struct child *c = &children[i];
		if (!is_due_to(c, a))
			continue;
		if (put(a, send_due(c, a->watch.fd)) < 0)
			return;
		child_forget_request(c);
		child_free_if_over(c);
	}
	if (a->end_due && a->watch.fd >= 0 &&
	    put(a, packet_send(a->watch.fd, STR("E"), NULL, 0)) == 0)
		a->end_due = false;
}

void
asker_answer(struct child *c, struct asker *a, char type, enum verdict verdict,
    const char *text)
{
	c->due = type;
	c->verdict = verdict;
	c->text = text;
	if (a->watch.fd < 0) {
		child_forget_request(c);
		child_free_if_over(c);
	} else if (!a->blocked) {
		asker_answer_all(a);
	}
}

void
asker_refuse(
    struct asker *a, uint64_t key, enum verdict verdict, const char *text)
{
	asker_answer(child_new(CHILD_REFUSED, key), a, a == &qmgr ? 'F' : 'Z',
	    verdict, text);
}
