#define _GNU_SOURCE
#include "CIsolation.h"
#include <errno.h>
#include <linux/futex.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/// One end's letters to the other, of which the last is here.
struct lane {
  _Alignas(64) _Atomic uint32_t number; // of those posted
  _Atomic uint32_t is_awaited;          // somebody sleeps until `number` changes
  uint32_t kind, length, descriptors;
};

struct mailbox {
  struct lane lanes[2];
  _Alignas(64) _Atomic uint32_t is_closed;
};
_Static_assert(sizeof(struct mailbox) == CISOLATION_MAILBOX, "what both ends map");

// Between two processes, so not private to one.
static void wake(_Atomic uint32_t *word) { syscall(SYS_futex, word, FUTEX_WAKE, 1, NULL, NULL, 0); }

/// Until `word` is no longer `value`, or somebody wakes, or the time is over.
static int sleep_on(_Atomic uint32_t *word, uint32_t value, int timeout_ms) {
  struct timespec time = {.tv_sec = timeout_ms / 1000, .tv_nsec = timeout_ms % 1000 * 1000000L};
  long slept = syscall(SYS_futex, word, FUTEX_WAIT, value, timeout_ms < 0 ? NULL : &time, NULL, 0);
  return slept == 0 ? 0 : errno;
}

void cisolation_post(void *mailbox, int lane, cisolation_letter letter) {
  struct mailbox *box = mailbox;
  struct lane *to = &box->lanes[lane];
  to->kind = letter.kind;
  to->length = letter.length;
  to->descriptors = letter.descriptors;
  atomic_fetch_add(&to->number, 1);
  if (atomic_load(&to->is_awaited)) wake(&to->number);
}

/// Whether there is one, which is then copied out.
static int take(struct lane *from, uint32_t *seen, cisolation_letter *letter) {
  uint32_t number = atomic_load(&from->number);
  if (number == *seen) return 0;
  *seen = number;
  *letter = (cisolation_letter){.kind = from->kind, .length = from->length, .descriptors = from->descriptors};
  return 1;
}

/// Wakes without a letter that are put up with: one may be left over from the last letter, more are the other end's, which could keep a wait from ending.
enum { IDLE_WAKES = 8 };

int cisolation_await(void *mailbox, int lane, uint32_t *seen, int timeout_ms, int spins, cisolation_letter *letter) {
  struct mailbox *box = mailbox;
  struct lane *from = &box->lanes[lane];
  for (int is_over = 0, wakes = 0;;) {
    if (atomic_load(&box->is_closed)) return -EPIPE;
    if (take(from, seen, letter)) return 0;
    if (is_over) return -ETIMEDOUT;
    if (spins-- > 0) {
      sched_yield(); // whoever is to answer may need this processor
      continue;
    }
    atomic_store(&from->is_awaited, 1);
    is_over = sleep_on(&from->number, *seen, timeout_ms) == ETIMEDOUT || (timeout_ms >= 0 && ++wakes > IDLE_WAKES);
    atomic_store(&from->is_awaited, 0);
  }
}

void cisolation_close(void *mailbox) {
  struct mailbox *box = mailbox;
  atomic_store(&box->is_closed, 1);
  for (int lane = 0; lane < 2; lane++) {
    // A new number, so that nobody falls asleep on the old one after the wake.
    atomic_fetch_add(&box->lanes[lane].number, 1);
    wake(&box->lanes[lane].number);
  }
}
