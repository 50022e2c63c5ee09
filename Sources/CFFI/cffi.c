// SPDX-License-Identifier: Apache-2.0
#include "CFFI.h"

#include <ffi.h>
#include <stdlib.h>
#include <string.h>

struct cffi_interface {
  ffi_cif cif;
  cffi_type result;
  ffi_type *parameters[]; // the cif keeps a pointer to these
};

struct cffi_closure {
  ffi_closure *closure;
  void *function;
  cffi_type result;
  cffi_handler handler;
  void *user;
};

/// What libffi writes a result to: at least a register wide, and narrower integers fill all of it.
typedef union {
  ffi_arg unsigned_word;
  ffi_sarg signed_word;
  int64_t i64;
  uint64_t u64;
  float f32;
  double f64;
  void *pointer;
} result_word;

static ffi_type *libffi_type(cffi_type type) {
  switch (type) {
  case CFFI_VOID: return &ffi_type_void;
  case CFFI_BOOL: return &ffi_type_uint8; // _Bool is passed as an unsigned byte that is 0 or 1
  case CFFI_I8: return &ffi_type_sint8;
  case CFFI_U8: return &ffi_type_uint8;
  case CFFI_I16: return &ffi_type_sint16;
  case CFFI_U16: return &ffi_type_uint16;
  case CFFI_I32: return &ffi_type_sint32;
  case CFFI_U32: return &ffi_type_uint32;
  case CFFI_I64: return &ffi_type_sint64;
  case CFFI_U64: return &ffi_type_uint64;
  case CFFI_F32: return &ffi_type_float;
  case CFFI_F64: return &ffi_type_double;
  case CFFI_POINTER: return &ffi_type_pointer;
  default: return NULL;
  }
}

cffi_interface *cffi_interface_create(cffi_type result, const cffi_type *parameters, uint32_t count) {
  if (count > CFFI_MAX_PARAMETERS || libffi_type(result) == NULL) return NULL;
  cffi_interface *interface = calloc(1, sizeof *interface + count * sizeof(ffi_type *));
  if (interface == NULL) return NULL;
  interface->result = result;
  for (uint32_t i = 0; i < count; i++) {
    interface->parameters[i] = parameters[i] == CFFI_VOID ? NULL : libffi_type(parameters[i]);
    if (interface->parameters[i] == NULL) {
      free(interface);
      return NULL;
    }
  }
  ffi_status status = ffi_prep_cif(&interface->cif, FFI_DEFAULT_ABI, count, libffi_type(result), interface->parameters);
  if (status == FFI_OK) return interface;
  free(interface);
  return NULL;
}

void cffi_interface_free(cffi_interface *interface) { free(interface); }

#define STORE(slot, type, value)            \
  do {                                      \
    type stored = (type)(value);            \
    memcpy((slot), &stored, sizeof stored); \
  } while (0)

/// Brings a result from the width libffi gives it to that of its type.
static void narrow(cffi_type type, const result_word *word, void *slot) {
  switch (type) {
  case CFFI_VOID: STORE(slot, uint64_t, 0); break;
  case CFFI_BOOL: STORE(slot, uint8_t, (uint8_t)word->unsigned_word != 0); break;
  case CFFI_I8: STORE(slot, int8_t, word->signed_word); break;
  case CFFI_U8: STORE(slot, uint8_t, word->unsigned_word); break;
  case CFFI_I16: STORE(slot, int16_t, word->signed_word); break;
  case CFFI_U16: STORE(slot, uint16_t, word->unsigned_word); break;
  case CFFI_I32: STORE(slot, int32_t, word->signed_word); break;
  case CFFI_U32: STORE(slot, uint32_t, word->unsigned_word); break;
  case CFFI_I64: STORE(slot, int64_t, word->i64); break;
  case CFFI_U64: STORE(slot, uint64_t, word->u64); break;
  case CFFI_F32: STORE(slot, float, word->f32); break;
  case CFFI_F64: STORE(slot, double, word->f64); break;
  case CFFI_POINTER: STORE(slot, void *, word->pointer); break;
  }
}

#define LOAD(type, slot) (*(const type *)(slot))

/// Writes a closure's result as libffi wants it: integers narrower than a register fill a whole one.
static void widen(cffi_type type, const void *slot, void *result) {
  switch (type) {
  case CFFI_VOID: break;
  case CFFI_BOOL: STORE(result, ffi_arg, LOAD(uint8_t, slot) != 0); break;
  case CFFI_I8: STORE(result, ffi_sarg, LOAD(int8_t, slot)); break;
  case CFFI_U8: STORE(result, ffi_arg, LOAD(uint8_t, slot)); break;
  case CFFI_I16: STORE(result, ffi_sarg, LOAD(int16_t, slot)); break;
  case CFFI_U16: STORE(result, ffi_arg, LOAD(uint16_t, slot)); break;
  case CFFI_I32: STORE(result, ffi_sarg, LOAD(int32_t, slot)); break;
  case CFFI_U32: STORE(result, ffi_arg, LOAD(uint32_t, slot)); break;
  case CFFI_I64: STORE(result, int64_t, LOAD(int64_t, slot)); break;
  case CFFI_U64: STORE(result, uint64_t, LOAD(uint64_t, slot)); break;
  case CFFI_F32: STORE(result, float, LOAD(float, slot)); break;
  case CFFI_F64: STORE(result, double, LOAD(double, slot)); break;
  case CFFI_POINTER: STORE(result, void *, LOAD(void *, slot)); break;
  }
}

void cffi_call(const cffi_interface *interface, void *function, void *const *arguments, void *result) {
  void (*entry)(void);
  memcpy(&entry, &function, sizeof entry);
  result_word word = {0};
  // libffi takes these without const and writes to neither.
  ffi_call((ffi_cif *)&interface->cif, entry, &word, (void **)arguments);
  narrow(interface->result, &word, result);
}

static void enter(ffi_cif *cif, void *result, void **arguments, void *user) {
  (void)cif;
  const cffi_closure *closure = user;
  result_word slot = {0};
  closure->handler(closure->user, &slot, arguments);
  widen(closure->result, &slot, result);
}

cffi_closure *cffi_closure_create(const cffi_interface *interface, cffi_handler handler, void *user) {
  cffi_closure *made = calloc(1, sizeof *made);
  if (made == NULL) return NULL;
  *made = (cffi_closure){.result = interface->result, .handler = handler, .user = user};
  made->closure = ffi_closure_alloc(sizeof(ffi_closure), &made->function);
  if (made->closure != NULL &&
      ffi_prep_closure_loc(made->closure, (ffi_cif *)&interface->cif, enter, made, made->function) == FFI_OK) {
    return made;
  }
  cffi_closure_free(made);
  return NULL;
}

void *cffi_closure_function(const cffi_closure *closure) { return closure->function; }

void cffi_closure_free(cffi_closure *closure) {
  if (closure == NULL) return;
  if (closure->closure != NULL) ffi_closure_free(closure->closure);
  free(closure);
}
