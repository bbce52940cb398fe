/* SPDX-License-Identifier: ISC
 * meaning: what the line of a setting must be, beyond a line.  A role that
 * reads a wrong one at its start ends; so start looks before it tells the roles
 * to read their settings, and `postern check` before that.  Pure.
 */
#ifndef MEANING_H
#define MEANING_H

#include "common/str.h"

/* What is wrong with that value of a CONTROL_LINE, and what to write; NULL: it
 * is good, or only those who use it know. */
const char *meaning_wrong(const char *name, struct str value);

#endif
