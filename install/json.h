/* SPDX-License-Identifier: ISC
 * json: strings in the --json output of the commands (RFC 8259).  Public.
 */
#ifndef JSON_H
#define JSON_H

#include "common/str.h"

/* Prints s as a JSON string to standard output; bytes that are not ASCII are
 * written as \u00HH, so that the output is valid whatever s holds. */
void json_string(struct str s);

#endif
