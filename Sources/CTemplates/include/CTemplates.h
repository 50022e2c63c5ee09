// The files that `baton driver new` writes, in the binary itself.
#ifndef CTEMPLATES_H
#define CTEMPLATES_H

#include <stdint.h>

/// One file. Its path and its text may hold {{name}}.
typedef struct ctemplates_file {
  const char *language; // "c", "cpp", "swift", "rust"; "" for all
  const char *path;     // from the new folder
  const uint8_t *bytes;
  uint64_t length;
} ctemplates_file;

uint32_t ctemplates_count(void);
/// The file at `index`, below the count. Lives as long as the process.
const ctemplates_file *ctemplates_at(uint32_t index);

#endif
