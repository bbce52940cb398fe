/* SPDX-License-Identifier: ISC
 * target: which addresses dial never connects to unless a route names the
 * host.  Pure.
 */
#ifndef TARGET_H
#define TARGET_H

#include "common/ip.h"

/* Loopback, unspecified ("this network"), link-local, multicast, reserved and
 * broadcast. */
bool target_is_special(const struct ip *);

#endif
