// What a driver in a process of its own needs of the system: datagrams that carry descriptors, shared memory, starting and fencing the
// child; and C functions that know which child they belong to, for the calls of the contract that name no device.
#ifndef CISOLATION_H
#define CISOLATION_H

#include "baton/baton.h"

/// Descriptors of one datagram at most.
enum { CISOLATION_DESCRIPTORS = 4 };

/// Sends one datagram with descriptors, which stay the caller's. 0, or the negated errno; a full socket is waited for.
int cisolation_send(int socket, const void *bytes, size_t count, const int *descriptors, int descriptor_count);

/// Receives one datagram into `bytes`, waiting up to `timeout_ms` (-1: for ever). Its length; 0 at the end of
/// the stream; or the negated errno (ETIMEDOUT; EMSGSIZE for one that is too long). Descriptors are the caller's and closed on exec; `*descriptor_count` is
/// their number.
long cisolation_receive(int socket, void *bytes, size_t room, int timeout_ms, int *descriptors, int *descriptor_count);

/// Bytes of a mailbox: the first of a segment that both processes have mapped, zero at first. Each end has a lane of letters to the other. Whatever the
/// other end writes there, a call returns within its time and touches nothing else.
enum { CISOLATION_MAILBOX = 192 };

/// What a letter says of itself, copied out.
typedef struct cisolation_letter {
  uint32_t kind, length, descriptors;
} cisolation_letter;

/// Posts a letter in a lane, 0 to the child and 1 to the host, whose content lies in the segment already, and wakes who waits for it.
void cisolation_post(void *box, int lane, cisolation_letter letter);

/// Waits for the letter after number `*seen` for up to `timeout_ms` (-1: for ever), after looking `spins` times while others may use the processor.
/// 0; or -EPIPE once the mailbox is closed, -ETIMEDOUT.
int cisolation_await(void *box, int lane, uint32_t *seen, int timeout_ms, int spins, cisolation_letter *letter);

/// Ends all waiting at both ends, now and later.
void cisolation_close(void *box);

/// A pair of sockets for datagrams in order, both closed on exec. 0 or the negated errno.
int cisolation_pair(int pair[2]);

/// A pipe, closed on exec, whose first end is read without waiting. 0 or the negated errno.
int cisolation_pipe(int ends[2]);

/// What this process prints leaves it line by line.
void cisolation_print_lines(void);

/// An anonymous file of `length` zero bytes, closed on exec, whose length cannot change. The descriptor or the negated errno.
int cisolation_memory(const char *name, uint64_t length);

/// Whether `descriptor` is an anonymous file of at least `length` bytes that cannot become shorter, so that reading it once mapped cannot fail.
int cisolation_keeps_length(int descriptor, uint64_t length);

/// Starts `program`, with `socket` as its descriptor 3, `output` as its standard output and error, and /dev/null as its input. All else is closed. 0 or the negated errno.
int cisolation_start(const char *program, char *const arguments[], char *const environment[], int socket, int output, int *process);

/// How a child may be fenced in, each as far as the kernel has it.
typedef struct cisolation_fence {
  const char *const *readable;   // paths, files or folders, that may be read and mapped for execution; null at the end
  uint64_t data_bytes;           // private writable memory, 0: not limited
  uint64_t cpu_seconds;          // processor time in all, 0: not limited
  uint32_t processors;           // processors it may run on at most, 0: not limited
} cisolation_fence;

enum {
  CISOLATION_LANDLOCK = 1, // files can be read only where allowed, none written
  CISOLATION_SECCOMP = 2,  // no sockets, no programs, no processes, no looking into others
  CISOLATION_LIMITS = 4,
};

/// Fences the calling process in, for good. Gives what was done, of CISOLATION_*.
/// Call it while there is one thread; threads that it starts later are inside.
int cisolation_enclose(const cisolation_fence *fence);

/// Sets the fence's limits alone. Gives what was done.
int cisolation_limit(const cisolation_fence *fence);

/// What the calls of the contract that name no device come to, each with the slot it was reached through.
typedef struct cisolation_calls {
  baton_code (*entry)(uint32_t slot, const baton_host *host, baton_driver *out);
  const void *(*get_interface)(uint32_t slot, baton_string id, uint32_t version);
  baton_code (*describe)(uint32_t slot, const baton_options *options, baton_device_info *out, baton_status *status);
  baton_code (*open)(uint32_t slot, const baton_options *options, baton_device **out, baton_status *status);
  baton_code (*layouts)(uint32_t slot, const baton_options *options, const baton_kv_pool_desc *desc, uint32_t importing, baton_kv_layout *out,
                        uint32_t capacity, uint32_t *count, baton_status *status);
  baton_code (*estimate)(uint32_t slot, const baton_options *options, const baton_program_desc *desc, const baton_work *work, baton_cost *out,
                         baton_status *status);
  baton_code (*memory)(uint32_t slot, const baton_options *options, const baton_program_desc *desc, uint64_t kv_tokens, baton_dtype kv_dtype,
                       baton_memory_need *out, baton_status *status);
} cisolation_calls;

/// The same calls as the contract has them, for one slot.
typedef struct cisolation_slot {
  baton_driver_entry_function entry;
  const void *(*get_interface)(baton_string id, uint32_t version);
  baton_code (*describe)(const baton_options *options, baton_device_info *out, baton_status *status);
  baton_code (*open)(const baton_options *options, baton_device **out, baton_status *status);
  baton_code (*layouts)(const baton_options *options, const baton_kv_pool_desc *desc, uint32_t importing, baton_kv_layout *out, uint32_t capacity,
                        uint32_t *count, baton_status *status);
  baton_code (*estimate)(const baton_options *options, const baton_program_desc *desc, const baton_work *work, baton_cost *out, baton_status *status);
  baton_code (*memory)(const baton_options *options, const baton_program_desc *desc, uint64_t kv_tokens, baton_dtype kv_dtype, baton_memory_need *out,
                       baton_status *status);
} cisolation_slot;

enum { CISOLATION_SLOTS = 256 };

/// Set once, before any slot is used.
void cisolation_set_calls(const cisolation_calls *calls);

/// The functions of a slot, 0 to CISOLATION_SLOTS - 1.
cisolation_slot cisolation_slot_at(uint32_t slot);

/// The name of a signal as in <signal.h>, "SIGSEGV", or null.
const char *cisolation_signal_name(int signal);

#endif
