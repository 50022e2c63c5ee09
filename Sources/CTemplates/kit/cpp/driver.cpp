// SPDX-License-Identifier: Apache-2.0
// Step 1: the entry, options, describe.
#include "device.hpp"

#ifndef DRIVER_NAME
#define DRIVER_NAME "mine"
#endif
#define VERSION "0.1.0"
#define TEXT(literal) baton_string{literal, sizeof(literal) - 1}

/// What the host reads from the file before it loads it. It says what the entry says.
BATON_DRIVER_NOTE(DRIVER_NAME, VERSION, BATON_ABI_MAJOR, 0, BATON_ABI_MAJOR, BATON_ABI_MINOR);

namespace {

const baton_version oldest = {BATON_ABI_MAJOR, 0}, newest = {BATON_ABI_MAJOR, BATON_ABI_MINOR};
baton_host host{};

bool is(baton_string a, const char *b) { return a.length == std::strlen(b) && (a.length == 0 || std::memcmp(a.data, b, a.length) == 0); }
std::string words(baton_string a) { return std::string(a.data == nullptr ? "" : a.data, a.length < 60 ? a.length : 60); }

baton_option_info option(baton_option_kind kind, baton_string name, baton_string value, baton_string choices, baton_string unit, baton_string help, double low, double high) {
  return {sizeof(baton_option_info), kind, name, value, choices, unit, help, low, high};
}

const baton_option_info options_known[] = {
    option(BATON_OPTION_INTEGER, TEXT("memory"), TEXT("4294967296"), TEXT(""), TEXT("bytes"), TEXT("Memory the device gives out; imported memory is not counted."), 1 << 20, 1e15),
    option(BATON_OPTION_CHOICE, TEXT("kv_dtype"), TEXT("f32"), TEXT("f32|f16|bf16"), TEXT(""), TEXT("What KV is kept in when the host does not say."), 0, 0),
};

uint64_t read_memory(baton_string value) {
  std::string digits = words(value);
  bool fits = !digits.empty() && digits.size() <= 15 && digits.find_first_not_of("0123456789") == std::string::npos;
  uint64_t bytes = fits ? std::stoull(digits) : 0;
  if (bytes < 1 << 20) throw Failure(BATON_INVALID_ARGUMENT, text("memory is '", digits, "'; give bytes from 1048576"));
  return bytes;
}

const void *get_interface(baton_string id, uint32_t version) {
  if (is(id, BATON_KV_INTERFACE) && version == BATON_KV_VERSION) return &kv_table;
  if (is(id, BATON_COST_INTERFACE) && version == BATON_COST_VERSION) return &cost_table;
  return nullptr;
}

baton_code describe(const baton_options *options, baton_device_info *out, baton_status *status) {
  return guarded(status, [&] { give(out, info_of(read_options(options))); });
}

bool newer(baton_version a, baton_version b) { return a.major != b.major ? a.major > b.major : a.minor > b.minor; }

} // namespace

baton_code refuse(baton_status *status, baton_code code, const std::string &why) noexcept {
  if (status == nullptr || !BATON_HAS(status, baton_status, message)) return code;
  const char start[] = DRIVER_NAME ": ";
  size_t first = sizeof start - 1, length = why.size() < sizeof status->message - first ? why.size() : sizeof status->message - first;
  std::memcpy(status->message, start, first);
  std::memcpy(status->message + first, why.data(), length);
  status->code = code;
  status->vendor_code = 0;
  status->message_length = static_cast<uint32_t>(first + length);
  return code;
}

void parallel(uint64_t count, uint64_t grain, const std::function<void(uint64_t, uint64_t)> &body) {
  struct Job {
    const std::function<void(uint64_t, uint64_t)> &body;
    std::mutex lock;
    std::exception_ptr thrown;
  } job{body, {}, nullptr};
  baton_body piece = [](void *user, uint64_t begin, uint64_t end, uint32_t) {
    Job &job = *static_cast<Job *>(user);
    try {
      job.body(begin, end);
    } catch (...) {
      std::lock_guard<std::mutex> hold(job.lock);
      job.thrown = std::current_exception();
    }
  };
  if (host.parallel_for == nullptr || host.parallel_for(host.context, count, grain, piece, &job) != BATON_OK) piece(&job, 0, count, 0);
  if (job.thrown) std::rethrow_exception(job.thrown);
}

Settings read_options(const baton_options *options) {
  Settings settings;
  uint32_t count = options == nullptr || !BATON_HAS(options, baton_options, items) ? 0 : options->count;
  for (uint32_t i = 0; i < count; i++) {
    const baton_option &item = options->items[i];
    if (is(item.key, "memory")) {
      settings.memory = read_memory(item.value);
    } else if (is(item.key, "kv_dtype")) {
      settings.kv_dtype = is(item.value, "f32") ? BATON_F32 : is(item.value, "f16") ? BATON_F16 : is(item.value, "bf16") ? BATON_BF16 : 0;
      if (settings.kv_dtype == 0) throw Failure(BATON_INVALID_ARGUMENT, text("kv_dtype is '", words(item.value), "'; give f32, f16 or bf16"));
    } else {
      throw Failure(BATON_INVALID_ARGUMENT, text("option '", words(item.key), "' is not known; memory and kv_dtype are"));
    }
  }
  return settings;
}

/// What the device is. Change it to what yours is.
baton_device_info info_of(const Settings &settings) {
  baton_device_info info{};
  info.size = sizeof info;
  info.engine = BATON_ENGINE_REFERENCE; // SILICON once your device computes
  info.name = TEXT("Template");
  info.vendor = TEXT("You");
  info.memory_bytes = settings.memory;
  for (baton_dtype dtype : {BATON_F32, BATON_F16, BATON_BF16, BATON_Q4_0, BATON_Q4_1, BATON_Q8_0}) info.weight_dtypes |= BATON_DTYPE_BIT(dtype);
  info.compute_dtypes = BATON_DTYPE_BIT(BATON_F32);
  for (baton_dtype dtype : {BATON_F32, BATON_F16, BATON_BF16}) info.kv_dtypes |= BATON_DTYPE_BIT(dtype);
  info.kv_dtype = settings.kv_dtype;
  info.shape_rule = BATON_SHAPES_DYNAMIC;
  info.max_batch_tokens = max_tokens;
  info.max_batch_sequences = max_sequences;
  info.kv_block_tokens = block_tokens;
  info.queue_count = queue_count;
  info.queue_depth = queue_depth;
  info.unit_count = 1;
  info.clock = BATON_CLOCK_WALL;
  return info;
}

BATON_EXPORT baton_code baton_driver_entry(const baton_host *with, baton_driver *out) {
  if (with == nullptr || out == nullptr || !BATON_HAS(with, baton_host, abi_max) || !BATON_HAS(out, baton_driver, abi)) return BATON_INVALID_ARGUMENT;
  baton_driver driver{};
  driver.abi_min = oldest;
  driver.abi_max = newest;
  baton_version chosen = newer(with->abi_max, newest) ? newest : with->abi_max;
  bool agreed = !newer(oldest, chosen) && !newer(with->abi_min, chosen);
  if (agreed) {
    std::memcpy(&host, with, with->size < sizeof host ? with->size : sizeof host);
    driver.abi = chosen;
    driver.name = TEXT(DRIVER_NAME);
    driver.version = TEXT(VERSION);
    driver.vendor = TEXT("You");
    driver.options = options_known;
    driver.option_count = sizeof options_known / sizeof *options_known;
    driver.device = &device_table;
    driver.buffer = &buffer_table;
    driver.program = &program_table;
    driver.timeline = &timeline_table;
    driver.get_interface = get_interface;
    driver.describe = describe;
  }
  give(out, driver);
  return agreed ? BATON_OK : BATON_FAILED_PRECONDITION;
}
