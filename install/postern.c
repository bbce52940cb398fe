/* SPDX-License-Identifier: ISC
 * postern: the postmaster's command.  `postern SUB ...` runs a subcommand, or
 * the program postern-SUB beside it.  Runs as its caller.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "common/advice.h"
#include "common/die.h"
#include "common/layout.h"
#include "common/log.h"
#include "install/cli.h"

static const struct command {
	const char *name;
	int (*run)(int argc, char **argv);
	const char *help;
} commands[] = {
	{ "status", cli_status,
	    "what runs, since when, and how deep the queue is" },
	{ "queue", cli_queue, "list, count, hold, retry, delete waiting mail" },
	{ "trace", cli_trace, "a message's whole life, from the log" },
	{ "why", cli_why, "whether an address is accepted, and where it goes" },
	{ "user", cli_user, "add, change and list mail users" },
	{ "alias", cli_alias, "add, change and list aliases" },
	{ "show", cli_show, "every setting, its value and its origin" },
	{ "check", cli_check, "every mistake in the configuration" },
	{ "doctor", cli_doctor, "what must be true before the first mail" },
	{ "sandbox", cli_sandbox, "what each running role may do" },
	{ "init", cli_init, "make the directories of a new suite" },
	{ "layout", cli_layout,
	    "each path of an installation: owner, mode, what" },
};

static void
usage(FILE *to)
{
	fputs("usage: postern COMMAND [ARGUMENT ...]\n"
	      "       postern COMMAND --help\n\n",
	    to);
	for (size_t i = 0; i < N_ELEMENTS(commands); i++)
		fprintf(to, "  %-9s%s\n", commands[i].name, commands[i].help);
	fputs("\nAny other COMMAND runs the program postern-COMMAND.\n"
	      "POSTERN_ROOT=DIR works on the suite below DIR.\n",
	    to);
}

static int
program_run(char **argv)
{
	char name_text[128];
	char path_text[640];
	struct buf name = BUF_ON(name_text);
	struct buf path = BUF_ON(path_text);

	buf_puts(&name, "postern-");
	buf_puts(&name, argv[0]);
	const char *program = buf_cstr(&name);
	if (program != NULL && strchr(program, '/') == NULL)
		execv(layout_program(program, &path), argv);
	else
		errno = ENOENT;
	if (errno != ENOENT) {
		fprintf(stderr, "postern: %s: %s: %s\n", path.p,
		    strerror(errno), advice_file(errno));
		return EXITCODE_TEMPORARY;
	}
	fprintf(stderr, "postern: there is no command %s; see postern --help\n",
	    argv[0]);
	return EXITCODE_PERMANENT;
}

/* "--help" at the end asks for it, whatever stands before.  (queue looks for it
 * itself: its fsck has a help of its own.) */
static int
command_help(int (*run)(int argc, char **argv), char *name)
{
	static char help[] = "--help";
	char *argv[] = { name, help, NULL };

	return run(2, argv);
}

int
main(int argc, char **argv)
{
	log_init("postern");
	layout_init();
	if (argc < 2) {
		usage(stderr);
		return EXITCODE_PERMANENT;
	}
	if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "help") == 0) {
		usage(stdout);
		return EXITCODE_DONE;
	}
	if (strcmp(argv[1], "--version") == 0) {
		puts("postern " POSTERN_VERSION);
		return EXITCODE_DONE;
	}
	bool help = argc > 2 && strcmp(argv[argc - 1], "--help") == 0;
	for (size_t i = 0; i < N_ELEMENTS(commands); i++)
		if (strcmp(argv[1], commands[i].name) == 0)
			return help && commands[i].run != cli_queue
				   ? command_help(commands[i].run, argv[1])
				   : commands[i].run(argc - 1, argv + 1);
	return program_run(argv + 1);
}
