/* SPDX-License-Identifier: ISC
 * byhand: postern-remote HOST SENDER RECIPIENT ..., as scripts call it
 * (qmail-remote's interface; postern-remote(8)).
 */
#ifndef BYHAND_H
#define BYHAND_H

extern const char byhand_help[];

/* The whole program; returns its exit code. */
int byhand_run(int argc, char **argv);

#endif
