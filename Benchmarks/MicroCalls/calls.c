#define _GNU_SOURCE
#include "MicroCalls.h"
#include <string.h>
#include <time.h>

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return 1e9 * (double)t.tv_sec + (double)t.tv_nsec;
}

double micro_query(const baton_timeline_table *table, baton_device *device, baton_timeline *timeline, uint64_t value, long count) {
  double began = now();
  for (long i = 0; i < count; i++) {
    baton_event event = {.size = sizeof event};
    baton_status status;
    status.size = sizeof status;
    status.code = 0;
    status.vendor_code = 0;
    status.message_length = 0;
    if (table->query(device, timeline, value, &event, &status) != 0) return -1;
  }
  return (now() - began) / (double)count;
}

double micro_copy(void *to, const void *from, unsigned long bytes) {
  double began = now();
  memcpy(to, from, bytes);
  return now() - began;
}
