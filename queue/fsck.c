/* SPDX-License-Identifier: ISC
 * postern-fsck: `postern queue fsck`: finds what is wrong in the spool, and
 * mends it.  Started by root (or the one user of a one-user suite); owners and
 * modes are looked at as root, everything that is read is read as posternq, in
 * the sandbox below.
 */
#include "queue/fsck.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include "common/args.h"
#include "common/io.h"
#include "common/layout.h"
#include "common/log.h"
#include "common/privs.h"
#include "common/sandbox.h"
#include "install/progress.h"

static const struct sandbox_rule rules[] = {
	ALLOW_HEAP,
	ALLOW(openat, "what is in the spool"),
	ALLOW(newfstatat, "kinds and sizes of files"),
	ALLOW(fstat, "kinds and sizes of files"),
	ALLOW(getdents64, "names in the spool"),
	ALLOW(lseek, "reading directories"),
	ALLOW(fcntl, "reading directories"),
	ALLOW(ioctl, "is the output a terminal"),
	ALLOW(pread64, "messages and segments"),
	ALLOW(pwrite64, "mended segments"),
	ALLOW(pwritev, "messages put back"),
	ALLOW(ftruncate, "cuts a torn entry off"),
	ALLOW(fsync, "what was mended"),
	ALLOW(mkdirat, "mess/ab, and what is missing"),
	ALLOW(renameat, "mended segments, the version"),
	ALLOW(fchmod, "the mode of the version"),
	ALLOW(renameat2, "to quarantine, and back; never over another"),
	ALLOW(linkat, "keeps a segment before it is mended"),
	ALLOW(unlinkat, "what was left over"),
	ALLOW(getrandom, "nonces of files"),
	ALLOW(clock_nanosleep, "a second look while queued runs"),
	ALLOW(clock_gettime, "names, progress"),
};

static const char help[] =
    "usage: postern queue fsck [--repair] [--quick] [--json] [--quiet]\n"
    "       postern queue fsck --restore ID|NAME ... [--json]\n"
    "\n"
    "postern-fsck checks the spool: its files and segments, their checksums,\n"
    "names, owners and modes.  Without --repair nothing is changed.\n"
    "Postern should be stopped; while it runs, only the messages' own files\n"
    "are looked at.\n"
    "\n"
    "--repair   mend what can be mended; what is taken away goes to\n"
    "           quarantine/ in the spool\n"
    "--restore  put a message (or all of a file) in quarantine back into the\n"
    "           queue\n"
    "--quick    do not read the messages' bodies\n"
    "--quiet    do not list the messages in quarantine\n"
    "--json     a line of JSON for each finding\n"
    "\n"
    "Exit status: 0 clean, 1 mended, 4 something is left to mend (also:\n"
    "found, without --repair), 8 the check could not be done, 16 wrong\n"
    "usage.  See postern-fsck(8).\n";

enum { LOCK_TRIES = 50 };

static struct fsck fsck;
static char **names; /* to restore */
static int name_count;

static int
usage(void)
{
	fputs("postern-fsck: wrong arguments; see postern queue fsck --help\n",
	    stderr);
	return FSCK_USAGE;
}

/* False: wrong usage. */
static bool
read_args(int argc, char **argv)
{
	bool restore = false;
	for (int i = 1; i < argc; i++) {
		struct str arg = str_of(argv[i]);
		args_answer(arg, help);
		if (str_eq(arg, STR("--repair")))
			fsck.repair = true;
		else if (str_eq(arg, STR("--json")))
			fsck.json = true;
		else if (str_eq(arg, STR("--quick")))
			fsck.skip_bodies = true;
		else if (str_eq(arg, STR("--quiet")))
			fsck.quiet = true;
		else if (str_eq(arg, STR("--restore")))
			restore = true;
		else if (restore && arg.n > 0 && arg.p[0] != '-')
			argv[1 + name_count++] = argv[i];
		else
			return false;
	}
	names = argv + 1;
	fsck.mute = restore;
	return restore == (name_count > 0) && !(restore && fsck.repair);
}

/* ---- the spool as a whole ---- */

static void
open_spool(void)
{
	const char *path = layout_path(LAYOUT_SPOOL);
	fsck.dirfd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fsck.dirfd < 0)
		fsck_die(path, errno);
}

/* The lock of a running queued and its settle; kept until the end.  Opened
 * before owners are looked at: the lock file itself may be root's. */
static void
take_lock(void)
{
	/* O_NONBLOCK: a FIFO in its place must not stop us */
	int fd = openat(fsck.dirfd, "lock",
	    O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (fd < 0 && errno == ENOENT)
		return; /* a spool that never ran, or a copy without it */
	if (fd < 0)
		fsck_die("lock", errno);
	/* one that was just stopped may still be at its last sync */
	for (int i = 0; flock(fd, LOCK_EX | LOCK_NB) < 0 && i < LOCK_TRIES;
	     i++) {
		const struct timespec pause = { .tv_nsec = 20000000L };
		if (errno != EWOULDBLOCK)
			fsck_die("lock", errno);
		(void)nanosleep(&pause, NULL); /* shorter is fine */
	}
	if (flock(fd, LOCK_EX | LOCK_NB) == 0)
		return;
	fsck.live = true;
	io_close(&fd);
	if (fsck.repair || name_count > 0)
		fsck_die("Postern is running on this spool: stop it first "
			 "(without --repair the files can be checked now)",
		    0);
	fputs("postern-fsck: Postern is running on this spool: only the "
	      "messages' files are checked\n",
	    stderr);
}

static void
check_folder(const char *name)
{
	struct stat st;
	if (fstatat(fsck.dirfd, name, &st, AT_SYMLINK_NOFOLLOW) == 0) {
		if (S_ISDIR(st.st_mode))
			return;
		int e = fsck_mends(&fsck) ? EEXIST : 0;
		if (e != 0 && renameat2(fsck.dirfd, name, fsck.dirfd, "strange",
				  RENAME_NOREPLACE) == 0)
			e = mkdirat(fsck.dirfd, name, 0700) < 0 ? errno : 0;
		fsck_found(&fsck, name, "not a directory",
		    "rename it to `strange' and make the directory", e);
		return;
	}
	int e = fsck_mends(&fsck) && mkdirat(fsck.dirfd, name, 0700) < 0 ? errno
									 : 0;
	fsck_found(&fsck, name, "missing", "make the directory", e);
}

static void
read_key(void)
{
	char text[RECORD_KEY];
	int64_t n = io_read_file(fsck.dirfd, "key", text, sizeof(text));
	if (n == RECORD_KEY) {
		memcpy(fsck.key, text, RECORD_KEY);
		return;
	}
	if (n >= 0 || errno == EFBIG)
		fsck_die("key: not 32 bytes; nothing can be read without the "
			 "right one: copy it from where the spool was",
		    0);
	fsck_die(
	    "key (nothing can be read without it: copy it from where the spool "
	    "was)",
	    errno);
}

static void
check_version(void)
{
	char text[32];
	int64_t n = io_read_file(fsck.dirfd, "version", text, sizeof(text));
	struct str s = { .p = text, .n = n < 0 ? 0 : (size_t)n };
	uint64_t version = 0;
	bool number = str_u64(str_trim(s), UINT32_MAX, &version);
	if (number && version == 1)
		return;
	if (number)
		fsck_die("the spool was made by another version of Postern", 0);
	if (n < 0 && errno != ENOENT && errno != EINVAL && errno != ELOOP &&
	    errno != EFBIG)
		fsck_die("version", errno);
	/* its key was right, and no other version ever was without number */
	int e = 0;
	if (fsck_mends(&fsck)) {
		if (io_replace_file(fsck.dirfd, "version", STR("1\n"), 0600) <
		    0)
			e = errno;
	}
	fsck_found(&fsck, "version", "missing or damaged", "write it", e);
}

/* ---- the end ---- */

static void
summary_words(void)
{
	bool may_mend = fsck.left > 0 && !fsck.repair && !fsck.live;

	printf("%" PRIu64 " messages in files, ", fsck.messages);
	if (fsck.live)
		printf("the journal not looked at; ");
	else
		printf(
		    "%zu in the journal, finished ones too; ", fsck.records.n);
	printf("%" PRIu64 " mended, %" PRIu64 " left%s; %" PRIu64
	       " whole messages in quarantine\n",
	    fsck.mended, fsck.left, may_mend ? " (--repair mends)" : "",
	    fsck.quarantined);
}

static void
summary(void)
{
	progress_end();
	if (fsck.json)
		printf("{\"state\":\"end\",\"files\":%" PRIu64
		       ",\"records\":%zu,\"mended\":%" PRIu64
		       ",\"left\":%" PRIu64 ",\"quarantined\":%" PRIu64 "}\n",
		    fsck.messages, fsck.records.n, fsck.mended, fsck.left,
		    fsck.quarantined);
	else
		summary_words();
	if (fflush(stdout) != 0 || ferror(stdout))
		fsck_die("standard output", errno);
}

static void
enter_sandbox(void)
{
	const struct sandbox_dir dirs[] = { { .fd = fsck.dirfd,
	    .write = true } };
	const struct sandbox sandbox = { .role = "fsck",
		.rules = rules,
		.rule_count = N_ELEMENTS(rules),
		.dirs = dirs,
		.dir_count = N_ELEMENTS(dirs),
		.max_file = (uint64_t)1 << 42 };
	sandbox_enter(&sandbox);
}

static void
check_all(void)
{
	static const char *const folders[] = { "journal", "mess", "mess/tmp",
		"quarantine" };
	for (size_t i = 0; i < N_ELEMENTS(folders); i++)
		check_folder(folders[i]);
	read_key();
	check_version();
	fsck_mess(&fsck);
	fsck_journal(&fsck);
	if (name_count > 0) {
		fsck.mute = false;
		fsck.repair = true;
		fsck_restore(&fsck, names, name_count);
	} else {
		fsck_quarantine(&fsck);
	}
}

int
main(int argc, char **argv)
{
	log_init("fsck");
	if (!read_args(argc, argv))
		return usage();
	layout_init();
	if (sodium_init() < 0)
		fsck_die("libsodium", 0);
	open_spool();
	take_lock();
	fsck_owners(&fsck, "posternq");
	privs_require("posternq");
	enter_sandbox();
	check_all();
	summary();
	return fsck.left > 0	 ? FSCK_LEFT
	       : fsck.mended > 0 ? FSCK_MENDED
				 : FSCK_CLEAN;
}
