/* SPDX-License-Identifier: ISC
 * thishost: whether an address is one of this host's, asked of the kernel now.
 */
#ifndef THISHOST_H
#define THISHOST_H

#include "common/ip.h"

/* False too where the kernel lets anything be bound (ip_nonlocal_bind). */
bool thishost_has(const struct ip *);

#endif
