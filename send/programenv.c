/* SPDX-License-Identifier: ISC
 * programenv: contract in programenv.h.
 */
#include "send/programenv.h"

#include "common/address.h"
#include "common/clock.h"

bool
programenv_is_safe(struct str s)
{
	static const struct str extra = { "@._-+=/:[]%#~^,", 15 };
	for (size_t i = 0; i < s.n; i++)
		if (!byte_is_alpha(s.p[i]) && !byte_is_digit(s.p[i]) &&
		    str_find(extra, s.p[i]) == extra.n)
			return false;
	return true;
}

static void
put(struct buf *b, const char *name, struct str value)
{
	buf_puts(b, name);
	buf_putc(b, '=');
	buf_put(b, value);
	buf_putc(b, '\0');
}

/* HOST2 .. HOST4: HOST without its last one, two, three parts. */
static void
put_hosts(struct buf *b, struct str host)
{
	static const char *const names[] = { "HOST2", "HOST3", "HOST4" };
	struct str rest;
	put(b, "HOST", host);
	for (size_t i = 0; i < N_ELEMENTS(names); i++) {
		(void)str_rcut(host, '.', &host, &rest);
		put(b, names[i], host);
	}
}

/* EXT2 .. EXT4: EXT behind its first, second, third dash. */
static void
put_extensions(struct buf *b, struct str ext)
{
	static const char *const names[] = { "EXT2", "EXT3", "EXT4" };
	struct str head;
	put(b, "EXT", ext);
	for (size_t i = 0; i < N_ELEMENTS(names); i++) {
		(void)str_cut(ext, '-', &head, &ext);
		put(b, names[i], ext);
	}
}

/* mbox(5): "From SENDER Sun Nov  1 23:47:35 2026\n", made from the form
 * "Sun, 1 Nov 2026 23:47:35 +0000" (one or two digits of the day). */
static void
put_uufrom(struct buf *b, struct str sender, int64_t birth)
{
	char text[64];
	struct buf date = BUF_ON(text);
	clock_put_rfc5322(&date, birth);
	struct str weekday, day, month, year, time, rest = buf_str(&date);
	(void)str_cut(rest, ' ', &weekday, &rest);
	(void)str_cut(rest, ' ', &day, &rest);
	(void)str_cut(rest, ' ', &month, &rest);
	(void)str_cut(rest, ' ', &year, &rest);
	(void)str_cut(rest, ' ', &time, &rest);
	char pad[2] = { ' ', '0' };
	bool one_digit = day.n == 1 || (day.n == 2 && day.p[0] == '0');
	if (day.n > 0)
		pad[1] = day.p[day.n - 1];
	if (one_digit)
		day = (struct str){ .p = pad, .n = sizeof(pad) };
	struct str parts[] = { str_head(weekday, 3), month, day, time, year };
	buf_put(b, STR("UFLINE=From "));
	buf_put(b, sender.n > 0 ? sender : STR("MAILER-DAEMON"));
	for (size_t i = 0; i < N_ELEMENTS(parts); i++) {
		buf_putc(b, ' ');
		buf_put(b, parts[i]);
	}
	buf_puts(b, "\n");
	buf_putc(b, '\0');
}

static void
put_lines(struct buf *b, const struct programenv *e)
{
	buf_put(b, STR("RPLINE=Return-Path: <"));
	buf_put(b, e->sender);
	buf_put(b, STR(">\n"));
	buf_putc(b, '\0');
	buf_put(b, STR("DTLINE=Delivered-To: "));
	buf_put(b, e->recipient);
	buf_puts(b, "\n");
	buf_putc(b, '\0');
	put_uufrom(b, e->sender, e->birth);
}

bool
programenv_put(struct buf *b, const struct programenv *e)
{
	if (!programenv_is_safe(e->sender) ||
	    !programenv_is_safe(e->recipient) ||
	    !programenv_is_safe(e->extension))
		return false;
	struct address a = address_split(e->recipient);
	put(b, "SENDER", e->sender);
	put(b, "NEWSENDER", e->sender);
	put(b, "RECIPIENT", e->recipient);
	put(b, "LOCAL", a.local);
	put_hosts(b, a.domain);
	put_extensions(b, e->extension);
	if (e->by_default)
		put(b, "DEFAULT", str_skip(e->extension, e->matched));
	put_lines(b, e);
	put(b, "USER", e->user);
	put(b, "LOGNAME", e->user);
	put(b, "HOME", e->home);
	put(b, "SHELL", STR("/bin/sh"));
	put(b, "PATH", STR("/usr/local/bin:/usr/bin:/bin"));
	return true;
}
