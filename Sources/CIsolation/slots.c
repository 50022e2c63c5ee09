#include "CIsolation.h"

// A call of the contract that names no device cannot say which child it is meant for, so each child has functions of its own. They differ in
// their slot's number alone.
static cisolation_calls table;

void cisolation_set_calls(const cisolation_calls *calls) { table = *calls; }

#define SLOT(N)                                                                                                                                  \
  static baton_code entry_##N(const baton_host *host, baton_driver *out) { return table.entry(0x##N, host, out); }                                \
  static const void *interface_##N(baton_string id, uint32_t version) { return table.get_interface(0x##N, id, version); }                        \
  static baton_code describe_##N(const baton_options *options, baton_device_info *out, baton_status *status) {                                   \
    return table.describe(0x##N, options, out, status);                                                                                          \
  }                                                                                                                                              \
  static baton_code open_##N(const baton_options *options, baton_device **out, baton_status *status) {                                           \
    return table.open(0x##N, options, out, status);                                                                                              \
  }                                                                                                                                              \
  static baton_code layouts_##N(const baton_options *options, const baton_kv_pool_desc *desc, uint32_t importing, baton_kv_layout *out,          \
                                uint32_t capacity, uint32_t *count, baton_status *status) {                                                      \
    return table.layouts(0x##N, options, desc, importing, out, capacity, count, status);                                                         \
  }                                                                                                                                              \
  static baton_code estimate_##N(const baton_options *options, const baton_program_desc *desc, const baton_work *work, baton_cost *out,          \
                                 baton_status *status) {                                                                                         \
    return table.estimate(0x##N, options, desc, work, out, status);                                                                              \
  }                                                                                                                                              \
  static baton_code memory_##N(const baton_options *options, const baton_program_desc *desc, uint64_t tokens, baton_dtype dtype,                 \
                               baton_memory_need *out, baton_status *status) {                                                                   \
    return table.memory(0x##N, options, desc, tokens, dtype, out, status);                                                                       \
  }
#define ENTRY(N) [0x##N] = {entry_##N, interface_##N, describe_##N, open_##N, layouts_##N, estimate_##N, memory_##N},
#define LINE(M, H) M(H##0) M(H##1) M(H##2) M(H##3) M(H##4) M(H##5) M(H##6) M(H##7) M(H##8) M(H##9) M(H##a) M(H##b) M(H##c) M(H##d) M(H##e) M(H##f)
#define ALL(M) \
  LINE(M, 0) LINE(M, 1) LINE(M, 2) LINE(M, 3) LINE(M, 4) LINE(M, 5) LINE(M, 6) LINE(M, 7) \
  LINE(M, 8) LINE(M, 9) LINE(M, a) LINE(M, b) LINE(M, c) LINE(M, d) LINE(M, e) LINE(M, f)

ALL(SLOT)

static const cisolation_slot slots[CISOLATION_SLOTS] = {ALL(ENTRY)};

cisolation_slot cisolation_slot_at(uint32_t slot) { return slots[slot % CISOLATION_SLOTS]; }
