// SPDX-License-Identifier: Apache-2.0
// A filter of logits for a `foreign` stage: a C function of your own that sees the logits of every step before a token is sampled.
//
//   cc -O2 -shared -fPIC -o liblogits_mask.so logits_mask.c
//
//   signature: i32 mask_digits(f32* logits, u64 count, i32* history, u64 history_count)
//
// `logits` are the scores of the `count` tokens of the vocabulary; write to them to change what can be sampled. `history` are the
// `history_count` token ids so far, prompt included, oldest first. Both belong to the caller and are good until the call returns. The
// result is the number of tokens masked, or negative for a failure, which ends the request.
#include <math.h>
#include <stdint.h>

/// The ids of the tokens "0" to "9" in the vocabulary of SmolLM2: one token per digit, next to one another.
enum { FIRST_DIGIT = 32, LAST_DIGIT = 41 };

/// Makes the digits impossible: the model has to write its numbers in words.
int32_t mask_digits(float *logits, uint64_t count, const int32_t *history, uint64_t history_count) {
  (void)history, (void)history_count;
  if (logits == 0 || count <= LAST_DIGIT) return -1;
  for (uint64_t token = FIRST_DIGIT; token <= LAST_DIGIT; token++) logits[token] = -INFINITY;
  return LAST_DIGIT - FIRST_DIGIT + 1;
}

/// Makes the last token impossible, so that no token follows itself.
int32_t mask_repeat(float *logits, uint64_t count, const int32_t *history, uint64_t history_count) {
  if (logits == 0) return -1;
  if (history_count == 0) return 0;
  int32_t last = history[history_count - 1];
  if (last < 0 || (uint64_t)last >= count) return -1;
  logits[last] = -INFINITY;
  return 1;
}
