/* SPDX-License-Identifier: ISC
 * hasher: see the header.
 */
#include <errno.h>
#include <sodium.h>
#include <sys/socket.h>
#include <unistd.h>
#include "common/clock.h"
#include "common/die.h"
#include "common/io.h"
#include "common/log.h"
#include "common/loop.h"
#include "common/packet.h"
#include "common/verdict.h"
#include "users/hashd.h"
#include "users/hasher.h"

struct worker {
	struct watch watch;		       /* fd -1: no such worker now */
	void (*done)(void *arg, char verdict); /* NULL: free */
	void *arg;
	int64_t since; /* of the check that runs */
};

static struct worker workers[HASHD_WORKERS];
static struct watch keeper = { .fd = -1 };
static char dummy[crypto_pwhash_STRBYTES];

void (*hasher_on_free)(void);

static struct worker *
free_worker(void)
{
	for (size_t i = 0; i < HASHD_WORKERS; i++)
		if (workers[i].watch.fd >= 0 && !workers[i].done)
			return &workers[i];
	return NULL;
}

/* Ends the check that runs, if one does. */
static void
finish(struct worker *w, char verdict)
{
	void (*done)(void *, char) = w->done;
	w->done = NULL;
	if (done)
		done(w->arg, verdict);
	if (hasher_on_free)
		hasher_on_free();
}

static void
drop(struct worker *w)
{
	loop_remove(&w->watch);
	io_close(&w->watch.fd);
	finish(w, VERDICT_DEFER);
}

static void
on_worker(struct watch *watch, uint32_t events)
{
	struct worker *w = watch->arg;
	char answer;
	(void)events;
	ssize_t n = recv(watch->fd, &answer, 1, MSG_DONTWAIT);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n == 1 && w->done &&
	    (answer == VERDICT_OK || answer == VERDICT_FAIL ||
		answer == VERDICT_DEFER))
		finish(w, answer);
	else
		drop(w); /* it died, or says what it was not asked */
}

static void
add_worker(int fd)
{
	for (size_t i = 0; i < HASHD_WORKERS; i++) {
		struct worker *w = &workers[i];
		if (w->watch.fd >= 0)
			continue;
		w->watch =
		    (struct watch){ .fd = fd, .ready = on_worker, .arg = w };
		if (loop_add(&w->watch, EPOLLIN) < 0)
			io_close(&w->watch.fd);
		else if (hasher_on_free)
			hasher_on_free();
		return;
	}
	io_close(&fd);
}

static void
on_keeper(struct watch *w, uint32_t events)
{
	char storage[16];
	struct str bytes;
	int fds[PACKET_FDS];
	size_t nfds;
	(void)events;
	for (;;) {
		int n = packet_recv(w->fd, storage, sizeof(storage),
		    MSG_DONTWAIT, &bytes, fds, &nfds);
		if (n < 0 && errno == EAGAIN)
			return;
		if (n <= 0) /* start runs us again, with a fresh one */
			die(EXITCODE_TEMPORARY, "the hash keeper is gone", 0);
		if (nfds == 1 && str_eq(bytes, STR("W")))
			add_worker(fds[0]);
		else
			packet_close_fds(fds, nfds);
	}
}

/* The string form of a hash whose digest is random: found by no password. */
static void
make_dummy(void)
{
	unsigned char salt[crypto_pwhash_SALTBYTES], digest[32];
	char salt64[64], digest64[64];
	struct buf b = BUF_ON(dummy);
	randombytes_buf(salt, sizeof(salt));
	randombytes_buf(digest, sizeof(digest));
	sodium_bin2base64(salt64, sizeof(salt64), salt, sizeof(salt),
	    sodium_base64_VARIANT_ORIGINAL_NO_PADDING);
	sodium_bin2base64(digest64, sizeof(digest64), digest, sizeof(digest),
	    sodium_base64_VARIANT_ORIGINAL_NO_PADDING);
	buf_puts(&b, "$argon2id$v=19$m=");
	buf_put_u64(&b, crypto_pwhash_MEMLIMIT_INTERACTIVE / 1024);
	buf_puts(&b, ",t=");
	buf_put_u64(&b, crypto_pwhash_OPSLIMIT_INTERACTIVE);
	buf_puts(&b, ",p=1$");
	buf_puts(&b, salt64);
	buf_puts(&b, "$");
	buf_puts(&b, digest64);
	if (!buf_cstr(&b))
		bug("the dummy hash is too long");
}

void
hasher_start(void)
{
	if (sodium_init() < 0)
		die(EXITCODE_TEMPORARY, "sodium_init", 0);
	for (size_t i = 0; i < HASHD_WORKERS; i++)
		workers[i].watch.fd = -1;
	keeper = (struct watch){ .fd = hashd_start(), .ready = on_keeper };
	make_dummy();
}

void
hasher_watch(void)
{
	if (loop_add(&keeper, EPOLLIN) < 0)
		die(EXITCODE_TEMPORARY, "epoll_ctl", errno);
}

bool
hasher_idle(void)
{
	return free_worker() != NULL;
}

int
hasher_check(struct str hash, struct str password,
    void (*done)(void *arg, char verdict), void *arg)
{
	char room[HASHD_PACKET];
	struct buf b = BUF_ON(room);
	struct worker *w = free_worker();
	if (!w)
		return -1;
	packet_begin(&b, 'V');
	packet_str(&b, hash);
	packet_str(&b, password);
	int r = b.full ? -1 : packet_send(w->watch.fd, buf_str(&b), NULL, 0);
	sodium_memzero(room, sizeof(room));
	if (r < 0)
		return -1;
	w->done = done;
	w->arg = arg;
	w->since = clock_mono_ms();
	return 0;
}

void
hasher_expire(int64_t ms)
{
	for (size_t i = 0; i < HASHD_WORKERS; i++)
		if (workers[i].done && clock_mono_ms() - workers[i].since > ms)
			drop(&workers[i]);
}

struct str
hasher_dummy(void)
{
	return str_of(dummy);
}
