/* SPDX-License-Identifier: ISC
 * modes: what sendmail(8) does besides taking a message: other programs of the
 * suite do it, under its names and with its exit codes.
 */
#ifndef MODES_H
#define MODES_H

#include "inject/options.h"
#include "inject/outcome.h"

/* Of every mode but MODE_MAIL.  Returns the exit code, or -1: outcome says
 * why. */
int modes_run(const struct options *, struct outcome *);

#endif
