// SPDX-License-Identifier: Apache-2.0
// What the files of this driver share. Each file is a step of the order in which a driver is written; `baton driver test` says how far you are.
//   1 driver.cpp    entry, describe, get_interface      5 kv.cpp                       pools of KV, and moving it
//   2 device.cpp    open, info, health, quiesce, close  6 program.cpp, operations.cpp  graphs of operations, and running them
//   3 timeline.cpp  counters, and queued work           7 cost.cpp                     what work would take
//   4 buffer.cpp    memory
// No exception crosses the boundary: every function of a table runs inside `guarded`.
#pragma once

#include "baton/baton.h"

#include <condition_variable>
#include <cstring>
#include <deque>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <new>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

// --- Step 1: driver.cpp

/// A failure on its way to the caller's status.
struct Failure : std::exception {
  baton_code code;
  std::string words;
  Failure(baton_code code, std::string words) : code(code), words(std::move(words)) {}
  const char *what() const noexcept override { return words.c_str(); }
};

/// Words of several parts: text("a buffer of ", 5, " bytes").
inline std::string part(const char *text) { return text; }
inline std::string part(const std::string &text) { return text; }
template <typename Number> std::string part(Number number) { return std::to_string(number); }
template <typename... Parts> std::string text(const Parts &...parts) { return (part(parts) + ...); }

/// Writes a failure in the caller's status, which may be null or short, and gives its code.
baton_code refuse(baton_status *status, baton_code code, const std::string &words) noexcept;

/// Does what a function of a table does; a failure becomes a status.
template <typename Body> baton_code guarded(baton_status *status, Body body) noexcept {
  try {
    body();
    return BATON_OK;
  } catch (const Failure &failure) {
    return refuse(status, failure.code, failure.words);
  } catch (const std::bad_alloc &) {
    return refuse(status, BATON_RESOURCE_EXHAUSTED, "no host memory");
  } catch (const std::exception &error) {
    return refuse(status, BATON_INTERNAL, error.what());
  }
}

/// Hands over a struct, which begins with its size: as much of it as the caller has room for, and says how much that is.
template <typename T> void give(T *out, uint32_t room, T value) {
  if (out == nullptr || room < sizeof value.size) throw Failure(BATON_INVALID_ARGUMENT, "an answer needs a struct with its size");
  value.size = room < sizeof value ? room : static_cast<uint32_t>(sizeof value);
  std::memcpy(out, &value, value.size);
}
template <typename T> void give(T *out, const T &value) { give(out, out == nullptr ? 0 : out->size, value); }

/// An element of an array of structs that are as far apart as the first one says.
template <typename T> const T &at(const T *array, uint64_t index) {
  return *reinterpret_cast<const T *>(reinterpret_cast<const char *>(array) + index * array->size);
}

struct Settings {
  uint64_t memory = uint64_t(4) << 30;
  baton_dtype kv_dtype = BATON_F32;
};
Settings read_options(const baton_options *options);
baton_device_info info_of(const Settings &settings);
/// Runs `body(begin, end)` over [0, count) on the host's workers; what a piece throws is thrown here.
void parallel(uint64_t count, uint64_t grain, const std::function<void(uint64_t, uint64_t)> &body);

// --- Step 3: timeline.cpp

constexpr uint32_t queue_count = 2, queue_depth = 64, max_tokens = 512, max_sequences = 64, block_tokens = 16;

/// One lock for everything that waits, and a condition for every change of it. A faster driver has one for each device.
extern std::mutex mutex;
extern std::condition_variable changed;
uint64_t now();

struct Stamp {
  uint64_t value, start, end;
};

struct baton_timeline {
  baton_device *device;
  uint64_t value;
  Failure failure{BATON_OK, ""};
  std::deque<Stamp> stamps; // of the last 4,096 values signalled, ascending
  struct Callback {
    uint64_t value;
    baton_callback function;
    void *user;
  };
  std::vector<Callback> callbacks;

  void reach(uint64_t to, uint64_t start, uint64_t end);
  void fail(const Failure &reason);
  baton_event event(uint64_t asked) const;

private:
  void call_back(std::unique_lock<std::mutex> &lock);
};

/// Something queued, and what it waits for and signals.
struct Work {
  std::function<void(Work &)> run;
  std::vector<baton_point> waits, signals;
  baton_timeline *layers = nullptr;
  uint64_t layer_base = 0, start = 0;
  /// The KV of the program's `count` first layers is complete.
  void complete(uint32_t count) {
    if (layers != nullptr) layers->reach(layer_base + count, start, now());
  }
};

/// One thread that runs what was submitted, in order, each when its waits are reached.
class Queue {
public:
  explicit Queue(baton_device &device);
  ~Queue();
  void take(std::shared_ptr<Work> work);
  size_t length() const { return works.size() + (running ? 1 : 0); }

private:
  void loop();
  void perform(Work &work);
  baton_device &device;
  std::deque<std::shared_ptr<Work>> works;
  bool running = false, stops = false;
  std::thread thread;
};

// --- Steps 4 to 6: what belongs to a device

struct baton_buffer {
  std::vector<uint8_t> own;
  uint8_t *base = nullptr;
  uint64_t length = 0;
  bool writable = true;
  std::shared_ptr<void> mapping;
};

/// Storage: [block][layer][plane][head][token][dim].
struct baton_kv_pool {
  baton_kv_pool_desc desc{};
  std::vector<uint8_t> own;
  uint8_t *base = nullptr;
  uint64_t bytes = 0;
  /// Where a row of head_dim elements lies. `layer` is counted in the whole model.
  uint8_t *row(uint32_t layer, uint32_t block, uint32_t plane, uint32_t head, uint32_t token) const;
};

struct Tensor {
  baton_tensor_role role;
  baton_dtype dtype;
  uint32_t rank;
  int64_t rows; // a count, BATON_DIM_TOKENS or BATON_DIM_ROWS; 1 for rank 1
  uint64_t columns;
  const uint8_t *bytes = nullptr; // of a weight
  int slot = -1;                  // where an activation lies while it is needed
  std::string name;
};

struct baton_program {
  std::vector<Tensor> tensors;
  std::vector<baton_op> ops;
  baton_program_desc desc{}; // its counts
  std::vector<uint64_t> slots; // the widest tensor that lies in each
  uint64_t vocabulary = UINT64_MAX;
  bool attends = false;
};

struct baton_device {
  Settings settings;
  uint64_t used = 0;                 // bytes of `settings.memory` given out
  bool refuses = false;              // takes no more work
  bool cancelled = false;            // what is left of accepted work fails
  bool quiet = false;                // calls nobody back any more
  uint32_t calling = 0;              // callbacks that have not returned
  std::unordered_map<void *, std::shared_ptr<void>> objects; // everything made on the device
  std::vector<std::unique_ptr<Queue>> queues;

  /// Makes an object that goes with the device at the latest, and gives its handle.
  template <typename T> T *keep(std::shared_ptr<T> object) {
    std::lock_guard<std::mutex> hold(mutex);
    objects[object.get()] = object;
    return object.get();
  }
  void drop(void *handle);
  /// Takes bytes out of the device's memory for as long as what it gives lives.
  std::shared_ptr<void> charge(uint64_t bytes, const char *what);
  /// Queues work by `sync`, or does it at once without one.
  void take(const baton_sync *sync, std::function<void(Work &)> run, bool now_without_sync);
};

extern const baton_device_table device_table;
extern const baton_timeline_table timeline_table;
extern const baton_buffer_table buffer_table;
extern const baton_kv_table kv_table;
extern const baton_program_table program_table;
extern const baton_cost_table cost_table;

/// A host pointer to named memory; `mapping` keeps it there.
uint8_t *reach_memory(const baton_memory *memory, bool writable, std::shared_ptr<void> &mapping);

// --- operations.cpp

/// A batch as it was proven and copied, and where its tensors are.
struct Run {
  const baton_program *program;
  baton_kv_pool *pool;
  std::vector<uint32_t> tokens, positions, sequences, rows, tables;
  uint32_t sequence_count, stride;
  std::vector<float *> places;

  uint64_t row_count(const Tensor &tensor) const {
    return tensor.rows == BATON_DIM_TOKENS ? positions.size() : tensor.rows == BATON_DIM_ROWS ? rows.size() : uint64_t(tensor.rows);
  }
};
/// Does one operation; attention tells `work` when its layer's KV is complete.
void operate(const Run &run, const baton_op &op, Work &work);

/// Elements and bytes of a block; 0 for a dtype this driver does not take.
uint32_t dtype_elements(baton_dtype dtype);
uint32_t dtype_bytes(baton_dtype dtype);
/// `count` elements, whole blocks, as f32; and back, as f32, f16 or bf16, rounded to nearest, ties to even.
void decode(baton_dtype dtype, const uint8_t *bytes, uint64_t count, float *out);
void encode(baton_dtype dtype, const float *values, uint64_t count, uint8_t *out);
