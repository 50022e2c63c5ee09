// SPDX-License-Identifier: Apache-2.0
// The one exported symbol, the driver's table, and the services the host gives.
#ifndef BATON_DRIVER_H
#define BATON_DRIVER_H

#include "status.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct baton_device baton_device;
typedef struct baton_device_info baton_device_info;
typedef struct baton_device_table baton_device_table;
typedef struct baton_buffer_table baton_buffer_table;
typedef struct baton_program_table baton_program_table;
typedef struct baton_timeline_table baton_timeline_table;
typedef struct baton_driver baton_driver;

enum { BATON_LOG_DEBUG = 1, BATON_LOG_INFO = 2, BATON_LOG_WARNING = 3, BATON_LOG_ERROR = 4 };

/// One piece of a parallel_for: indices [begin, end). Must not block on other pieces.
typedef void (*baton_body)(void *user, uint64_t begin, uint64_t end, uint32_t worker);

/// Another driver's device, as open_device gives it.
typedef struct baton_peer {
  uint32_t size;
  uint32_t reserved;
  const baton_driver *driver; // valid for the life of the process
  baton_device *device;       // owned by the caller; give it back with close_device
} baton_peer;

/// What the host gives a driver. Valid from baton_driver_entry until the process ends. Every function may be called from any thread.
typedef struct baton_host {
  uint32_t size;
  uint32_t worker_count;  // threads that parallel_for uses, the caller's included; at least 1
  baton_version abi_min;  // the oldest and
  baton_version abi_max;  // the newest contract this host speaks
  void *context;          // first argument of every function below

  /// Writes one line to the host's log. Does not block. Since: 1.0
  void (*log)(void *context, int32_t level, baton_string message);

  /// Runs `body` over [0, count) in pieces of at least `grain` indices on the process's one worker pool, and returns when all are done.
  /// `worker` is in [0, worker_count). Blocking: yes, for the work itself. A call from inside a body runs on the calling thread.
  /// Drivers start no thread pools of their own. Errors: INVALID_ARGUMENT for a null body. Since: 1.0
  baton_code (*parallel_for)(void *context, uint64_t count, uint64_t grain, baton_body body, void *user);

  /// Opens a device of another driver by the driver's name. Ownership: the caller closes it with close_device.
  /// Blocking: as long as that driver's open. Errors: NOT_FOUND when no such driver can be loaded; the driver's own otherwise. Since: 1.0
  baton_code (*open_device)(void *context, baton_string driver, const baton_options *options, baton_peer *out, baton_status *status);

  /// Quiesces and closes what open_device gave. Blocking: until the device is idle. Since: 1.0
  void (*close_device)(void *context, baton_peer *peer);

  /// A further host interface by id and version, or null. Since: 1.0
  const void *(*get_interface)(void *context, baton_string id, uint32_t version);
} baton_host;

typedef int32_t baton_option_kind;
enum { BATON_OPTION_INTEGER = 1, BATON_OPTION_NUMBER = 2, BATON_OPTION_BOOLEAN = 3, BATON_OPTION_CHOICE = 4, BATON_OPTION_TEXT = 5 };

/// One option that open and describe accept; the host lists these and checks manifests against them.
typedef struct baton_option_info {
  uint32_t size;
  baton_option_kind kind;
  baton_string name;
  baton_string default_value;
  baton_string choices; // CHOICE: the words, separated by '|'
  baton_string unit;    // "us", "GB/s" ..., or empty
  baton_string help;    // one sentence, with the source of the default where it is a hardware figure
  double minimum;       // INTEGER and NUMBER: inclusive bounds
  double maximum;
} baton_option_info;

/// A driver. The host passes a zeroed struct with its own `size`; the driver writes no more than that.
struct baton_driver {
  uint32_t size;             // in: what the host has room for; out: min(that, what the driver knows)
  uint32_t option_count;
  baton_version abi_min;     // the oldest and
  baton_version abi_max;     // the newest contract this driver speaks
  baton_version abi;         // what it chose: a version inside both ranges
  baton_string name;         // "cpu"; matches libbaton-<name>.so
  baton_string version;      // the driver's own version
  baton_string vendor;
  const baton_option_info *options;
  const baton_device_table *device;
  const baton_buffer_table *buffer;
  const baton_program_table *program;
  const baton_timeline_table *timeline;

  /// An optional ability: "baton.kv", "baton.cost", "baton.peer_copy", "vendor.x.y". Returns its table, which begins with its size, or
  /// null when the driver lacks it at that version. A table of one version only grows at its end; what breaks it is a new version.
  /// Ownership: the driver's, for the life of the process. Does not block. Any thread. Since: 1.0
  const void *(*get_interface)(baton_string id, uint32_t version);

  /// Describes the device that open would give for these options. Opens nothing, touches no hardware state, does not block. Any thread.
  /// Errors: INVALID_ARGUMENT for an unknown key or a bad value, naming it; UNAVAILABLE when the hardware is absent. Since: 1.0
  baton_code (*describe)(const baton_options *options, baton_device_info *out, baton_status *status);
};

/// The one symbol. Negotiates and fills `out`. Pure: opens nothing, starts nothing, allocates nothing that needs freeing.
/// Called once per load, before anything else. Returns FAILED_PRECONDITION when the ranges do not meet, with `abi_min` and `abi_max`
/// of `out` filled all the same so that the host can print both. A driver that refuses says why through host->log; the host puts
/// those words into its load report. Since: 1.0
#if defined(_WIN32)
#define BATON_EXPORT __declspec(dllexport)
#else
#define BATON_EXPORT __attribute__((visibility("default")))
#endif
#define BATON_DRIVER_ENTRY "baton_driver_entry"
typedef baton_code (*baton_driver_entry_function)(const baton_host *host, baton_driver *out);
BATON_EXPORT baton_code baton_driver_entry(const baton_host *host, baton_driver *out);

// Rules. `baton driver test` checks each against a driver's library.
// D3: A library exports baton_driver_entry and nothing else.
// D4: The entry chooses the newest version inside both ranges, and fills in name, ranges and the four tables.
// D5: The entry refuses a host that is too old or too new with FAILED_PRECONDITION, its own range filled in.
// D6: The entry writes no more of `out` than `out->size`, and takes longer structs than it knows.
// D7: get_interface gives null for an id or version the driver does not know, and one table for one that it does.
// D8: describe says of a device what the open device says of itself.
// D9: describe and open refuse an unknown option with INVALID_ARGUMENT and name it; every listed option has a name, a kind and help.

#ifdef __cplusplus
}
#endif
#endif
