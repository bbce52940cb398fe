/* SPDX-License-Identifier: ISC
 * colour: words that stand out, on a terminal only.
 */
#ifndef COLOUR_H
#define COLOUR_H

enum colour {
	COLOUR_PLAIN,
	COLOUR_GOOD,
	COLOUR_WARN,
	COLOUR_BAD,
	COLOUR_FAINT
};

/* What to print before a word of that colour, and behind it.  Empty where
 * standard output is no terminal, or a dumb one, or NO_COLOR is set
 * (no-color.org). */
const char *colour_on(enum colour);
const char *colour_off(void);

#endif
