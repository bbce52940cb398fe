/* SPDX-License-Identifier: ISC
 * args: the arguments that every program knows.
 */
#ifndef ARGS_H
#define ARGS_H

#include "common/str.h"

/* --help (answered with that text) and --version: says it on standard output
 * and exits, 0 or 111 when it could not be said.  Returns for any other. */
void args_answer(struct str arg, const char *help);

#endif
