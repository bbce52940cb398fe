/* SPDX-License-Identifier: ISC
 * events: libunbound's pluggable event base on top of common/loop, so that the
 * resolver runs in this process's one loop: no thread, no second event library.
 */
#ifndef EVENTS_H
#define EVENTS_H

#include "common/loop.h"

struct ub_event_base;

/* The one base; never freed. */
struct ub_event_base *events_base(void);
/* Runs the timers that are due; ms until the next one, -1: there is none. */
int events_run_timers(void);

#endif
