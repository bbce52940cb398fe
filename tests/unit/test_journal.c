/* SPDX-License-Identifier: ISC
 * Tests of queue/journal and queue/recover on a spool in a temporary folder:
 * batches, the ring going round, and what recovery makes of records that are
 * torn, flipped, foreign or void.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "common/io.h"
#include "common/log.h"
#include "queue/found.h"
#include "queue/messfile.h"
#include "queue/spool.h"

enum { SIZE = 128 * 1024, SEGMENTS = 6 };

struct place {
	char path[64];
	int dirfd;
	struct spool *spool;
};

static void
open_spool(struct place *p)
{
	struct spool *s = p->spool;
	p->dirfd = open(p->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(p->dirfd >= 0);
	spool_open(s, p->dirfd);
	int fd =
	    openat(p->dirfd, "journal", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(fd >= 0);
	journal_init(&s->journal, fd, s->key, SEGMENTS, SIZE);
	spool_recover(s);
	while (found_run(s))
		;
	for (size_t i = 0; i < SEGMENTS; i++) {
		if (s->journal.seg[i].state != SEGMENT_ABSENT)
			continue;
		assert_int_equal(journal_make(fd, i, SIZE), 0);
		assert_int_equal(journal_adopt(&s->journal, i), 0);
	}
}

static void
close_spool(struct place *p)
{
	struct spool *s = p->spool;
	for (size_t i = 0; i < JOURNAL_MAX; i++)
		io_close(&s->journal.seg[i].fd);
	io_close(&s->journal.dirfd);
	io_close(&s->lockfd);
	io_close(&p->dirfd);
	ledger_free(&s->ledger);
}

static void
reopen(struct place *p)
{
	close_spool(p);
	open_spool(p);
}

static int
setup(void **state)
{
	struct place *p = calloc(1, sizeof(*p));
	assert_non_null(p);
	p->spool = calloc(1, sizeof(*p->spool));
	assert_non_null(p->spool);
	strcpy(p->path, "/tmp/test-journal-XXXXXX");
	assert_non_null(mkdtemp(p->path));
	open_spool(p);
	*state = p;
	return 0;
}

static int
teardown(void **state)
{
	struct place *p = *state;
	char command[128];
	close_spool(p);
	snprintf(command, sizeof(command), "rm -rf %s", p->path);
	assert_int_equal(system(command), 0);
	free(p->spool);
	free(p);
	return 0;
}

/* ---- writing as commit does ---- */

static struct bytes meta_space, body_space;

static void
put_message(struct spool *s, uint64_t id, size_t body_n, uint64_t finishes)
{
	char text[512];
	struct buf b = BUF_ON(text);
	const struct envelope e = { .birth = 1,
		.sid = STR("s"),
		.finishes = finishes,
		.finished = finishes != 0 ? STR("\0\0\0\0") : STR(""),
		.recipients = { .count = 2 } };
	buf_cut(&b, 0);
	char head[RECORD_HEAD] = { 0 };
	struct str room = { head, sizeof(head) };
	envelope_put_head(&b, &e);
	packet_str(&b, STR("a@b.c"));
	packet_str(&b, STR("d@e.f"));
	meta_space.n = body_space.n = 0;
	assert_true(bytes_put(&meta_space, room));
	assert_true(bytes_put(&meta_space, buf_str(&b)));
	assert_true(bytes_reserve(&body_space, body_n));
	memset(body_space.p, (int)(id & 0xff), body_n);
	body_space.n = body_n;
	(void)journal_add(
	    &s->journal, RECORD_MESSAGE, id, &meta_space, &body_space);
}

static bool
write_message(struct spool *s, uint64_t id, size_t body_n)
{
	struct journal *j = &s->journal;
	if (!journal_fits(j, 300, body_n) && journal_advance(j, id) < 0)
		return false;
	put_message(s, id, body_n, 0);
	assert_int_equal(journal_commit(j), 0);
	return true;
}

static void
write_marks(struct spool *s, enum record_type type, uint64_t id, uint32_t idx)
{
	char text[ENVELOPE_MARK];
	struct buf b = BUF_ON(text);
	char head[RECORD_HEAD] = { 0 };
	struct str room = { head, sizeof(head) };
	const struct mark m = { .id = id, .idx = idx, .verdict = 'K' };
	mark_put(&b, &m);
	meta_space.n = 0;
	assert_true(bytes_put(&meta_space, room));
	assert_true(bytes_put(&meta_space, buf_str(&b)));
	if (!journal_fits(&s->journal, sizeof(text), 0))
		assert_int_equal(journal_advance(&s->journal, id), 0);
	(void)journal_add(&s->journal, type, 0, &meta_space, NULL);
	assert_int_equal(journal_commit(&s->journal), 0);
}

static bool
is_there(const struct spool *s, uint64_t id)
{
	return ledger_find(&s->ledger, id) != LEDGER_NONE;
}

/* ---- tests ---- */

static void
test_messages_and_marks_come_back(void **state)
{
	struct place *p = *state;
	struct spool *s = p->spool;
	for (uint64_t id = 1; id <= 10; id++)
		assert_true(write_message(s, id, 100 * id));
	write_marks(s, RECORD_MARKS, 3, 0);
	write_marks(s, RECORD_MARKS, 4, 0);
	write_marks(s, RECORD_MARKS, 4, 1);
	write_marks(s, RECORD_MARKS, 99, 0);
	for (int i = 0; i < 3; i++) {
		reopen(p);
		assert_int_equal(s->ledger.count, 9);
		assert_false(is_there(s, 4));
		const struct ledger_entry *e =
		    ledger_at(&s->ledger, ledger_find(&s->ledger, 3));
		assert_true(ledger_is_done(e, 0) && !ledger_is_done(e, 1));
		assert_int_equal(e->body_n, 300);
		assert_true(s->last_id >= 10);
		assert_int_equal(s->journal.sequence, 14);
	}
}

static void
test_batches_start_on_blocks(void **state)
{
	struct place *p = *state;
	struct journal *j = &p->spool->journal;
	assert_true(write_message(p->spool, 1, 10));
	assert_int_equal(j->open->used, 2 * RECORD_BLOCK);
	assert_true(write_message(p->spool, 2, RECORD_BLOCK));
	assert_int_equal(j->open->used, 4 * RECORD_BLOCK);
}

static void
test_never_appends_to_a_found_segment(void **state)
{
	struct place *p = *state;
	struct spool *s = p->spool;
	assert_true(write_message(s, 1, 10));
	uint32_t number = s->journal.newest;
	reopen(p);
	assert_null(s->journal.open);
	assert_true(write_message(s, 2, 10));
	assert_int_equal(s->journal.newest, number + 1);
	assert_int_equal(journal_at(&s->journal, number)->state, SEGMENT_FULL);
}

static void
test_void_records(void **state)
{
	struct place *p = *state;
	struct spool *s = p->spool;
	assert_true(write_message(s, 1, 10));
	assert_true(write_message(s, 2, 10));
	reopen(p);
	write_marks(s, RECORD_VOID, 2, 0);
	reopen(p);
	assert_true(is_there(s, 1));
	assert_false(is_there(s, 2));
}

static void
test_bounce_finishes(void **state)
{
	struct place *p = *state;
	struct spool *s = p->spool;
	assert_true(write_message(s, 1, 10));
	put_message(s, 2, 20, 1);
	assert_int_equal(journal_commit(&s->journal), 0);
	reopen(p);
	const struct ledger_entry *e =
	    ledger_at(&s->ledger, ledger_find(&s->ledger, 1));
	assert_true(ledger_is_done(e, 0) && !ledger_is_done(e, 1));
	assert_true(is_there(s, 2));
}

/* settle made a file of the bounce before the host died; of a finished one too.
 */
static void
test_bounce_with_a_file_finishes(void **state)
{
	struct place *p = *state;
	struct spool *s = p->spool;
	struct messfile f;
	char name[MESS_NAME];
	assert_true(write_message(s, 1, 10));
	put_message(s, 2, 20, 1);
	assert_int_equal(journal_commit(&s->journal), 0);
	mess_name(2, name);
	name[7] = '\0';
	assert_int_equal(mkdirat(p->dirfd, name, 0700), 0);
	mess_name(2, name);
	struct str meta = str_skip(bytes_str(&meta_space), RECORD_HEAD);
	assert_true(messfile_write(p->dirfd, name, s->key, 2, meta,
			bytes_str(&body_space), &f) >= 0);
	for (int i = 0; i < 2; i++) {
		reopen(p);
		const struct ledger_entry *e =
		    ledger_at(&s->ledger, ledger_find(&s->ledger, 1));
		assert_true(ledger_is_done(e, 0) && !ledger_is_done(e, 1));
		/* now the bounce is delivered */
		assert_int_equal(
		    messfile_append(&f, s->key, MESS_STATE, STR("\3")), 0);
	}
	messfile_close(&f);
}

/* Its write failed, but came to the disk: there will be another bounce. */
static void
test_void_bounce_finishes_nothing(void **state)
{
	struct place *p = *state;
	struct spool *s = p->spool;
	assert_true(write_message(s, 1, 10));
	put_message(s, 2, 20, 1);
	assert_int_equal(journal_commit(&s->journal), 0);
	write_marks(s, RECORD_VOID, 2, 0);
	reopen(p);
	assert_false(is_there(s, 2));
	const struct ledger_entry *e =
	    ledger_at(&s->ledger, ledger_find(&s->ledger, 1));
	assert_false(ledger_is_done(e, 0));
}

/* Retires strictly oldest first, and overwrites what was freed. */
static void
test_ring(void **state)
{
	struct place *p = *state;
	struct spool *s = p->spool;
	struct journal *j = &s->journal;
	uint64_t id = 0;
	while (write_message(s, ++id, 60000))
		;
	assert_int_equal(j->free, 0);
	reopen(p);
	assert_int_equal(j->free, 0);
	assert_int_equal(s->ledger.count, id - 1);
	assert_false(journal_oldest_idle(j));
	/* all but the oldest message: nothing can be freed */
	for (uint64_t i = 2; i < id; i++)
		for (uint32_t r = 0; r < 2; r++)
			assert_true(spool_mark(s, i, r, j->newest));
	assert_false(journal_oldest_idle(j));
	assert_true(spool_mark(s, 1, 0, j->newest));
	assert_true(spool_mark(s, 1, 1, j->newest));
	unsigned freed = 0;
	for (; journal_oldest_idle(j); freed++)
		assert_true(journal_retire(j));
	assert_int_equal(freed, SEGMENTS);
	/* what was there is not replayed, though its bytes still are */
	assert_true(write_message(s, 1000, 10));
	reopen(p);
	assert_int_equal(s->ledger.count, 1);
	assert_true(is_there(s, 1000));
}

static void
test_overwritten_segment_forgets_old_records(void **state)
{
	struct place *p = *state;
	struct spool *s = p->spool;
	struct journal *j = &s->journal;
	for (uint64_t id = 1; id <= 8; id++)
		assert_true(write_message(s, id, 3000));
	size_t used = (size_t)(j->open - j->seg);
	reopen(p);
	for (uint64_t id = 1; id <= 8; id++)
		for (uint32_t r = 0; r < 2; r++)
			assert_true(spool_mark(s, id, r, j->newest));
	assert_true(journal_oldest_idle(j));
	assert_true(journal_retire(j));
	assert_int_equal(j->seg[used].state, SEGMENT_FREE);
	do
		assert_int_equal(journal_advance(j, 8), 0);
	while (j->open != &j->seg[used]);
	assert_true(write_message(s, 9, 10));
	reopen(p);
	assert_int_equal(s->ledger.count, 1);
}

/* ---- damage ---- */

static void
scribble(struct place *p, uint64_t at, const char *bytes, size_t n)
{
	struct spool *s = p->spool;
	struct str b = { bytes, n };
	assert_int_equal(io_pwrite_all(s->journal.open->fd, b, at), 0);
}

static void
test_torn_and_flipped(void **state)
{
	/* which block of which message is destroyed; all take two blocks */
	static const struct {
		uint64_t block, lost;
		uint32_t left;
	} table[] = { { 1, 1, 4 }, { 2, 1, 4 }, { 3, 2, 4 }, { 9, 5, 4 },
		{ 10, 5, 4 }, { 11, 0, 5 } };
	struct place *p = *state;
	struct spool *s = p->spool;
	char junk[16];
	memset(junk, 0x5a, sizeof(junk));
	for (size_t i = 0; i < N_ELEMENTS(table); i++) {
		for (uint64_t id = 1; id <= 5; id++)
			assert_true(write_message(s, id + 10 * i, 5000));
		scribble(
		    p, table[i].block * RECORD_BLOCK + 100, junk, sizeof(junk));
		uint32_t before = s->ledger.count;
		reopen(p);
		assert_int_equal(s->ledger.count, before + table[i].left);
		if (table[i].lost != 0)
			assert_false(is_there(s, table[i].lost + 10 * i));
	}
}

static void
test_record_of_another_place(void **state)
{
	struct place *p = *state;
	struct spool *s = p->spool;
	static char copy[2 * RECORD_BLOCK];
	for (uint64_t id = 1; id <= 3; id++)
		assert_true(write_message(s, id, 5000));
	/* a whole, valid record, but not at its offset */
	assert_int_equal(
	    io_pread_all(s->journal.open->fd, copy, sizeof(copy), RECORD_BLOCK),
	    (int64_t)sizeof(copy));
	scribble(p, 3 * RECORD_BLOCK, copy, sizeof(copy));
	scribble(p, 9 * RECORD_BLOCK, copy, sizeof(copy));
	reopen(p);
	assert_int_equal(s->ledger.count, 2);
	assert_true(is_there(s, 1) && is_there(s, 3));
}

static void
test_failed_write(void **state)
{
	struct place *p = *state;
	struct spool *s = p->spool;
	struct journal *j = &s->journal;
	assert_true(write_message(s, 1, 10));
	struct segment *failed = j->open;
	int good = failed->fd;
	failed->fd = open("/dev/full", O_RDONLY | O_CLOEXEC); /* EBADF */
	put_message(s, 2, 10, 0);
	assert_int_equal(journal_commit(j), -1);
	assert_null(j->open);
	assert_int_equal(j->failures, 1);
	assert_int_equal(failed->state, SEGMENT_FAILED);
	io_close(&failed->fd);
	failed->fd = good;
	assert_true(write_message(s, 3, 10));
	assert_int_equal(j->failures, 0);
	reopen(p);
	assert_true(is_there(s, 1) && !is_there(s, 2) && is_there(s, 3));
}

static void
test_only_zeros_are_new(void **state)
{
	struct place *p = *state;
	int fd = p->spool->journal.seg[SEGMENTS - 1].fd;
	assert_int_equal(journal_is_new(fd, SIZE), 1);
	assert_int_equal(pwrite(fd, "x", 1, SIZE - 1), 1);
	assert_int_equal(journal_is_new(fd, SIZE), 0);
	assert_int_equal(journal_is_new(-1, SIZE), -1);
	assert_int_equal(errno, EBADF);
	assert_int_equal(pwrite(fd, "", 1, SIZE - 1), 1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
		TEST(test_messages_and_marks_come_back),
		TEST(test_batches_start_on_blocks),
		TEST(test_never_appends_to_a_found_segment),
		TEST(test_void_records),
		TEST(test_bounce_finishes),
		TEST(test_bounce_with_a_file_finishes),
		TEST(test_void_bounce_finishes_nothing),
		TEST(test_ring),
		TEST(test_overwritten_segment_forgets_old_records),
		TEST(test_torn_and_flipped),
		TEST(test_record_of_another_place),
		TEST(test_failed_write),
		TEST(test_only_zeros_are_new),
	};
	log_init("test");
	int failed = cmocka_run_group_tests(tests, NULL, NULL);
	bytes_free(&meta_space);
	bytes_free(&body_space);
	return failed;
}
