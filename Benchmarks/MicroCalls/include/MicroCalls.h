// The same contract call as the Swift side makes, in a loop of C: what a call costs without Swift.
#ifndef MICRO_CALLS_H
#define MICRO_CALLS_H

#include <baton/event.h>

/// Nanoseconds of one `query` of a timeline value that was reached, the mean of `count`.
double micro_query(const baton_timeline_table *table, baton_device *device, baton_timeline *timeline, uint64_t value, long count);
/// Nanoseconds of one memcpy of `bytes`.
double micro_copy(void *to, const void *from, unsigned long bytes);

#endif
