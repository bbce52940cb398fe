/* SPDX-License-Identifier: ISC
 * postern alias import: /etc/aliases becomes a table of userd's, whole or not
 * at all (postern-alias(1)).  Runs as the administrator.
 *
 * First the file is read and written anew in the table's form; then every name
 * and every target is looked at by the same rules as mail is.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "common/address.h"
#include "common/exitcode.h"
#include "common/io.h"
#include "common/privs.h"
#include "users/aliasfile.h"
#include "users/cli_import.h"
#include "users/edit.h"
#include "users/line.h"
#include "users/resolve.h"
#include "users/world.h"

enum {
	FILE_MAX = 4 * 1024 * 1024,
	TABLE_MAX = 16 * 1024 * 1024,
	DEPTH_MAX = 8, /* of :include: */
	INCLUDES_MAX = 1000,
	ITEMS_MAX = 1024 * 1024,
	ABOUT_MAX = 100 /* of what is wrong is shown */
};

/* Something to look at in the end. */
struct item {
	const char *path;
	unsigned line;
	struct str name;
	struct str target; /* canonical; empty: the alias itself */
};

struct source {
	const char *path;
	struct aliasfile file;
};

/* Texts and paths are kept until the program ends: items point into them. */
static struct {
	struct world world;
	struct table *names;   /* keys of all entries, bad ones too */
	struct table *paths;   /* of included files */
	struct table *missing; /* addresses that were told of */
	bool root_missing;
	struct buf out; /* the new table */
	struct item *items;
	size_t item_count;
	unsigned aliases, problems, includes;
} self;

/* ---- what is wrong ---- */

static void
problem(const char *path, unsigned line, struct str about, const char *what)
{
	self.problems++;
	(void)fprintf(stderr, "%s:%u: ", path, line);
	/* as it stands there, but nothing that a terminal would obey */
	for (size_t i = 0; i < about.n && i < ABOUT_MAX; i++) {
		unsigned char c = (unsigned char)about.p[i];
		(void)fputc(c < 0x20 || c >= 0x7f ? '?' : c, stderr);
	}
	(void)fprintf(stderr, "%s%s\n", about.n > 0 ? ": " : "", what);
}

static void
remember(const char *path, unsigned line, struct str name, struct str target)
{
	if (self.item_count == ITEMS_MAX)
		return; /* so much does not fit into the table either */
	self.items[self.item_count++] =
	    (struct item){ path, line, name, target };
}

/* ---- files ---- */

/* NULL, or what is wrong. */
static const char *
read_file(const char *path, struct aliasfile *f)
{
	struct stat st;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);

	if (fd < 0)
		return strerror(errno);
	const char *wrong = NULL;
	char *text = NULL;
	int64_t n = -1;
	if (fstat(fd, &st) < 0)
		wrong = strerror(errno);
	else if (st.st_size > FILE_MAX)
		wrong = "larger than 4 MiB";
	else if ((text = malloc(FILE_MAX)) == NULL ||
		 (n = io_slurp(fd, text, FILE_MAX)) < 0)
		wrong = strerror(errno);
	(void)close(fd);
	if (wrong != NULL) {
		free(text);
		return wrong;
	}
	*f = (struct aliasfile){ .rest = { text, (size_t)n }, .line = 1 };
	return NULL;
}

/* ---- targets ---- */

static const char *
no_address(const struct aliasfile_target *t)
{
	switch (t->kind) {
	case ALIASFILE_PROGRAM:
		return "programs are run by a user's .qmail: put this line "
		       "into ~USER/.qmail-NAME and let the alias name "
		       "USER-NAME, or into ~USER/.qmail and name USER";
	case ALIASFILE_FILE:
		if (str_eq(t->text, STR("/dev/null")))
			return "leave the alias out and the mail is refused; "
			       "to take it and drop it, name a user whose "
			       ".qmail holds nothing but a comment";
		return "mail goes into Maildirs: put ./Maildir/, or a |program "
		       "that writes this file, into a user's .qmail and name "
		       "that user";
	case ALIASFILE_SPECIAL:
		return "is another mail system's: leave the alias out and the "
		       "mail is refused";
	case ALIASFILE_OWN:
		return "for a copy here, take the alias out and put ./Maildir/ "
		       "and &OTHER@ADDRESS into this user's .qmail";
	case ALIASFILE_ADDRESS:
	case ALIASFILE_INCLUDE:
		break;
	}
	return "not an address: part targets with commas, and leave comments "
	       "out";
}

static void
take_address(const char *path, const struct aliasfile_target *t,
    struct str name, unsigned *taken)
{
	struct address a;

	if (t->kind != ALIASFILE_ADDRESS ||
	    address_parse(t->text, true, &a) != ADDRESS_OK) {
		problem(path, t->line, t->text, no_address(t));
		return;
	}
	if (a.domain.n == 0)
		a.domain = self.world.domain;
	buf_puts(&self.out, *taken > 0 ? ", " : ": ");
	size_t at = self.out.n;
	address_put(&self.out, a);
	struct str target = str_skip(buf_str(&self.out), at);
	if (target.n > LIMIT_ADDRESS)
		problem(path, t->line, t->text, "the address is too long");
	remember(path, t->line, name, target);
	(*taken)++;
}

/* The path as a C string that stays; NULL: no absolute path, or no memory. */
static const char *
keep_path(struct str path)
{
	char room[PATH_MAX];
	struct buf b = BUF_ON(room);
	struct str kept;

	buf_put(&b, path);
	buf_putc(&b, '\0');
	if (b.full || path.n == 0 || path.p[0] != '/' ||
	    (table_put(self.paths, path, buf_str(&b)) < 0 && errno != EEXIST) ||
	    !table_get(self.paths, path, &kept))
		return NULL;
	return kept.p;
}

/* Goes into an included file; false: it cannot be. */
static bool
include(struct source *stack, size_t depth, const struct aliasfile_target *t)
{
	const char *path = keep_path(t->text);
	const char *wrong = NULL;

	if (path == NULL)
		wrong = "write :include:/path/of/file";
	else if (depth == DEPTH_MAX)
		wrong = "includes go more than 8 deep: do they include each "
			"other?";
	else if (++self.includes > INCLUDES_MAX)
		wrong = "more than 1000 files are included in all";
	else
		wrong = read_file(path, &stack[depth].file);
	if (wrong != NULL) {
		problem(stack[depth - 1].path, t->line, t->text, wrong);
		return false;
	}
	stack[depth].path = path;
	return true;
}

/* Puts all targets of an entry; how many. */
static unsigned
take_targets(const char *path, const struct aliasfile *values, struct str name)
{
	struct source stack[DEPTH_MAX] = { { path, *values } };
	struct aliasfile_target t;
	unsigned taken = 0;
	size_t depth = 1;

	while (depth > 0) {
		struct source *s = &stack[depth - 1];

		if (!aliasfile_target(&s->file, &t))
			depth--;
		else if (t.kind != ALIASFILE_INCLUDE)
			take_address(s->path, &t, name, &taken);
		else if (include(stack, depth, &t))
			depth++;
	}
	return taken;
}

/* ---- entries ---- */

/* NULL, or what is wrong with the name.  Puts its key. */
static const char *
take_name(struct str name, struct buf *key, struct address *a)
{
	if (address_parse(name, true, a) != ADDRESS_OK)
		return "not a name";
	if (a->domain.n > 0)
		return "a name with a domain is no system alias: use `postern "
		       "alias add`";
	line_put_key(key, a->local);
	if (table_put(self.names, buf_str(key), STR("")) == 0)
		return NULL;
	return errno == EEXIST ? "the alias stands in an earlier line, too: "
				 "make one of them"
			       : "out of memory";
}

static void
take_entry(const char *path, const struct aliasfile_entry *e)
{
	char room[LINE_KEY];
	struct buf key = BUF_ON(room);
	struct address a;
	const char *wrong = take_name(e->name, &key, &a);
	size_t at = self.out.n, items = self.item_count;
	unsigned before = self.problems;

	if (wrong != NULL) {
		problem(path, e->line, e->name, wrong);
		return;
	}
	address_put(&self.out, a);
	struct str name = str_skip(buf_str(&self.out), at);
	remember(path, e->line, name, STR(""));
	unsigned taken = take_targets(path, &e->values, name);
	if (taken == 0 && self.problems == before)
		problem(path, e->line, name, "an alias without a target");
	if (self.out.n - at > LINE_MAX_BYTES)
		problem(path, e->line, name,
		    "more than 16384 bytes of targets: make several aliases, "
		    "and one of these");
	if (self.problems == before)
		self.aliases++;
	if (taken > 0 && self.out.n - at <= LINE_MAX_BYTES) {
		buf_putc(&self.out, '\n');
		return;
	}
	self.item_count = items; /* they point there */
	buf_cut(&self.out, at);
}

static void
take_file(const char *path, struct aliasfile *f)
{
	struct aliasfile_entry e;
	const char *wrong;

	buf_puts(&self.out, "# postern alias import makes this of ");
	buf_puts(&self.out, path);
	buf_puts(&self.out, " and writes it anew each time\n");
	while (aliasfile_entry(f, &e, &wrong)) {
		if (wrong != NULL)
			problem(path, e.line, e.name, wrong);
		else
			take_entry(path, &e);
	}
	if (self.out.full || self.item_count == ITEMS_MAX)
		problem(path, 0, STR(""), "too large a file");
}

/* ---- where it all leads ---- */

static bool
is_named(struct str local)
{
	char room[LINE_KEY];
	struct buf key = BUF_ON(room);
	struct str none;

	line_put_key(&key, local);
	return table_get(self.names, buf_str(&key), &none);
}

static const char *
nobody(struct str local)
{
	const struct passwd *pw = privs_find(local);

	if (str_eq(local, STR("root")))
		return "root gets no mail by itself: add a line `root: YOU`, "
		       "or set control/postmaster";
	if (pw != NULL && !privs_is_person(pw->pw_uid))
		return "a system account gets no mail: name a person, or add "
		       "an alias for it";
	return "nobody has this address: correct it, add the user, or add an "
	       "alias for it";
}

/* One line for an address, however many aliases name it. */
static void
check_missing(const struct item *i, struct str local)
{
	if (table_put(self.missing, i->target, STR("")) < 0)
		return;
	if (str_eq(local, STR("root")))
		self.root_missing = true;
	problem(i->path, i->line, i->target, nobody(local));
}

static void
check_target(const struct item *i)
{
	struct address a = address_split(i->target);
	struct resolved r;

	resolve(self.world.tables, self.world.accounts, i->target, &r, NULL);
	if (r.kind == RESOLVE_SYNTAX)
		problem(i->path, i->line, i->target, "not an address");
	if (r.kind == RESOLVE_UNKNOWN &&
	    !(str_eq(a.domain, self.world.domain) && is_named(a.local)))
		check_missing(i, a.local);
	if (r.kind == RESOLVE_NOBODY)
		problem(i->path, i->line, i->target,
		    "control/postmaster, who gets this, names nobody");
}

/* An alias that the rules never reach is told, but is no mistake. */
static void
check_name(const struct item *i)
{
	char room[LINE_KEY + LIMIT_DOMAIN + 1], key_room[LINE_KEY];
	struct buf address = BUF_ON(room), key = BUF_ON(key_room);
	struct resolved r;
	struct str own;

	buf_put(&address, i->name);
	buf_putc(&address, '@');
	buf_put(&address, self.world.domain);
	resolve(self.world.tables, self.world.accounts, buf_str(&address), &r,
	    NULL);
	line_put_key(&key, i->name);
	bool there =
	    table_get(self.world.tables->imported, buf_str(&key), &own);
	if (r.kind == RESOLVE_LOOP)
		problem(i->path, i->line, i->name,
		    "the alias leads back to itself, or through more than 20 "
		    "others; for a copy here use this user's .qmail");
	else if (there && (r.kind != RESOLVE_ALIAS || r.targets.p != own.p))
		(void)fprintf(stderr,
		    "%s:%u: %.*s: note: a user or an alias of "
		    "`postern alias add` has this address and gets the mail\n",
		    i->path, i->line, (int)i->name.n, i->name.p);
}

static int
check_all(void)
{
	char room[TABLES_ERROR];
	struct buf wrong = BUF_ON(room);

	if (!tables_import(self.world.tables, buf_str(&self.out), &wrong))
		return edit_fail(
		    EXITCODE_PERMANENT, "cannot be read back", buf_str(&wrong));
	for (size_t i = 0; i < self.item_count; i++)
		if (self.items[i].target.n > 0)
			check_target(&self.items[i]);
	/* without root most aliases of a system lead nowhere */
	for (size_t i = 0; i < self.item_count && !self.root_missing; i++)
		if (self.items[i].target.n == 0)
			check_name(&self.items[i]);
	return 0;
}

/* ---- all of it ---- */

static int
prepare(const struct edit *e)
{
	self.names = table_new();
	self.items = malloc(ITEMS_MAX * sizeof(*self.items));
	self.out = (struct buf){ .p = malloc(TABLE_MAX), .cap = TABLE_MAX };
	self.missing = table_new();
	self.paths = table_new();
	if (self.names == NULL || self.missing == NULL || self.paths == NULL ||
	    self.items == NULL || self.out.p == NULL)
		return edit_fail(EXITCODE_TEMPORARY, "out of memory", STR(""));
	return world_load(&self.world, e->dirfd);
}

static int
import(struct edit *e, const char *path)
{
	struct aliasfile f;
	const char *wrong = read_file(path, &f);

	if (wrong != NULL)
		return edit_fail(EXITCODE_PERMANENT, path, str_of(wrong));
	int code = prepare(e);
	if (code != 0)
		return code;
	take_file(path, &f);
	code = check_all();
	if (code != 0)
		return code;
	if (self.problems > 0) {
		(void)fprintf(stderr,
		    "postern: %u mistake%s in %s: nothing was changed\n",
		    self.problems, self.problems == 1 ? "" : "s", path);
		return EXITCODE_PERMANENT;
	}
	code = edit_write(e, buf_str(&self.out));
	if (code == 0)
		printf("%s: %u alias%s\n", path, self.aliases,
		    self.aliases == 1 ? "" : "es");
	return code;
}

int
cli_import(const char *path)
{
	struct edit e;
	int code = edit_open(&e, TABLES_IMPORTED, true);

	if (code != 0)
		return code;
	code = import(&e, path);
	edit_close(&e);
	return code;
}
