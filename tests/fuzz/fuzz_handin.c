/* SPDX-License-Identifier: ISC
 * Fuzzes what postern-queue and postern-pickup read.  The first byte says where
 * the input is cut in two: whatever the cut, the result is the same.
 */
#include <stdlib.h>
#include <string.h>

#include "inject/dropfile.h"
#include "inject/dropname.h"
#include "inject/lines.h"
#include "inject/mailbox.h"
#include "inject/paths.h"
#include "tests/fuzz/within.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char out_space[2][64 * 1024];

/* ---- text ---- */

static enum lines_status
read_lines(struct str in, size_t cut, struct buf *out)
{
	struct lines l = { .cr = false };
	struct str part = str_head(in, cut);
	enum lines_status status = lines_feed(&l, &part, out);

	part = str_skip(in, cut);
	if (status == LINES_OK)
		status = lines_feed(&l, &part, out);
	return status == LINES_OK ? lines_end(&l) : status;
}

static void
fuzz_lines(struct str in, size_t cut)
{
	struct buf a = BUF_ON(out_space[0]), b = BUF_ON(out_space[1]);
	enum lines_status whole = read_lines(in, in.n, &a);

	if (read_lines(in, cut, &b) != whole ||
	    !str_eq(buf_str(&a), buf_str(&b)))
		abort();
	if (a.n > 0 &&
	    (memchr(a.p, '\r', a.n) != NULL || memchr(a.p, '\0', a.n) != NULL))
		abort();
	/* what has no CR is not changed */
	if (whole == LINES_OK && a.n != in.n && str_find(in, '\r') == in.n)
		abort();
}

/* ---- envelopes ---- */

static void
put_mailbox(struct str path)
{
	char space[LIMIT_ADDRESS], again_space[LIMIT_ADDRESS];
	struct buf b = BUF_ON(space), again = BUF_ON(again_space);

	if (mailbox_put_sender(&b, path, STR("me.example")) != ADDRESS_OK)
		return;
	/* canonical: it is its own canonical form */
	if (mailbox_put_sender(&again, buf_str(&b), STR("me.example")) !=
		ADDRESS_OK ||
	    !str_eq(buf_str(&b), buf_str(&again)))
		abort();
}

static enum paths_status
read_paths(struct paths *p, struct str part, struct buf *out)
{
	for (;;) {
		char type;
		struct str path;
		enum paths_status s = paths_next(p, &part, &type, &path);

		if (s != PATHS_ONE)
			return s;
		put_mailbox(path);
		buf_putc(out, type);
		buf_put(out, path);
	}
}

static void
fuzz_paths(struct str in, size_t cut)
{
	struct buf a = BUF_ON(out_space[0]), b = BUF_ON(out_space[1]);
	struct paths p = { .n = 0 };
	enum paths_status whole = read_paths(&p, in, &a);

	p = (struct paths){ .n = 0 };
	enum paths_status s = read_paths(&p, str_head(in, cut), &b);
	if (s == PATHS_MORE)
		s = read_paths(&p, str_skip(in, cut), &b);
	if (s != whole || !str_eq(buf_str(&a), buf_str(&b)))
		abort();
}

/* ---- files of the drop box ---- */

static void
fuzz_file(struct str in)
{
	struct dropfile d = { .begun = false };
	struct str frame;
	size_t used;
	enum dropfile_status s;

	while ((s = dropfile_next(&d, in, &frame, &used)) == DROPFILE_FRAME) {
		check_within(in, frame);
		if (used == 0 || used > in.n)
			abort();
		in = str_skip(in, used);
	}
	if (s == DROPFILE_END && (used > in.n || !d.envelope || d.paths == 0))
		abort();
}

static void
fuzz_name(struct str in)
{
	struct dropname d;
	char space[DROPNAME_ROOM];
	struct buf b = BUF_ON(space);

	if (dropname_parse(in, &d) &&
	    (dropname_put(&b, &d) == NULL || !str_eq(buf_str(&b), in)))
		abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size == 0 || size > sizeof(out_space[0]))
		return 0;
	struct str in = { (const char *)data + 1, size - 1 };
	size_t cut = data[0] > in.n ? in.n : data[0];

	fuzz_lines(in, cut);
	fuzz_paths(in, cut);
	fuzz_file(in);
	fuzz_name(in);
	return 0;
}
