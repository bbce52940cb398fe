/* SPDX-License-Identifier: ISC
 * plain: contract in plain.h.
 */
#include "install/plain.h"

#include <stdio.h>

void
plain_print(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		putchar(s.p[i] < ' ' || s.p[i] > '~' ? '?' : s.p[i]);
}
