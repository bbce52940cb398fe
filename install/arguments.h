/* SPDX-License-Identifier: ISC
 * arguments: of the commands that know --json and --help only.
 */
#ifndef ARGUMENTS_H
#define ARGUMENTS_H

#include <stdbool.h>

/* True: the command is to run, *json says with which output.  False: it is over
 * with the exit code *code; help is printed. */
bool arguments_json(
    int argc, char **argv, const char *help, bool *json, int *code);

#endif
