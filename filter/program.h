/* SPDX-License-Identifier: ISC
 * program: from a fork of supervise to the filter program.
 */
#ifndef FILTER_PROGRAM_H
#define FILTER_PROGRAM_H

#include "filter/supervise.h"

enum { PROGRAM_REPORT_FD = 4 /* netqmail's custom errors go there, too */ };

/* Becomes the program: message on 0, envelope on 1, said_fd on 2, report_fd on
 * PROGRAM_REPORT_FD, a clean environment, limits, a session of its own.  What
 * goes wrong is said on said_fd; exit 120. */
_Noreturn void program_become(
    const struct supervise *, int said_fd, int report_fd);

#endif
