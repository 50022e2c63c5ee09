#define _GNU_SOURCE
#include "CHost.h"
#include <pthread.h>
#include <sched.h>
#include <sys/auxv.h>
#include <unistd.h>

int chost_processors(void) {
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) == 0 && CPU_COUNT(&set) > 0) return CPU_COUNT(&set);
  long count = sysconf(_SC_NPROCESSORS_ONLN);
  return count > 0 ? (int)count : 1;
}

int chost_is_elevated(void) { return getauxval(AT_SECURE) != 0; }

void chost_name_thread(const char *name) { pthread_setname_np(pthread_self(), name); }
