// SPDX-License-Identifier: Apache-2.0
// The lock of the contract: where every field lies, how big every struct is, and what every enumerator is worth.
// A line here changes only with BATON_ABI_MAJOR. A new minor version adds FIELD lines below the last one of a struct, moves its SIZE,
// and adds VALUE lines. The fields of a struct follow one another without a gap: -Wpadded refuses padding, so no later field can
// land inside a size that an older binary already states.
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#pragma GCC diagnostic push
#pragma GCC diagnostic error "-Wpadded"
#include "baton/baton.h"
#pragma GCC diagnostic pop

_Static_assert(sizeof(void *) == 8 && sizeof(void (*)(void)) == 8 && sizeof(size_t) == 8, "the layout below is that of LP64");

/// The size of a struct or pointer type in bytes.
#define SIZE(type, bytes) _Static_assert(sizeof(type) == (bytes), #type " changed its size")
/// A field: its first byte and its size in bytes.
#define FIELD(type, field, first, bytes)                                                                                  \
  _Static_assert(offsetof(type, field) == (first) && sizeof(((const type *)0)->field) == (bytes), #type "." #field " moved")
/// An enumerator or a constant.
#define VALUE(name, value) _Static_assert((name) == (value), #name " changed its value")
/// A type that names an integer type.
#define SCALAR(type, integer) _Static_assert(_Generic((type)0, integer: true, default: false), #type " is no longer " #integer)

// status.h

VALUE(BATON_ABI_MAJOR, 1);

SIZE(baton_version, 8);
FIELD(baton_version, major, 0, 4);
FIELD(baton_version, minor, 4, 4);

SIZE(baton_string, 16);
FIELD(baton_string, data, 0, 8);
FIELD(baton_string, length, 8, 8);

SCALAR(baton_code, int32_t);
VALUE(BATON_OK, 0);
VALUE(BATON_CANCELLED, 1);
VALUE(BATON_UNKNOWN, 2);
VALUE(BATON_INVALID_ARGUMENT, 3);
VALUE(BATON_DEADLINE_EXCEEDED, 4);
VALUE(BATON_NOT_FOUND, 5);
VALUE(BATON_ALREADY_EXISTS, 6);
VALUE(BATON_PERMISSION_DENIED, 7);
VALUE(BATON_RESOURCE_EXHAUSTED, 8);
VALUE(BATON_FAILED_PRECONDITION, 9);
VALUE(BATON_ABORTED, 10);
VALUE(BATON_OUT_OF_RANGE, 11);
VALUE(BATON_UNIMPLEMENTED, 12);
VALUE(BATON_INTERNAL, 13);
VALUE(BATON_UNAVAILABLE, 14);
VALUE(BATON_DATA_LOSS, 15);
VALUE(BATON_UNAUTHENTICATED, 16);

SIZE(baton_status, 512);
FIELD(baton_status, size, 0, 4);
FIELD(baton_status, code, 4, 4);
FIELD(baton_status, vendor_code, 8, 8);
FIELD(baton_status, message_length, 16, 4);
FIELD(baton_status, message, 20, 492);

SIZE(baton_option, 32);
FIELD(baton_option, key, 0, 16);
FIELD(baton_option, value, 16, 16);

SIZE(baton_options, 16);
FIELD(baton_options, size, 0, 4);
FIELD(baton_options, count, 4, 4);
FIELD(baton_options, items, 8, 8);

SCALAR(baton_clock, int32_t);
VALUE(BATON_CLOCK_WALL, 1);
VALUE(BATON_CLOCK_MODELLED, 2);

SCALAR(baton_dtype, uint32_t);
VALUE(BATON_F32, 1);
VALUE(BATON_F16, 2);
VALUE(BATON_BF16, 3);
VALUE(BATON_I32, 4);
VALUE(BATON_U32, 5);
VALUE(BATON_I8, 6);
VALUE(BATON_MXFP8, 7);
VALUE(BATON_Q4_0, 16);
VALUE(BATON_Q4_1, 17);
VALUE(BATON_Q8_0, 18);

// note.h

VALUE(BATON_NOTE_TYPE, 1);
VALUE(sizeof BATON_NOTE_OWNER, 6);

SIZE(baton_note, 152);
FIELD(baton_note, size, 0, 4);
FIELD(baton_note, reserved, 4, 4);
FIELD(baton_note, abi_min, 8, 8);
FIELD(baton_note, abi_max, 16, 8);
FIELD(baton_note, name, 24, 32);
FIELD(baton_note, version, 56, 32);
FIELD(baton_note, build, 88, 64);

SIZE(baton_note_record, 172);
FIELD(baton_note_record, owner_size, 0, 4);
FIELD(baton_note_record, note_size, 4, 4);
FIELD(baton_note_record, type, 8, 4);
FIELD(baton_note_record, owner, 12, 8);
FIELD(baton_note_record, note, 20, 152);

// driver.h

VALUE(BATON_LOG_DEBUG, 1);
VALUE(BATON_LOG_INFO, 2);
VALUE(BATON_LOG_WARNING, 3);
VALUE(BATON_LOG_ERROR, 4);

SIZE(baton_body, 8);

SIZE(baton_peer, 24);
FIELD(baton_peer, size, 0, 4);
FIELD(baton_peer, reserved, 4, 4);
FIELD(baton_peer, driver, 8, 8);
FIELD(baton_peer, device, 16, 8);

SIZE(baton_host, 72);
FIELD(baton_host, size, 0, 4);
FIELD(baton_host, worker_count, 4, 4);
FIELD(baton_host, abi_min, 8, 8);
FIELD(baton_host, abi_max, 16, 8);
FIELD(baton_host, context, 24, 8);
FIELD(baton_host, log, 32, 8);
FIELD(baton_host, parallel_for, 40, 8);
FIELD(baton_host, open_device, 48, 8);
FIELD(baton_host, close_device, 56, 8);
FIELD(baton_host, get_interface, 64, 8);

SCALAR(baton_option_kind, int32_t);
VALUE(BATON_OPTION_INTEGER, 1);
VALUE(BATON_OPTION_NUMBER, 2);
VALUE(BATON_OPTION_BOOLEAN, 3);
VALUE(BATON_OPTION_CHOICE, 4);
VALUE(BATON_OPTION_TEXT, 5);

SIZE(baton_option_info, 104);
FIELD(baton_option_info, size, 0, 4);
FIELD(baton_option_info, kind, 4, 4);
FIELD(baton_option_info, name, 8, 16);
FIELD(baton_option_info, default_value, 24, 16);
FIELD(baton_option_info, choices, 40, 16);
FIELD(baton_option_info, unit, 56, 16);
FIELD(baton_option_info, help, 72, 16);
FIELD(baton_option_info, minimum, 88, 8);
FIELD(baton_option_info, maximum, 96, 8);

SIZE(baton_driver, 136);
FIELD(baton_driver, size, 0, 4);
FIELD(baton_driver, option_count, 4, 4);
FIELD(baton_driver, abi_min, 8, 8);
FIELD(baton_driver, abi_max, 16, 8);
FIELD(baton_driver, abi, 24, 8);
FIELD(baton_driver, name, 32, 16);
FIELD(baton_driver, version, 48, 16);
FIELD(baton_driver, vendor, 64, 16);
FIELD(baton_driver, options, 80, 8);
FIELD(baton_driver, device, 88, 8);
FIELD(baton_driver, buffer, 96, 8);
FIELD(baton_driver, program, 104, 8);
FIELD(baton_driver, timeline, 112, 8);
FIELD(baton_driver, get_interface, 120, 8);
FIELD(baton_driver, describe, 128, 8);

SIZE(baton_driver_entry_function, 8);

// device.h

SCALAR(baton_engine, int32_t);
VALUE(BATON_ENGINE_SILICON, 1);
VALUE(BATON_ENGINE_MODEL, 2);
VALUE(BATON_ENGINE_REFERENCE, 3);

SCALAR(baton_shape_rule, int32_t);
VALUE(BATON_SHAPES_DYNAMIC, 1);
VALUE(BATON_SHAPES_BUCKETS, 2);

SIZE(baton_device_info, 128);
FIELD(baton_device_info, size, 0, 4);
FIELD(baton_device_info, engine, 4, 4);
FIELD(baton_device_info, name, 8, 16);
FIELD(baton_device_info, vendor, 24, 16);
FIELD(baton_device_info, memory_bytes, 40, 8);
FIELD(baton_device_info, weight_dtypes, 48, 8);
FIELD(baton_device_info, compute_dtypes, 56, 8);
FIELD(baton_device_info, kv_dtypes, 64, 8);
FIELD(baton_device_info, resident_dtype, 72, 4);
FIELD(baton_device_info, kv_dtype, 76, 4);
FIELD(baton_device_info, shape_rule, 80, 4);
FIELD(baton_device_info, bucket_count, 84, 4);
FIELD(baton_device_info, buckets, 88, 8);
FIELD(baton_device_info, max_batch_tokens, 96, 4);
FIELD(baton_device_info, max_batch_sequences, 100, 4);
FIELD(baton_device_info, max_context, 104, 4);
FIELD(baton_device_info, kv_block_tokens, 108, 4);
FIELD(baton_device_info, queue_count, 112, 4);
FIELD(baton_device_info, queue_depth, 116, 4);
FIELD(baton_device_info, unit_count, 120, 4);
FIELD(baton_device_info, clock, 124, 4);

SIZE(baton_device_table, 48);
FIELD(baton_device_table, size, 0, 4);
FIELD(baton_device_table, reserved, 4, 4);
FIELD(baton_device_table, open, 8, 8);
FIELD(baton_device_table, info, 16, 8);
FIELD(baton_device_table, health, 24, 8);
FIELD(baton_device_table, quiesce, 32, 8);
FIELD(baton_device_table, close, 40, 8);

// buffer.h

SCALAR(baton_memory_kind, int32_t);
VALUE(BATON_MEMORY_HOST, 1);
VALUE(BATON_MEMORY_MEMFD, 2);
VALUE(BATON_MEMORY_DMABUF, 3);
VALUE(BATON_MEMORY_LINK, 4);

SIZE(baton_memory, 48);
FIELD(baton_memory, size, 0, 4);
FIELD(baton_memory, kind, 4, 4);
FIELD(baton_memory, address, 8, 8);
FIELD(baton_memory, descriptor, 16, 8);
FIELD(baton_memory, key, 24, 8);
FIELD(baton_memory, offset, 32, 8);
FIELD(baton_memory, length, 40, 8);

VALUE(BATON_ACCESS_READ, 1);
VALUE(BATON_ACCESS_WRITE, 2);

SIZE(baton_buffer_table, 80);
FIELD(baton_buffer_table, size, 0, 4);
FIELD(baton_buffer_table, reserved, 4, 4);
FIELD(baton_buffer_table, allocate, 8, 8);
FIELD(baton_buffer_table, import_memory, 16, 8);
FIELD(baton_buffer_table, export_memory, 24, 8);
FIELD(baton_buffer_table, release, 32, 8);
FIELD(baton_buffer_table, write, 40, 8);
FIELD(baton_buffer_table, read, 48, 8);
FIELD(baton_buffer_table, map, 56, 8);
FIELD(baton_buffer_table, unmap, 64, 8);
FIELD(baton_buffer_table, copy, 72, 8);

// event.h

SIZE(baton_point, 16);
FIELD(baton_point, timeline, 0, 8);
FIELD(baton_point, value, 8, 8);

SIZE(baton_sync, 48);
FIELD(baton_sync, size, 0, 4);
FIELD(baton_sync, wait_count, 4, 4);
FIELD(baton_sync, waits, 8, 8);
FIELD(baton_sync, signals, 16, 8);
FIELD(baton_sync, signal_count, 24, 4);
FIELD(baton_sync, queue, 28, 4);
FIELD(baton_sync, layer_timeline, 32, 8);
FIELD(baton_sync, layer_base, 40, 8);

SIZE(baton_event, 40);
FIELD(baton_event, size, 0, 4);
FIELD(baton_event, code, 4, 4);
FIELD(baton_event, value, 8, 8);
FIELD(baton_event, clock, 16, 4);
FIELD(baton_event, reserved, 20, 4);
FIELD(baton_event, start_ns, 24, 8);
FIELD(baton_event, end_ns, 32, 8);

SIZE(baton_callback, 8);

SIZE(baton_timeline_table, 64);
FIELD(baton_timeline_table, size, 0, 4);
FIELD(baton_timeline_table, reserved, 4, 4);
FIELD(baton_timeline_table, create, 8, 8);
FIELD(baton_timeline_table, release, 16, 8);
FIELD(baton_timeline_table, query, 24, 8);
FIELD(baton_timeline_table, wait, 32, 8);
FIELD(baton_timeline_table, signal, 40, 8);
FIELD(baton_timeline_table, fail, 48, 8);
FIELD(baton_timeline_table, notify, 56, 8);

// program.h

VALUE(BATON_DIM_TOKENS, -1);
VALUE(BATON_DIM_ROWS, -2);

SCALAR(baton_tensor_role, int32_t);
VALUE(BATON_TENSOR_WEIGHT, 1);
VALUE(BATON_TENSOR_ACTIVATION, 2);
VALUE(BATON_TENSOR_INPUT, 3);
VALUE(BATON_TENSOR_OUTPUT, 4);

SIZE(baton_tensor, 80);
FIELD(baton_tensor, size, 0, 4);
FIELD(baton_tensor, role, 4, 4);
FIELD(baton_tensor, name, 8, 16);
FIELD(baton_tensor, dtype, 24, 4);
FIELD(baton_tensor, rank, 28, 4);
FIELD(baton_tensor, dims, 32, 32);
FIELD(baton_tensor, buffer, 64, 8);
FIELD(baton_tensor, offset, 72, 8);

SCALAR(baton_op_kind, uint32_t);
VALUE(BATON_OP_EMBED, 1);
VALUE(BATON_OP_RMS_NORM, 2);
VALUE(BATON_OP_LINEAR, 3);
VALUE(BATON_OP_ROPE, 4);
VALUE(BATON_OP_ATTENTION, 5);
VALUE(BATON_OP_SWIGLU, 6);
VALUE(BATON_OP_ADD, 7);
VALUE(BATON_OP_MUL, 8);
VALUE(BATON_OP_SCALE, 9);
VALUE(BATON_OP_SOFTCAP, 10);
VALUE(BATON_OP_SELECT_ROWS, 11);

SCALAR(baton_rope_style, int32_t);
VALUE(BATON_ROPE_INTERLEAVED, 1);
VALUE(BATON_ROPE_SPLIT_HALF, 2);

SIZE(baton_op, 80);
FIELD(baton_op, size, 0, 4);
FIELD(baton_op, kind, 4, 4);
FIELD(baton_op, layer, 8, 4);
FIELD(baton_op, input_count, 12, 4);
FIELD(baton_op, inputs, 16, 16);
FIELD(baton_op, output, 32, 4);
FIELD(baton_op, heads, 36, 4);
FIELD(baton_op, kv_heads, 40, 4);
FIELD(baton_op, head_dim, 44, 4);
FIELD(baton_op, rope_dims, 48, 4);
FIELD(baton_op, rope_style, 52, 4);
FIELD(baton_op, rope_base, 56, 4);
FIELD(baton_op, rope_scale, 60, 4);
FIELD(baton_op, epsilon, 64, 4);
FIELD(baton_op, scale, 68, 4);
FIELD(baton_op, cap, 72, 4);
FIELD(baton_op, window, 76, 4);

SIZE(baton_program_desc, 72);
FIELD(baton_program_desc, size, 0, 4);
FIELD(baton_program_desc, tensor_count, 4, 4);
FIELD(baton_program_desc, tensors, 8, 8);
FIELD(baton_program_desc, ops, 16, 8);
FIELD(baton_program_desc, op_count, 24, 4);
FIELD(baton_program_desc, first_layer, 28, 4);
FIELD(baton_program_desc, layer_count, 32, 4);
FIELD(baton_program_desc, kv_heads, 36, 4);
FIELD(baton_program_desc, head_dim, 40, 4);
FIELD(baton_program_desc, max_tokens, 44, 4);
FIELD(baton_program_desc, max_sequences, 48, 4);
FIELD(baton_program_desc, max_context, 52, 4);
FIELD(baton_program_desc, progress, 56, 8);
FIELD(baton_program_desc, progress_user, 64, 8);

SIZE(baton_program_info, 32);
FIELD(baton_program_info, size, 0, 4);
FIELD(baton_program_info, bucket_count, 4, 4);
FIELD(baton_program_info, buckets, 8, 8);
FIELD(baton_program_info, weight_bytes, 16, 8);
FIELD(baton_program_info, workspace_bytes, 24, 8);

SIZE(baton_binding, 24);
FIELD(baton_binding, size, 0, 4);
FIELD(baton_binding, tensor, 4, 4);
FIELD(baton_binding, buffer, 8, 8);
FIELD(baton_binding, offset, 16, 8);

SIZE(baton_batch, 88);
FIELD(baton_batch, size, 0, 4);
FIELD(baton_batch, token_count, 4, 4);
FIELD(baton_batch, sequence_count, 8, 4);
FIELD(baton_batch, row_count, 12, 4);
FIELD(baton_batch, tokens, 16, 8);
FIELD(baton_batch, positions, 24, 8);
FIELD(baton_batch, sequences, 32, 8);
FIELD(baton_batch, block_tables, 40, 8);
FIELD(baton_batch, rows, 48, 8);
FIELD(baton_batch, block_table_stride, 56, 4);
FIELD(baton_batch, binding_count, 60, 4);
FIELD(baton_batch, bindings, 64, 8);
FIELD(baton_batch, pool, 72, 8);
FIELD(baton_batch, tag, 80, 8);

SIZE(baton_program_table, 40);
FIELD(baton_program_table, size, 0, 4);
FIELD(baton_program_table, reserved, 4, 4);
FIELD(baton_program_table, compile, 8, 8);
FIELD(baton_program_table, info, 16, 8);
FIELD(baton_program_table, release, 24, 8);
FIELD(baton_program_table, submit, 32, 8);

// kv.h

VALUE(BATON_KV_VERSION, 1);

VALUE(BATON_AXIS_LAYER, 1);
VALUE(BATON_AXIS_BLOCK, 2);
VALUE(BATON_AXIS_PLANE, 3);
VALUE(BATON_AXIS_HEAD, 4);
VALUE(BATON_AXIS_TOKEN, 5);
VALUE(BATON_AXIS_DIM, 6);

VALUE(BATON_KV_SCALE_NONE, 0);
VALUE(BATON_KV_SCALE_BLOCK, 1);
VALUE(BATON_KV_SCALE_HEAD, 2);
VALUE(BATON_KV_SCALE_TOKEN, 3);

SIZE(baton_kv_layout, 48);
FIELD(baton_kv_layout, size, 0, 4);
FIELD(baton_kv_layout, dtype, 4, 4);
FIELD(baton_kv_layout, axes, 8, 8);
FIELD(baton_kv_layout, block_tokens, 16, 4);
FIELD(baton_kv_layout, kv_heads, 20, 4);
FIELD(baton_kv_layout, head_dim, 24, 4);
FIELD(baton_kv_layout, layers, 28, 4);
FIELD(baton_kv_layout, rope_applied, 32, 4);
FIELD(baton_kv_layout, rope_style, 36, 4);
FIELD(baton_kv_layout, scale_mode, 40, 4);
FIELD(baton_kv_layout, reserved, 44, 4);

SIZE(baton_kv_pool_desc, 40);
FIELD(baton_kv_pool_desc, size, 0, 4);
FIELD(baton_kv_pool_desc, dtype, 4, 4);
FIELD(baton_kv_pool_desc, block_count, 8, 4);
FIELD(baton_kv_pool_desc, block_tokens, 12, 4);
FIELD(baton_kv_pool_desc, first_layer, 16, 4);
FIELD(baton_kv_pool_desc, layers, 20, 4);
FIELD(baton_kv_pool_desc, kv_heads, 24, 4);
FIELD(baton_kv_pool_desc, head_dim, 28, 4);
FIELD(baton_kv_pool_desc, rope_style, 32, 4);
FIELD(baton_kv_pool_desc, reserved, 36, 4);

SIZE(baton_kv_range, 32);
FIELD(baton_kv_range, size, 0, 4);
FIELD(baton_kv_range, first_layer, 4, 4);
FIELD(baton_kv_range, layer_count, 8, 4);
FIELD(baton_kv_range, block_count, 12, 4);
FIELD(baton_kv_range, blocks, 16, 8);
FIELD(baton_kv_range, token_count, 24, 4);
FIELD(baton_kv_range, reserved, 28, 4);

SIZE(baton_kv_table, 72);
FIELD(baton_kv_table, size, 0, 4);
FIELD(baton_kv_table, reserved, 4, 4);
FIELD(baton_kv_table, layouts, 8, 8);
FIELD(baton_kv_table, create, 16, 8);
FIELD(baton_kv_table, release, 24, 8);
FIELD(baton_kv_table, share, 32, 8);
FIELD(baton_kv_table, adopt, 40, 8);
FIELD(baton_kv_table, export_range, 48, 8);
FIELD(baton_kv_table, import_range, 56, 8);
FIELD(baton_kv_table, copy_blocks, 64, 8);

// cost.h

VALUE(BATON_COST_VERSION, 1);

SCALAR(baton_work_kind, int32_t);
VALUE(BATON_WORK_RUN, 1);
VALUE(BATON_WORK_KV_EXPORT, 2);
VALUE(BATON_WORK_KV_IMPORT, 3);

SIZE(baton_work, 40);
FIELD(baton_work, size, 0, 4);
FIELD(baton_work, kind, 4, 4);
FIELD(baton_work, token_count, 8, 4);
FIELD(baton_work, sequence_count, 12, 4);
FIELD(baton_work, context_tokens, 16, 8);
FIELD(baton_work, row_count, 24, 4);
FIELD(baton_work, piece_count, 28, 4);
FIELD(baton_work, bytes, 32, 8);

SIZE(baton_cost, 40);
FIELD(baton_cost, size, 0, 4);
FIELD(baton_cost, clock, 4, 4);
FIELD(baton_cost, time_ns, 8, 8);
FIELD(baton_cost, flops, 16, 8);
FIELD(baton_cost, bytes, 24, 8);
FIELD(baton_cost, padded, 32, 8);

SIZE(baton_memory_need, 40);
FIELD(baton_memory_need, size, 0, 4);
FIELD(baton_memory_need, fits, 4, 4);
FIELD(baton_memory_need, weight_bytes, 8, 8);
FIELD(baton_memory_need, workspace_bytes, 16, 8);
FIELD(baton_memory_need, kv_bytes, 24, 8);
FIELD(baton_memory_need, available_bytes, 32, 8);

SIZE(baton_cost_table, 24);
FIELD(baton_cost_table, size, 0, 4);
FIELD(baton_cost_table, reserved, 4, 4);
FIELD(baton_cost_table, estimate, 8, 8);
FIELD(baton_cost_table, memory, 16, 8);
