/* SPDX-License-Identifier: ISC
 * control: contract in control.h, and the table of every setting.
 */
#include "common/control.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>
#include "common/io.h"
#include "common/limits.h"
#include "common/log.h"

#define NUMBER(n, dflt, lo, hi, text)                                          \
	{                                                                      \
		.name = (n), .kind = CONTROL_NUMBER, .fallback = (dflt),       \
		.min = (lo), .max = (hi), .help = (text)                       \
	}
#define LINE(n, dflt, text)                                                    \
	{                                                                      \
		.name = (n), .kind = CONTROL_LINE, .fallback = (dflt),         \
		.help = (text)                                                 \
	}
#define LIST(n, dflt, text) LIST_OF(n, dflt, SIZE_MAX, text)
/* of so many lines at most */
#define LIST_OF(n, dflt, most, text)                                           \
	{                                                                      \
		.name = (n), .kind = CONTROL_LIST, .fallback = (dflt),         \
		.max = (most), .help = (text)                                  \
	}

enum { TOLD_MAX = 20 }; /* mistakes of a list in the log; check tells all */

const struct control_setting control_settings[] = {
	LINE("me", NULL, "this host's name; default: the system's"),
	/* who we are, what is ours */
	LIST(
	    "locals", NULL, "domains of system and virtual users; default: me"),
	LIST("virtualdomains", "",
	    "domains of virtual users only, or domain:user"),
	LIST("rcpthosts", "", "further domains that mail is accepted for"),
	LIST("smtproutes", "", "domain:host:port in place of the MX"),
	LIST("destinations", "",
	    "limits of hosts: name connections=N messages=N rate=N/hour"),
	LIST_OF("relayclients", "", LIMIT_NETWORKS,
	    "networks that may send to anywhere"),
	LINE("postmaster", NULL, "gets double bounces; default: postmaster@me"),
	/* smtpd and listen */
	LIST("smtplisten", "0.0.0.0:25\n[::]:25\n", "addresses of SMTP"),
	LIST("pop3listen", "0.0.0.0:110\n[::]:110\n", "addresses of POP3"),
	LINE("smtpgreeting", NULL, "text behind 220; default: me"),
	NUMBER("databytes", "52428800", 0, 1ull << 40,
	    "largest message accepted, in bytes; 0: no limit"),
	NUMBER("timeoutsmtpd", "300", 1, 86400,
	    "seconds that an SMTP client may stay silent"),
	NUMBER("timeoutpop3", "600", 1, 86400,
	    "seconds that a POP3 client may stay silent"),
	NUMBER("concurrencyincoming", "1000", 1, LIMIT_INCOMING,
	    "SMTP sessions at a time"),
	NUMBER(
	    "concurrencypop3", "500", 1, LIMIT_POP3, "POP3 sessions at a time"),
	NUMBER("concurrencyperip", "250", 1, LIMIT_INCOMING,
	    "sessions at a time from one address"),
	NUMBER("concurrencyper64", "500", 1, LIMIT_INCOMING,
	    "sessions at a time from one IPv6 /64"),
	/* a program before the queue */
	LINE("filter", "", "program before the queue; see postern-filter(8)"),
	NUMBER("concurrencyfilter", "20", 1, LIMIT_FILTERS,
	    "filter programs at a time; further messages wait"),
	NUMBER("timeoutfilter", "300", 1, LIMIT_FILTER_S,
	    "seconds that a message may spend at the filter"),
	NUMBER("filtermemorymb", "256", 8, 65536,
	    "memory for messages at the filter, in MiB"),
	/* the queue */
	NUMBER("queuelifetime", "432000", 1, 31536000,
	    "seconds until undelivered mail is returned"),
	NUMBER(
	    "journalsegments", "16", 4, LIMIT_SEGMENTS, "segments in the ring"),
	NUMBER("journalsegmentmb", "16", 1, LIMIT_SEGMENT_MB,
	    "size of a segment, in MiB"),
	NUMBER("queuememorymb", "256", 8, 65536,
	    "memory for messages that arrive, in MiB"),
	NUMBER("spoolfloormb", "64", 0, 1ull << 30,
	    "free space below which mail is refused, in MiB"),
	NUMBER("spoolfloorinodes", "1000", 0, 1ull << 40,
	    "free inodes below which mail is refused"),
	NUMBER("concurrencyremote", "100", 0, LIMIT_REMOTES,
	    "connections to other hosts at a time; 0: that mail waits"),
	NUMBER("concurrencylocal", "64", 0, LIMIT_LOCALS,
	    "delivery processes at a time; 0: all that mail waits"),
	LINE(
	    "bouncefrom", "MAILER-DAEMON", "local part that bounces come from"),
	LINE("bouncehost", NULL, "domain that bounces come from; default: me"),
	/* mail of this host's programs */
	LINE("envnoathost", NULL,
	    "domain of envelope addresses without one; default: me"),
	LINE("defaulthost", NULL,
	    "domain of header addresses without one; default: me"),
	LINE("defaultdomain", "",
	    "added to hosts without a dot there; default: nothing"),
	LINE("plusdomain", "", "what user@host+ there ends in"),
	LINE("idhost", NULL, "behind the @ of Message-IDs; default: me"),
	NUMBER("dropmessages", "1000", 0, 100000,
	    "messages of a user that wait in the drop box, at most"),
	NUMBER("dropbytes", "104857600", 0, 1ull << 40,
	    "bytes of a user that wait in the drop box, at most"),
	/* sending */
	LINE("helohost", NULL, "name said in EHLO; default: me"),
	NUMBER("timeoutconnect", "60", 1, LIMIT_CONNECT_S,
	    "seconds to wait for a connection"),
	NUMBER("timeoutremote", "1200", 1, 86400,
	    "most seconds to wait for a remote server"),
	NUMBER("strict7bit", "0", 0, 1,
	    "1: bounce 8-bit mail that the next hop does not take"),
	LIST_OF(
	    "dialrefuse", "", LIMIT_NETWORKS, "networks never connected to"),
	LIST_OF("resolvers", NULL, LIMIT_RESOLVERS,
	    "DNS servers, IP or IP@port; default: resolv.conf"),
	NUMBER("extensions", "0", 0, 1,
	    "1: user-anything is accepted for a system user"),
};

const size_t control_setting_count = N_ELEMENTS(control_settings);

const struct control_setting *
control_find(const char *name)
{
	for (size_t i = 0; i < control_setting_count; i++)
		if (strcmp(control_settings[i].name, name) == 0)
			return &control_settings[i];
	return NULL;
}

static void (*on_mistake)(const char *file, unsigned line, const char *what);

void
control_on_mistake(
    void (*each)(const char *file, unsigned line, const char *what))
{
	on_mistake = each;
}

int
control_complain(const char *file, unsigned line, const char *what)
{
	if (on_mistake != NULL)
		on_mistake(file, line, what);
	else
		LOG(ERROR, "config-error", F_TEXT("file", file),
		    F_NUM("line", line), F_TEXT("what", what));
	return -1;
}

/* A file that cannot be read: why, and what to do. */
static int
unreadable(const char *file, int error)
{
	char text[160];
	struct buf b = BUF_ON(text);

	if (error == ELOOP)
		return control_complain(file, 0,
		    "is a symbolic link, which is not followed: put a copy of "
		    "the file here");
	if (error == EINVAL || error == EISDIR)
		return control_complain(file, 0,
		    "is no plain file: a setting is a file of text lines");
	buf_puts(&b, "cannot be read (");
	buf_puts(&b, strerror(error));
	buf_puts(&b, error == EACCES ? "): chmod 644" : "): look at the disk");
	return control_complain(file, 0, buf_cstr(&b));
}

/* Reads the first line of a file into out.  1; 0: no such file, or empty. */
static int
first_line(int dirfd, const char *name, struct buf *out)
{
	char text[CONTROL_LINE_MAX];
	int64_t n = io_read_file(dirfd, name, text, sizeof(text));
	if (n < 0 && errno == ENOENT)
		return 0;
	if (n < 0 && errno == EFBIG)
		return control_complain(
		    name, 1, "is longer than 1024 bytes: write a shorter line");
	if (n < 0)
		return unreadable(name, errno);
	struct str rest = { .p = text, .n = (size_t)n };
	struct str line;
	if (!str_line(&rest, &line))
		return 0;
	line = str_trim(line);
	if (memchr(text, '\0', (size_t)n) != NULL)
		return control_complain(
		    name, 1, "holds a NUL byte: write it anew, as plain text");
	buf_put(out, line);
	if (out->full)
		return control_complain(
		    name, 1, "is too long: write a shorter line");
	return line.n > 0;
}

static const struct control_setting *
setting(const char *name, enum control_kind kind)
{
	const struct control_setting *s = control_find(name);
	if (s == NULL || s->kind != kind)
		abort(); /* a name that is not in the table: our bug */
	return s;
}

int
control_number(int dirfd, const char *name, uint64_t *v)
{
	const struct control_setting *s = setting(name, CONTROL_NUMBER);
	char text[CONTROL_LINE_MAX];
	struct buf b = BUF_ON(text);
	int found = first_line(dirfd, name, &b);
	if (found < 0)
		return -1;
	struct str digits = found ? buf_str(&b) : str_of(s->fallback);
	uint64_t got;
	if (!str_u64(digits, s->max, &got) || got < s->min) {
		char why[96];
		struct buf w = BUF_ON(why);
		buf_puts(&w, "must be a whole number from ");
		buf_put_u64(&w, s->min);
		buf_puts(&w, " to ");
		buf_put_u64(&w, s->max);
		return control_complain(name, 1, buf_cstr(&w));
	}
	*v = got;
	return 0;
}

static void
put_host_name(struct buf *out)
{
	struct utsname u;
	buf_puts(out, uname(&u) == 0 ? u.nodename : "localhost");
}

/* Most lines without a default of their own are about this host. */
static int
put_default(int dirfd, const struct control_setting *s, struct buf *out)
{
	if (strcmp(s->name, "me") == 0) {
		put_host_name(out);
		return 0;
	}
	if (s->fallback != NULL) {
		buf_puts(out, s->fallback);
		return 0;
	}
	if (strcmp(s->name, "postmaster") == 0)
		buf_puts(out, "postmaster@");
	char text[CONTROL_LINE_MAX];
	struct buf me = BUF_ON(text);
	int found = first_line(dirfd, "me", &me);
	if (found < 0)
		return -1;
	if (found == 0)
		put_host_name(&me);
	buf_put(out, buf_str(&me));
	return 0;
}

int
control_line(int dirfd, const char *name, struct buf *out)
{
	const struct control_setting *s = setting(name, CONTROL_LINE);
	buf_reset(out);
	int found = first_line(dirfd, name, out);
	if (found < 0)
		return -1;
	if (found == 0 && put_default(dirfd, s, out) < 0)
		return -1;
	return out->full ? control_complain(
			       name, 1, "is too long: write a shorter line")
			 : 0;
}

static int
too_many_lines(const char *name, unsigned number, uint64_t most)
{
	char why[96];
	struct buf w = BUF_ON(why);
	buf_puts(&w, "is one line too many: write at most ");
	buf_put_u64(&w, most);
	return control_complain(name, number, buf_cstr(&w));
}

static int
each_line(const char *name, struct str rest, uint64_t most,
    const char *(*each)(void *arg, struct str line, unsigned number), void *arg)
{
	struct str line;
	uint64_t count = 0, mistakes = 0;
	for (unsigned number = 1; str_line(&rest, &line); number++) {
		line = str_trim(line);
		if (line.n == 0 || line.p[0] == '#')
			continue;
		if (++count > most)
			return too_many_lines(name, number, most);
		const char *wrong = NULL;
		if (line.n > CONTROL_LINE_MAX)
			wrong =
			    "is longer than 1024 bytes: write a shorter line";
		else if (memchr(line.p, '\0', line.n) != NULL)
			wrong =
			    "holds a NUL byte: write it anew, as plain text";
		else
			wrong = each(arg, line, number);
		if (wrong == NULL)
			continue;
		if (++mistakes <= TOLD_MAX || on_mistake != NULL)
			control_complain(name, number, wrong);
	}
	if (mistakes > TOLD_MAX && on_mistake == NULL)
		control_complain(
		    name, 0, "has more mistakes: postern check shows them all");
	return mistakes > 0 ? -1 : 0;
}

static int
default_list(int dirfd, const struct control_setting *s,
    const char *(*each)(void *arg, struct str line, unsigned number), void *arg)
{
	if (s->fallback != NULL)
		return each_line(
		    s->name, str_of(s->fallback), s->max, each, arg);
	if (strcmp(s->name, "locals") != 0)
		return 0;
	char text[CONTROL_LINE_MAX];
	struct buf me = BUF_ON(text);
	if (control_line(dirfd, "me", &me) < 0)
		return -1;
	return each_line("me", buf_str(&me), s->max, each, arg);
}

int
control_list(int dirfd, const char *name,
    const char *(*each)(void *arg, struct str line, unsigned number), void *arg)
{
	const struct control_setting *s = setting(name, CONTROL_LIST);
	int fd = openat(dirfd, name,
	    O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
	if (fd < 0 && errno == ENOENT)
		return default_list(dirfd, s, each, arg);
	if (fd < 0)
		return unreadable(name, errno);
	struct stat st;
	int result = -1;
	if (fstat(fd, &st) < 0) {
		unreadable(name, errno);
	} else if (!S_ISREG(st.st_mode)) {
		unreadable(name, EINVAL);
	} else if (st.st_size > CONTROL_FILE_MAX) {
		control_complain(name, 0,
		    "is larger than 4 MiB: take out what is not needed");
	} else {
		size_t cap = (size_t)st.st_size + 1;
		char *text = malloc(cap);
		int64_t n = text == NULL ? -1 : io_slurp(fd, text, cap);
		if (n < 0)
			unreadable(name, errno);
		else
			result = each_line(name,
			    (struct str){ .p = text, .n = (size_t)n }, s->max,
			    each, arg);
		free(text);
	}
	close(fd);
	return result;
}
