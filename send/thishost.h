/* SPDX-License-Identifier: ISC
 * thishost: whether an address is one of this host's, asked of the kernel now.
 */
#ifndef THISHOST_H
#define THISHOST_H

#include "common/ip.h"

bool thishost_has(const struct ip *);

#endif
