/* SPDX-License-Identifier: ISC
 * advice: what a person can do about an error of the system's, for the messages
 * of start and the commands.  Pure.
 */
#ifndef ADVICE_H
#define ADVICE_H

/* About a file or folder of the suite that could not be opened, made or
 * written. */
const char *advice_file(int error);
/* About an address that could not be listened on. */
const char *advice_listen(int error);

#endif
