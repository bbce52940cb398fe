/* SPDX-License-Identifier: ISC
 * Unit tests of common/filter: for random tables its programs decide every call
 * as libseccomp's do.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <cmocka.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include "common/filter.h"

enum { TABLES = 400, LOOKS = 400, CALLS = 470 };

struct code {
	struct sock_filter at[4096];
	size_t n;
};

static struct code ours, theirs;

static uint64_t
next_random(void)
{
	static uint64_t x = UINT64_C(0x9e3779b97f4a7c15);
	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	return x;
}

/* What the kernel's machine does with the instructions that both use. */
static uint32_t
run(const struct code *c, const struct seccomp_data *d)
{
	uint32_t a = 0;
	for (size_t i = 0; i < c->n; i++) {
		const struct sock_filter *f = &c->at[i];
		bool yes = false;
		switch (f->code) {
		case BPF_LD | BPF_W | BPF_ABS:
			assert_true(f->k + sizeof(a) <= sizeof(*d));
			memcpy(&a, (const char *)d + f->k, sizeof(a));
			continue;
		case BPF_RET | BPF_K:
			return f->k;
		case BPF_JMP | BPF_JA:
			i += f->k;
			continue;
		case BPF_JMP | BPF_JEQ | BPF_K:
			yes = a == f->k;
			break;
		case BPF_JMP | BPF_JGE | BPF_K:
			yes = a >= f->k;
			break;
		case BPF_JMP | BPF_JGT | BPF_K:
			yes = a > f->k;
			break;
		default:
			fail_msg("an instruction that this test does not know: "
				 "%#x",
			    f->code);
		}
		i += yes ? f->jt : f->jf;
	}
	fail_msg("a program without an end");
	return 0;
}

static void
build_theirs(const struct filter_row *rows, size_t n, int otherwise)
{
	scmp_filter_ctx c = seccomp_init(SCMP_ACT_ERRNO((unsigned)otherwise));
	assert_non_null(c);
	for (size_t i = 0; i < n; i++) {
		const struct filter_row *r = &rows[i];
		struct scmp_arg_cmp is = { .arg = r->arg - 1,
			.op = SCMP_CMP_EQ,
			.datum_a = r->value };
		uint32_t action = r->action == SECCOMP_RET_TRAP
				      ? SCMP_ACT_TRAP
				      : SCMP_ACT_ALLOW;
		int e =
		    seccomp_rule_add_array(c, action, r->nr, r->arg > 0, &is);
		assert_true(e == 0 || e == -EEXIST);
	}
	assert_int_equal(0, seccomp_attr_set(c, SCMP_FLTATR_CTL_OPTIMIZE, 2));
	int fd = memfd_create("filter", MFD_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(0, seccomp_export_bpf(c, fd));
	ssize_t got = pread(fd, theirs.at, sizeof(theirs.at), 0);
	assert_true(got > 0 && (size_t)got < sizeof(theirs.at));
	theirs.n = (size_t)got / sizeof(theirs.at[0]);
	close(fd);
	seccomp_release(c);
}

/* Each number is allowed, trapped, or allowed with one of some arguments. */
static size_t
make_table(struct filter_row *rows)
{
	size_t n = 0, share = next_random() % 8;
	for (int nr = 0; nr < CALLS && n + 4 < FILTER_ROWS; nr++) {
		unsigned kind = (unsigned)(next_random() % 16);
		if (next_random() % 8 > share)
			continue;
		unsigned some = kind < 12 ? 1 : 1 + kind % 3;
		unsigned arg = kind < 12 ? 0 : 1 + (unsigned)next_random() % 6;
		for (unsigned i = 0; i < some; i++)
			rows[n++] = (struct filter_row){ .nr = nr,
				.arg = arg,
				.value = (i % 2 == 0 ? 0 : UINT64_C(7) << 32) +
					 next_random() % 4,
				.action = kind > 8 ? SECCOMP_RET_ALLOW
						   : SECCOMP_RET_TRAP };
	}
	for (size_t i = n; i > 1; i--) { /* in any order */
		size_t k = next_random() % i;
		struct filter_row keep = rows[k];
		rows[k] = rows[i - 1];
		rows[i - 1] = keep;
	}
	return n;
}

static void
compare(const struct seccomp_data *d)
{
	uint32_t a = run(&ours, d), b = run(&theirs, d);
	if (a != b)
		fail_msg("call %d of %#x: %#x, libseccomp %#x", d->nr, d->arch,
		    a, b);
}

static void
test_as_libseccomp(void **state)
{
	static struct filter_row rows[FILTER_ROWS];
	static const int odd[] = { -1, -2, CALLS, 511, 512, 1000, 0x3fffffff,
		0x40000000, 0x40000001, INT32_MAX, INT32_MIN };
	(void)state;
	for (int table = 0; table < TABLES; table++) {
		size_t n = make_table(rows);
		ours.n =
		    filter_build(rows, n, SECCOMP_RET_ERRNO | ENOSYS, ours.at);
		assert_true(ours.n > 0 && ours.n <= FILTER_CODE);
		build_theirs(rows, n, ENOSYS);
		struct seccomp_data d = { .arch = seccomp_arch_native() };
		for (int look = 0; look < LOOKS + CALLS; look++) {
			d.nr =
			    look < CALLS ? look : (int)(next_random() % CALLS);
			for (size_t i = 0; i < 6; i++)
				d.args[i] = next_random() % 5 +
					    ((next_random() % 3) * 7 << 31);
			compare(&d);
		}
		for (size_t i = 0; i < sizeof(odd) / sizeof(odd[0]); i++) {
			d.nr = odd[i];
			compare(&d);
		}
		d.nr = 0;
		d.arch ^= 1;
		compare(&d);
	}
}

static void
test_a_plain_row_wins(void **state)
{
	const struct filter_row rows[] = {
		{ .nr = 5, .arg = 1, .value = 1, .action = SECCOMP_RET_ALLOW },
		{ .nr = 5, .action = SECCOMP_RET_ALLOW },
		{ .nr = 5, .arg = 1, .value = 2, .action = SECCOMP_RET_ALLOW },
	};
	struct seccomp_data d = { .nr = 5, .arch = seccomp_arch_native() };
	(void)state;
	ours.n = filter_build(rows, 3, SECCOMP_RET_TRAP, ours.at);
	assert_int_equal(SECCOMP_RET_ALLOW, run(&ours, &d));
	d.nr = 6;
	assert_int_equal(SECCOMP_RET_TRAP, run(&ours, &d));
}

static void
test_what_does_not_fit(void **state)
{
	static struct filter_row many[FILTER_ROWS + 1];
	const struct filter_row beyond = { .nr = 512 };
	(void)state;
	for (size_t i = 0; i <= FILTER_ROWS; i++)
		many[i] = (struct filter_row){ .nr = 1, .arg = 1, .value = i };
	assert_int_equal(0, filter_build(&beyond, 1, 0, ours.at));
	assert_int_equal(0, filter_build(many, FILTER_ROWS + 1, 0, ours.at));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_as_libseccomp),
		cmocka_unit_test(test_a_plain_row_wins),
		cmocka_unit_test(test_what_does_not_fit),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
