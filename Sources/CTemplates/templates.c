// Written by embed.py: every file that `baton driver new` can write. A test sees that none is missing.
#include "CTemplates.h"

#pragma clang diagnostic ignored "-Wc23-extensions"

static const uint8_t _include_changelog_md[] = {
#embed "../../include/CHANGELOG.md"
};
static const uint8_t _include_baton_baton_h[] = {
#embed "../../include/baton/baton.h"
};
static const uint8_t _include_baton_buffer_h[] = {
#embed "../../include/baton/buffer.h"
};
static const uint8_t _include_baton_cost_h[] = {
#embed "../../include/baton/cost.h"
};
static const uint8_t _include_baton_device_h[] = {
#embed "../../include/baton/device.h"
};
static const uint8_t _include_baton_driver_h[] = {
#embed "../../include/baton/driver.h"
};
static const uint8_t _include_baton_driver_map[] = {
#embed "../../include/baton/driver.map"
};
static const uint8_t _include_baton_event_h[] = {
#embed "../../include/baton/event.h"
};
static const uint8_t _include_baton_kv_h[] = {
#embed "../../include/baton/kv.h"
};
static const uint8_t _include_baton_note_h[] = {
#embed "../../include/baton/note.h"
};
static const uint8_t _include_baton_program_h[] = {
#embed "../../include/baton/program.h"
};
static const uint8_t _include_baton_status_h[] = {
#embed "../../include/baton/status.h"
};
static const uint8_t _include_module_modulemap[] = {
#embed "../../include/module.modulemap"
};
static const uint8_t ___name___driver_json[] = {
#embed "kit/common/driver.json"
};
static const uint8_t __gitignore[] = {
#embed "kit/common/gitignore"
};
static const uint8_t _manifest_yaml[] = {
#embed "kit/common/manifest.yaml"
};
static const uint8_t c_makefile[] = {
#embed "kit/c/Makefile"
};
static const uint8_t c_readme_md[] = {
#embed "kit/c/README.md"
};
static const uint8_t c_batch_c[] = {
#embed "kit/c/batch.c"
};
static const uint8_t c_buffer_c[] = {
#embed "kit/c/buffer.c"
};
static const uint8_t c_cost_c[] = {
#embed "kit/c/cost.c"
};
static const uint8_t c_device_c[] = {
#embed "kit/c/device.c"
};
static const uint8_t c_device_h[] = {
#embed "kit/c/device.h"
};
static const uint8_t c_driver_c[] = {
#embed "kit/c/driver.c"
};
static const uint8_t c_kv_c[] = {
#embed "kit/c/kv.c"
};
static const uint8_t c_operations_c[] = {
#embed "kit/c/operations.c"
};
static const uint8_t c_program_c[] = {
#embed "kit/c/program.c"
};
static const uint8_t c_queue_c[] = {
#embed "kit/c/queue.c"
};
static const uint8_t c_test_c[] = {
#embed "kit/c/test.c"
};
static const uint8_t c_timeline_c[] = {
#embed "kit/c/timeline.c"
};

#define ENTRY(language, path, bytes) {language, path, bytes, sizeof bytes}

static const ctemplates_file files[] = {
    ENTRY("", "include/CHANGELOG.md", _include_changelog_md),
    ENTRY("", "include/baton/baton.h", _include_baton_baton_h),
    ENTRY("", "include/baton/buffer.h", _include_baton_buffer_h),
    ENTRY("", "include/baton/cost.h", _include_baton_cost_h),
    ENTRY("", "include/baton/device.h", _include_baton_device_h),
    ENTRY("", "include/baton/driver.h", _include_baton_driver_h),
    ENTRY("", "include/baton/driver.map", _include_baton_driver_map),
    ENTRY("", "include/baton/event.h", _include_baton_event_h),
    ENTRY("", "include/baton/kv.h", _include_baton_kv_h),
    ENTRY("", "include/baton/note.h", _include_baton_note_h),
    ENTRY("", "include/baton/program.h", _include_baton_program_h),
    ENTRY("", "include/baton/status.h", _include_baton_status_h),
    ENTRY("", "include/module.modulemap", _include_module_modulemap),
    ENTRY("", "{{name}}.driver.json", ___name___driver_json),
    ENTRY("", ".gitignore", __gitignore),
    ENTRY("", "manifest.yaml", _manifest_yaml),
    ENTRY("c", "Makefile", c_makefile),
    ENTRY("c", "README.md", c_readme_md),
    ENTRY("c", "batch.c", c_batch_c),
    ENTRY("c", "buffer.c", c_buffer_c),
    ENTRY("c", "cost.c", c_cost_c),
    ENTRY("c", "device.c", c_device_c),
    ENTRY("c", "device.h", c_device_h),
    ENTRY("c", "driver.c", c_driver_c),
    ENTRY("c", "kv.c", c_kv_c),
    ENTRY("c", "operations.c", c_operations_c),
    ENTRY("c", "program.c", c_program_c),
    ENTRY("c", "queue.c", c_queue_c),
    ENTRY("c", "test.c", c_test_c),
    ENTRY("c", "timeline.c", c_timeline_c),
};

uint32_t ctemplates_count(void) { return sizeof files / sizeof *files; }
const ctemplates_file *ctemplates_at(uint32_t index) { return &files[index]; }
