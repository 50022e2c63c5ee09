// SPDX-License-Identifier: Apache-2.0
// Calls to C functions whose signature is known only at run time, and C function pointers that lead back to the caller.
// A thin layer over libffi in which none of libffi's types or globals appear. Values pass through 8-byte slots: a slot holds a value of
// its declared type at its first byte, whatever the byte order, and results are brought to that form after a call.
#ifndef CFFI_H
#define CFFI_H

#include <stdint.h>

#if defined(__clang__)
#pragma clang assume_nonnull begin
#define CFFI_NULLABLE _Nullable
#else
#define CFFI_NULLABLE
#endif

/// The type of a parameter or result.
typedef uint8_t cffi_type;
enum {
  CFFI_VOID = 0,
  CFFI_BOOL = 1,
  CFFI_I8 = 2,
  CFFI_U8 = 3,
  CFFI_I16 = 4,
  CFFI_U16 = 5,
  CFFI_I32 = 6,
  CFFI_U32 = 7,
  CFFI_I64 = 8,
  CFFI_U64 = 9,
  CFFI_F32 = 10,
  CFFI_F64 = 11,
  CFFI_POINTER = 12
};

enum { CFFI_SLOT_BYTES = 8, CFFI_MAX_PARAMETERS = 64 };

/// A prepared call interface: how a signature passes its arguments. Immutable once made; any thread may use it at the same time.
typedef struct cffi_interface cffi_interface;

/// A C function pointer that calls a handler.
typedef struct cffi_closure cffi_closure;

/// Called by a closure. `arguments[i]` points to the i-th argument as its declared type; `result` is a zeroed slot to fill.
typedef void (*cffi_handler)(void *CFFI_NULLABLE user, void *result, void *CFFI_NULLABLE const *CFFI_NULLABLE arguments);

/// Prepares an interface. Ownership: the caller's, until cffi_interface_free. Any thread.
/// Null for an unknown type, a void parameter, more than CFFI_MAX_PARAMETERS of them, or when memory ran out.
cffi_interface *CFFI_NULLABLE cffi_interface_create(cffi_type result, const cffi_type *CFFI_NULLABLE parameters, uint32_t count);

/// Frees an interface that no call and no closure uses.
void cffi_interface_free(cffi_interface *CFFI_NULLABLE interface);

/// Calls `function`. `arguments[i]` points to the slot of the i-th argument; `result` is a slot, zeroed for a void function.
void cffi_call(const cffi_interface *interface, void *function, void *CFFI_NULLABLE const *CFFI_NULLABLE arguments, void *result);

/// Makes a function pointer of the interface's signature that calls `handler` with `user`, on whichever thread calls it.
/// Ownership: the caller's, until cffi_closure_free; the interface outlives it. Null when executable memory cannot be had.
cffi_closure *CFFI_NULLABLE cffi_closure_create(const cffi_interface *interface, cffi_handler handler, void *CFFI_NULLABLE user);

/// The function pointer. Valid until cffi_closure_free.
void *cffi_closure_function(const cffi_closure *closure);

/// Frees a closure that no thread is calling nor will call.
void cffi_closure_free(cffi_closure *CFFI_NULLABLE closure);

#if defined(__clang__)
#pragma clang assume_nonnull end
#endif
#endif
