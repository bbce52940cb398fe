/* SPDX-License-Identifier: ISC
 * cli: the subcommands of `postern` that are part of it.  Public: other folders
 * have some of them, and add their objects (and libraries) in their fragment:
 *     postern_OBJS += users/cli_user.o
 *     postern_LIBS += -lsodium
 * argv[0] is the subcommand's name.  Each returns an exit code
 * (common/exitcode.h, or 1 for "no" where its page says so), knows --help, and
 * may use stdio: no stranger's process runs this.
 */
#ifndef CLI_H
#define CLI_H

/* install/ */
int cli_init(int argc, char **argv);
int cli_layout(int argc, char **argv);
int cli_check(int argc, char **argv);
int cli_doctor(int argc, char **argv);
int cli_show(int argc, char **argv);
int cli_status(int argc, char **argv);
int cli_sandbox(int argc, char **argv);
int cli_trace(int argc, char **argv);
/* queue/, in install/cli_queue.c */
int cli_queue(int argc, char **argv);
/* users/ */
int cli_user(int argc, char **argv);
int cli_alias(int argc, char **argv);
int cli_why(int argc, char **argv);

#endif
