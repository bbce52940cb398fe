/* SPDX-License-Identifier: ISC
 * password: see the header.  Runs as the administrator.
 */
#include <errno.h>
#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>
#include "common/exitcode.h"
#include "common/io.h"
#include "common/limits.h"
#include "users/edit.h"
#include "users/password.h"

static bool never_ask;

void
password_from_stdin(void)
{
	never_ask = true;
}

/* One line, byte by byte, so that what follows stays unread.  False: too long,
 * or an error. */
static bool
read_line(struct buf *line)
{
	char c;
	for (;;) {
		ssize_t n = read(STDIN_FILENO, &c, 1);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return false;
		if (n == 0 || c == '\n')
			return !line->full;
		buf_putc(line, c);
	}
}

/* The terminal echoes again before a signal can end us. */
static bool
read_unseen(const char *prompt, struct str whose, struct buf *line)
{
	struct termios old, quiet;
	sigset_t all, before;
	if (tcgetattr(STDIN_FILENO, &old) < 0)
		return false;
	quiet = old;
	quiet.c_lflag &= ~(tcflag_t)ECHO;
	sigfillset(&all);
	if (sigprocmask(SIG_BLOCK, &all, &before) < 0 ||
	    tcsetattr(STDIN_FILENO, TCSAFLUSH, &quiet) < 0)
		return false;
	(void)fprintf(stderr, "%s %.*s: ", prompt, (int)whose.n, whose.p);
	bool good = read_line(line);
	(void)fputc('\n', stderr);
	if (tcsetattr(STDIN_FILENO, TCSAFLUSH, &old) < 0 ||
	    sigprocmask(SIG_SETMASK, &before, NULL) < 0)
		return false;
	return good;
}

static const char *
read_password(struct str whose, struct buf *first)
{
	static char room[LIMIT_PASSWORD];
	struct buf second = BUF_ON(room);
	if (never_ask || !isatty(STDIN_FILENO))
		return read_line(first) ? NULL : "no password, or too long";
	if (!read_unseen("Password of", whose, first) ||
	    !read_unseen("Again, of", whose, &second))
		return "no password, or too long";
	bool same = str_eq(buf_str(first), buf_str(&second));
	sodium_memzero(room, sizeof(room));
	return same ? NULL : "the two are not the same";
}

/* What POP3's PASS (RFC 1939) can carry. */
static const char *
check_password(struct str s)
{
	if (s.n == 0)
		return "an empty password is not taken";
	for (size_t i = 0; i < s.n; i++)
		if ((unsigned char)s.p[i] < 0x20)
			return "a control byte in the password";
	return NULL;
}

int
password_hash(struct str whose, struct buf *hash)
{
	static char room[LIMIT_PASSWORD], text[crypto_pwhash_STRBYTES];
	struct buf password = BUF_ON(room);
	if (sodium_init() < 0)
		return edit_fail(
		    EXITCODE_TEMPORARY, "libsodium cannot start", STR(""));
	const char *wrong = read_password(whose, &password);
	if (!wrong && str_ends(buf_str(&password), STR("\r")))
		buf_cut(&password, password.n - 1);
	if (!wrong)
		wrong = check_password(buf_str(&password));
	if (wrong)
		return edit_fail(EXITCODE_PERMANENT, wrong, STR(""));
	int r = crypto_pwhash_str(text, room, password.n,
	    crypto_pwhash_OPSLIMIT_INTERACTIVE,
	    crypto_pwhash_MEMLIMIT_INTERACTIVE);
	sodium_memzero(room, sizeof(room));
	if (r < 0)
		return edit_fail(EXITCODE_TEMPORARY,
		    "no memory to hash the password", STR(""));
	buf_puts(hash, text);
	return 0;
}
