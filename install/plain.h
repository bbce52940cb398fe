/* SPDX-License-Identifier: ISC
 * plain: text that somebody else wrote, for a terminal.
 */
#ifndef PLAIN_H
#define PLAIN_H

#include "common/str.h"

/* To standard output; what is not printable ASCII as a question mark. */
void plain_print(struct str);

#endif
