/* SPDX-License-Identifier: ISC
 * filter: contract in filter.h.
 */
#include "common/filter.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/seccomp.h>
#include <stdbool.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "common/die.h"

#if defined(__x86_64__) && !defined(__ILP32__)
#define THIS_ARCH AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define THIS_ARCH AUDIT_ARCH_AARCH64
#elif defined(__riscv) && __riscv_xlen == 64
#define THIS_ARCH AUDIT_ARCH_RISCV64
#elif defined(__powerpc64__) && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define THIS_ARCH AUDIT_ARCH_PPC64LE
#elif defined(__s390x__)
#define THIS_ARCH AUDIT_ARCH_S390X
#else
#error "filter.c does not know this architecture's AUDIT_ARCH"
#endif

enum {
	NUMBERS = 512,	  /* of system calls */
	X32 = 0x40000000, /* x86-64: numbers from here are another ABI's */
	FAR = 240	  /* instructions; a conditional jump's end is 255 */
};

/* The rows of each number, as lists: places in rows, from 1. */
struct lists {
	uint16_t first[NUMBERS], next[FILTER_ROWS];
	const struct filter_row *rows;
};

/* Written from its end to its beginning, since jumps go forward only: a jump's
 * aim, an index into code, is there before the jump. */
struct program {
	struct sock_filter *code;
	size_t n;
	bool full;
	uint32_t otherwise;
};

/* Calls from this number on, up to the next run, go on there. */
struct run {
	uint16_t from;
	size_t aim;
};

/* Its index. */
static size_t
put(struct program *p, uint16_t code, uint8_t yes, uint8_t no, uint32_t k)
{
	p->full = p->full || p->n == FILTER_CODE;
	if (p->full)
		return 0;
	p->code[p->n] =
	    (struct sock_filter){ .code = code, .jt = yes, .jf = no, .k = k };
	return p->n++;
}

/* The same aim or, when that is far away, a jump to it. */
static size_t
near(struct program *p, size_t aim)
{
	if (p->n - aim < FAR)
		return aim;
	return put(p, BPF_JMP | BPF_JA, 0, 0, (uint32_t)(p->n - aim - 1));
}

/* Both aims are near. */
static size_t
put_test(struct program *p, uint16_t test, uint32_t k, size_t yes, size_t no)
{
	return put(p, BPF_JMP | BPF_K | test, (uint8_t)(p->n - yes - 1),
	    (uint8_t)(p->n - no - 1), k);
}

static size_t
put_load(struct program *p, size_t offset)
{
	return put(p, BPF_LD | BPF_W | BPF_ABS, 0, 0, (uint32_t)offset);
}

/* One end for each action. */
static size_t
put_end(struct program *p, uint32_t action)
{
	for (size_t i = 0; i < p->n; i++)
		if (p->code[i].code == (BPF_RET | BPF_K) &&
		    p->code[i].k == action)
			return i;
	return put(p, BPF_RET | BPF_K, 0, 0, action);
}

static size_t
put_argument(struct program *p, const struct filter_row *r, size_t no)
{
	size_t low = offsetof(struct seccomp_data, args) +
		     sizeof(uint64_t) * (r->arg - 1);
	size_t high = low + sizeof(uint32_t);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
	high = low;
	low += sizeof(uint32_t);
#endif
	size_t yes = near(p, put_end(p, r->action));
	no = near(p, no);
	put_test(p, BPF_JEQ, (uint32_t)(r->value >> 32), yes, no);
	size_t other_half = put_load(p, high);
	put_test(p, BPF_JEQ, (uint32_t)r->value, other_half, no);
	return put_load(p, low);
}

/* What is to be done with one number. */
static size_t
put_number(struct program *p, const struct lists *l, unsigned nr)
{
	size_t aim = put_end(p, p->otherwise);
	for (unsigned i = l->first[nr]; i != 0; i = l->next[i - 1]) {
		const struct filter_row *r = &l->rows[i - 1];
		aim = r->arg == 0 ? put_end(p, r->action)
				  : put_argument(p, r, aim);
	}
	return aim;
}

static bool
sort_rows(struct lists *l, size_t count)
{
	if (count > FILTER_ROWS)
		return false;
	memset(l->first, 0, sizeof(l->first));
	for (size_t i = 0; i < count; i++) {
		const struct filter_row *r = &l->rows[i];
		if (r->nr < 0)
			continue;
		if (r->nr >= NUMBERS || r->arg > 6)
			return false;
		uint16_t *first = &l->first[r->nr];
		if (*first != 0 && l->rows[*first - 1].arg == 0)
			continue;
		l->next[i] = r->arg == 0 ? 0 : *first;
		*first = (uint16_t)(i + 1);
	}
	return true;
}

static size_t
put_runs(struct program *p, const struct lists *l, struct run *runs)
{
	size_t n = 0;
	for (unsigned nr = 0; nr <= NUMBERS; nr++) {
		size_t aim = nr < NUMBERS ? put_number(p, l, nr)
					  : put_end(p, p->otherwise);
		if (n == 0 || runs[n - 1].aim != aim)
			runs[n++] =
			    (struct run){ .from = (uint16_t)nr, .aim = aim };
	}
	return n;
}

/* Two neighbours become one, until there is but one: its aim. */
static size_t
put_tree(struct program *p, struct run *runs, size_t n)
{
	for (; n > 1; n = (n + 1) / 2) {
		for (size_t i = 0; i + 1 < n; i += 2) {
			size_t no = near(p, runs[i].aim);
			size_t yes = near(p, runs[i + 1].aim);
			runs[i / 2] = (struct run){ .from = runs[i].from,
				.aim = put_test(
				    p, BPF_JGE, runs[i + 1].from, yes, no) };
		}
		if (n % 2 == 1)
			runs[n / 2] = runs[n - 1];
	}
	return runs[0].aim;
}

static void
put_head(struct program *p, size_t tree)
{
	size_t kill = near(p, put_end(p, SECCOMP_RET_KILL_THREAD));
	tree = near(p, tree);
#if defined(__x86_64__)
	/* -1: a tracer has it skipped */
	size_t skipped = put_test(p, BPF_JEQ, UINT32_MAX, tree, kill);
	put_test(p, BPF_JGE, X32, skipped, tree);
#else
	put(p, BPF_JMP | BPF_JA, 0, 0, (uint32_t)(p->n - tree - 1));
#endif
	size_t number = put_load(p, offsetof(struct seccomp_data, nr));
	put_test(p, BPF_JEQ, THIS_ARCH, number, kill);
	put_load(p, offsetof(struct seccomp_data, arch));
}

size_t
filter_build(const struct filter_row *rows, size_t count, uint32_t otherwise,
    struct sock_filter code[FILTER_CODE])
{
	static struct lists l;
	static struct run runs[NUMBERS + 1];
	struct program p = { .code = code, .otherwise = otherwise };
	l.rows = rows;
	if (!sort_rows(&l, count))
		return 0;
	size_t n = put_runs(&p, &l, runs);
	put_head(&p, put_tree(&p, runs, n));
	if (p.full)
		return 0;
	for (size_t i = 0, k = p.n - 1; i < k; i++, k--) {
		struct sock_filter keep = code[i];
		code[i] = code[k];
		code[k] = keep;
	}
	return p.n;
}

void
filter_enter(const struct filter_row *rows, size_t count, uint32_t otherwise)
{
	static struct sock_filter code[FILTER_CODE];
	size_t n = filter_build(rows, count, otherwise, code);
	struct sock_fprog program = { .len = (unsigned short)n,
		.filter = code };
	if (n == 0)
		bug("a seccomp filter does not fit");
	if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) < 0)
		die(EXITCODE_TEMPORARY, "seccomp", errno);
}
