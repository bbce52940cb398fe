/* SPDX-License-Identifier: ISC
 * cli_import: postern alias import.
 */
#ifndef USERS_CLI_IMPORT_H
#define USERS_CLI_IMPORT_H

/* Makes the table of imported aliases of the alias file; says what is wrong,
 * all of it, on stderr.  The exit code. */
int cli_import(const char *path);

#endif
