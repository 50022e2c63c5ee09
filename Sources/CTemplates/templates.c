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
static const uint8_t cpp_makefile[] = {
#embed "kit/cpp/Makefile"
};
static const uint8_t cpp_readme_md[] = {
#embed "kit/cpp/README.md"
};
static const uint8_t cpp_buffer_cpp[] = {
#embed "kit/cpp/buffer.cpp"
};
static const uint8_t cpp_cost_cpp[] = {
#embed "kit/cpp/cost.cpp"
};
static const uint8_t cpp_device_cpp[] = {
#embed "kit/cpp/device.cpp"
};
static const uint8_t cpp_device_hpp[] = {
#embed "kit/cpp/device.hpp"
};
static const uint8_t cpp_driver_cpp[] = {
#embed "kit/cpp/driver.cpp"
};
static const uint8_t cpp_kv_cpp[] = {
#embed "kit/cpp/kv.cpp"
};
static const uint8_t cpp_operations_cpp[] = {
#embed "kit/cpp/operations.cpp"
};
static const uint8_t cpp_program_cpp[] = {
#embed "kit/cpp/program.cpp"
};
static const uint8_t cpp_timeline_cpp[] = {
#embed "kit/cpp/timeline.cpp"
};
static const uint8_t rust_cargo_toml[] = {
#embed "kit/rust/Cargo.toml"
};
static const uint8_t rust_makefile[] = {
#embed "kit/rust/Makefile"
};
static const uint8_t rust_readme_md[] = {
#embed "kit/rust/README.md"
};
static const uint8_t rust_src_buffer_rs[] = {
#embed "kit/rust/src/buffer.rs"
};
static const uint8_t rust_src_contract_rs[] = {
#embed "kit/rust/src/contract.rs"
};
static const uint8_t rust_src_cost_rs[] = {
#embed "kit/rust/src/cost.rs"
};
static const uint8_t rust_src_device_rs[] = {
#embed "kit/rust/src/device.rs"
};
static const uint8_t rust_src_kv_rs[] = {
#embed "kit/rust/src/kv.rs"
};
static const uint8_t rust_src_lib_rs[] = {
#embed "kit/rust/src/lib.rs"
};
static const uint8_t rust_src_name_rs[] = {
#embed "kit/rust/src/name.rs"
};
static const uint8_t rust_src_operations_rs[] = {
#embed "kit/rust/src/operations.rs"
};
static const uint8_t rust_src_program_rs[] = {
#embed "kit/rust/src/program.rs"
};
static const uint8_t rust_src_timeline_rs[] = {
#embed "kit/rust/src/timeline.rs"
};
static const uint8_t swift_execution_swift[] = {
#embed "kit/swift/Execution.swift"
};
static const uint8_t swift_hostbuffer_swift[] = {
#embed "kit/swift/HostBuffer.swift"
};
static const uint8_t swift_makefile[] = {
#embed "kit/swift/Makefile"
};
static const uint8_t swift_name_swift[] = {
#embed "kit/swift/Name.swift"
};
static const uint8_t swift_pool_swift[] = {
#embed "kit/swift/Pool.swift"
};
static const uint8_t swift_readme_md[] = {
#embed "kit/swift/README.md"
};
static const uint8_t swift_templatecost_swift[] = {
#embed "kit/swift/TemplateCost.swift"
};
static const uint8_t swift_templatedevice_swift[] = {
#embed "kit/swift/TemplateDevice.swift"
};
static const uint8_t swift_templatedriver_swift[] = {
#embed "kit/swift/TemplateDriver.swift"
};
static const uint8_t swift_weights_swift[] = {
#embed "kit/swift/Weights.swift"
};
static const uint8_t swift_note_c[] = {
#embed "kit/swift/note.c"
};
static const uint8_t cpp_test_c[] = {
#embed "kit/c/test.c"
};
static const uint8_t rust_test_c[] = {
#embed "kit/c/test.c"
};
static const uint8_t swift_test_c[] = {
#embed "kit/c/test.c"
};
static const uint8_t swift_driverkit_contract_contractstruct_swift[] = {
#embed "../DriverKit/Contract/ContractStruct.swift"
};
static const uint8_t swift_driverkit_contract_driverfailure_swift[] = {
#embed "../DriverKit/Contract/DriverFailure.swift"
};
static const uint8_t swift_driverkit_contract_handle_swift[] = {
#embed "../DriverKit/Contract/Handle.swift"
};
static const uint8_t swift_driverkit_contract_interned_swift[] = {
#embed "../DriverKit/Contract/Interned.swift"
};
static const uint8_t swift_driverkit_definitions_swift[] = {
#embed "../DriverKit/Definitions.swift"
};
static const uint8_t swift_driverkit_host_swift[] = {
#embed "../DriverKit/Host.swift"
};
static const uint8_t swift_driverkit_memory_floatrow_swift[] = {
#embed "../DriverKit/Memory/FloatRow.swift"
};
static const uint8_t swift_driverkit_memory_hostmemory_swift[] = {
#embed "../DriverKit/Memory/HostMemory.swift"
};
static const uint8_t swift_driverkit_memory_kvtransfer_swift[] = {
#embed "../DriverKit/Memory/KVTransfer.swift"
};
static const uint8_t swift_driverkit_memory_memorybudget_swift[] = {
#embed "../DriverKit/Memory/MemoryBudget.swift"
};
static const uint8_t swift_driverkit_tables_buffertable_swift[] = {
#embed "../DriverKit/Tables/BufferTable.swift"
};
static const uint8_t swift_driverkit_tables_costtable_swift[] = {
#embed "../DriverKit/Tables/CostTable.swift"
};
static const uint8_t swift_driverkit_tables_devicetable_swift[] = {
#embed "../DriverKit/Tables/DeviceTable.swift"
};
static const uint8_t swift_driverkit_tables_driverkit_swift[] = {
#embed "../DriverKit/Tables/DriverKit.swift"
};
static const uint8_t swift_driverkit_tables_kvtable_swift[] = {
#embed "../DriverKit/Tables/KVTable.swift"
};
static const uint8_t swift_driverkit_tables_programtable_swift[] = {
#embed "../DriverKit/Tables/ProgramTable.swift"
};
static const uint8_t swift_driverkit_tables_timelinetable_swift[] = {
#embed "../DriverKit/Tables/TimelineTable.swift"
};
static const uint8_t swift_driverkit_values_batch_reading_swift[] = {
#embed "../DriverKit/Values/Batch+Reading.swift"
};
static const uint8_t swift_driverkit_values_batch_swift[] = {
#embed "../DriverKit/Values/Batch.swift"
};
static const uint8_t swift_driverkit_values_cost_swift[] = {
#embed "../DriverKit/Values/Cost.swift"
};
static const uint8_t swift_driverkit_values_dtype_swift[] = {
#embed "../DriverKit/Values/DType.swift"
};
static const uint8_t swift_driverkit_values_devicedescription_swift[] = {
#embed "../DriverKit/Values/DeviceDescription.swift"
};
static const uint8_t swift_driverkit_values_kvlayout_swift[] = {
#embed "../DriverKit/Values/KVLayout.swift"
};
static const uint8_t swift_driverkit_values_kvvalues_swift[] = {
#embed "../DriverKit/Values/KVValues.swift"
};
static const uint8_t swift_driverkit_values_memory_swift[] = {
#embed "../DriverKit/Values/Memory.swift"
};
static const uint8_t swift_driverkit_values_options_swift[] = {
#embed "../DriverKit/Values/Options.swift"
};
static const uint8_t swift_driverkit_values_peerforms_swift[] = {
#embed "../DriverKit/Values/PeerForms.swift"
};
static const uint8_t swift_driverkit_values_programdescription_reading_swift[] = {
#embed "../DriverKit/Values/ProgramDescription+Reading.swift"
};
static const uint8_t swift_driverkit_values_programdescription_work_swift[] = {
#embed "../DriverKit/Values/ProgramDescription+Work.swift"
};
static const uint8_t swift_driverkit_values_programdescription_swift[] = {
#embed "../DriverKit/Values/ProgramDescription.swift"
};
static const uint8_t swift_driverkit_values_programrules_swift[] = {
#embed "../DriverKit/Values/ProgramRules.swift"
};
static const uint8_t swift_driverkit_values_times_swift[] = {
#embed "../DriverKit/Values/Times.swift"
};
static const uint8_t swift_driverkit_work_callbackgate_swift[] = {
#embed "../DriverKit/Work/CallbackGate.swift"
};
static const uint8_t swift_driverkit_work_callbacks_swift[] = {
#embed "../DriverKit/Work/Callbacks.swift"
};
static const uint8_t swift_driverkit_work_condition_swift[] = {
#embed "../DriverKit/Work/Condition.swift"
};
static const uint8_t swift_driverkit_work_line_swift[] = {
#embed "../DriverKit/Work/Line.swift"
};
static const uint8_t swift_driverkit_work_submissionqueue_swift[] = {
#embed "../DriverKit/Work/SubmissionQueue.swift"
};
static const uint8_t swift_driverkit_work_sync_swift[] = {
#embed "../DriverKit/Work/Sync.swift"
};
static const uint8_t swift_driverkit_work_timeline_swift[] = {
#embed "../DriverKit/Work/Timeline.swift"
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
    ENTRY("cpp", "Makefile", cpp_makefile),
    ENTRY("cpp", "README.md", cpp_readme_md),
    ENTRY("cpp", "buffer.cpp", cpp_buffer_cpp),
    ENTRY("cpp", "cost.cpp", cpp_cost_cpp),
    ENTRY("cpp", "device.cpp", cpp_device_cpp),
    ENTRY("cpp", "device.hpp", cpp_device_hpp),
    ENTRY("cpp", "driver.cpp", cpp_driver_cpp),
    ENTRY("cpp", "kv.cpp", cpp_kv_cpp),
    ENTRY("cpp", "operations.cpp", cpp_operations_cpp),
    ENTRY("cpp", "program.cpp", cpp_program_cpp),
    ENTRY("cpp", "timeline.cpp", cpp_timeline_cpp),
    ENTRY("rust", "Cargo.toml", rust_cargo_toml),
    ENTRY("rust", "Makefile", rust_makefile),
    ENTRY("rust", "README.md", rust_readme_md),
    ENTRY("rust", "src/buffer.rs", rust_src_buffer_rs),
    ENTRY("rust", "src/contract.rs", rust_src_contract_rs),
    ENTRY("rust", "src/cost.rs", rust_src_cost_rs),
    ENTRY("rust", "src/device.rs", rust_src_device_rs),
    ENTRY("rust", "src/kv.rs", rust_src_kv_rs),
    ENTRY("rust", "src/lib.rs", rust_src_lib_rs),
    ENTRY("rust", "src/name.rs", rust_src_name_rs),
    ENTRY("rust", "src/operations.rs", rust_src_operations_rs),
    ENTRY("rust", "src/program.rs", rust_src_program_rs),
    ENTRY("rust", "src/timeline.rs", rust_src_timeline_rs),
    ENTRY("swift", "Execution.swift", swift_execution_swift),
    ENTRY("swift", "HostBuffer.swift", swift_hostbuffer_swift),
    ENTRY("swift", "Makefile", swift_makefile),
    ENTRY("swift", "Name.swift", swift_name_swift),
    ENTRY("swift", "Pool.swift", swift_pool_swift),
    ENTRY("swift", "README.md", swift_readme_md),
    ENTRY("swift", "TemplateCost.swift", swift_templatecost_swift),
    ENTRY("swift", "TemplateDevice.swift", swift_templatedevice_swift),
    ENTRY("swift", "TemplateDriver.swift", swift_templatedriver_swift),
    ENTRY("swift", "Weights.swift", swift_weights_swift),
    ENTRY("swift", "note.c", swift_note_c),
    ENTRY("cpp", "test.c", cpp_test_c),
    ENTRY("rust", "test.c", rust_test_c),
    ENTRY("swift", "test.c", swift_test_c),
    ENTRY("swift", "DriverKit/Contract/ContractStruct.swift", swift_driverkit_contract_contractstruct_swift),
    ENTRY("swift", "DriverKit/Contract/DriverFailure.swift", swift_driverkit_contract_driverfailure_swift),
    ENTRY("swift", "DriverKit/Contract/Handle.swift", swift_driverkit_contract_handle_swift),
    ENTRY("swift", "DriverKit/Contract/Interned.swift", swift_driverkit_contract_interned_swift),
    ENTRY("swift", "DriverKit/Definitions.swift", swift_driverkit_definitions_swift),
    ENTRY("swift", "DriverKit/Host.swift", swift_driverkit_host_swift),
    ENTRY("swift", "DriverKit/Memory/FloatRow.swift", swift_driverkit_memory_floatrow_swift),
    ENTRY("swift", "DriverKit/Memory/HostMemory.swift", swift_driverkit_memory_hostmemory_swift),
    ENTRY("swift", "DriverKit/Memory/KVTransfer.swift", swift_driverkit_memory_kvtransfer_swift),
    ENTRY("swift", "DriverKit/Memory/MemoryBudget.swift", swift_driverkit_memory_memorybudget_swift),
    ENTRY("swift", "DriverKit/Tables/BufferTable.swift", swift_driverkit_tables_buffertable_swift),
    ENTRY("swift", "DriverKit/Tables/CostTable.swift", swift_driverkit_tables_costtable_swift),
    ENTRY("swift", "DriverKit/Tables/DeviceTable.swift", swift_driverkit_tables_devicetable_swift),
    ENTRY("swift", "DriverKit/Tables/DriverKit.swift", swift_driverkit_tables_driverkit_swift),
    ENTRY("swift", "DriverKit/Tables/KVTable.swift", swift_driverkit_tables_kvtable_swift),
    ENTRY("swift", "DriverKit/Tables/ProgramTable.swift", swift_driverkit_tables_programtable_swift),
    ENTRY("swift", "DriverKit/Tables/TimelineTable.swift", swift_driverkit_tables_timelinetable_swift),
    ENTRY("swift", "DriverKit/Values/Batch+Reading.swift", swift_driverkit_values_batch_reading_swift),
    ENTRY("swift", "DriverKit/Values/Batch.swift", swift_driverkit_values_batch_swift),
    ENTRY("swift", "DriverKit/Values/Cost.swift", swift_driverkit_values_cost_swift),
    ENTRY("swift", "DriverKit/Values/DType.swift", swift_driverkit_values_dtype_swift),
    ENTRY("swift", "DriverKit/Values/DeviceDescription.swift", swift_driverkit_values_devicedescription_swift),
    ENTRY("swift", "DriverKit/Values/KVLayout.swift", swift_driverkit_values_kvlayout_swift),
    ENTRY("swift", "DriverKit/Values/KVValues.swift", swift_driverkit_values_kvvalues_swift),
    ENTRY("swift", "DriverKit/Values/Memory.swift", swift_driverkit_values_memory_swift),
    ENTRY("swift", "DriverKit/Values/Options.swift", swift_driverkit_values_options_swift),
    ENTRY("swift", "DriverKit/Values/PeerForms.swift", swift_driverkit_values_peerforms_swift),
    ENTRY("swift", "DriverKit/Values/ProgramDescription+Reading.swift", swift_driverkit_values_programdescription_reading_swift),
    ENTRY("swift", "DriverKit/Values/ProgramDescription+Work.swift", swift_driverkit_values_programdescription_work_swift),
    ENTRY("swift", "DriverKit/Values/ProgramDescription.swift", swift_driverkit_values_programdescription_swift),
    ENTRY("swift", "DriverKit/Values/ProgramRules.swift", swift_driverkit_values_programrules_swift),
    ENTRY("swift", "DriverKit/Values/Times.swift", swift_driverkit_values_times_swift),
    ENTRY("swift", "DriverKit/Work/CallbackGate.swift", swift_driverkit_work_callbackgate_swift),
    ENTRY("swift", "DriverKit/Work/Callbacks.swift", swift_driverkit_work_callbacks_swift),
    ENTRY("swift", "DriverKit/Work/Condition.swift", swift_driverkit_work_condition_swift),
    ENTRY("swift", "DriverKit/Work/Line.swift", swift_driverkit_work_line_swift),
    ENTRY("swift", "DriverKit/Work/SubmissionQueue.swift", swift_driverkit_work_submissionqueue_swift),
    ENTRY("swift", "DriverKit/Work/Sync.swift", swift_driverkit_work_sync_swift),
    ENTRY("swift", "DriverKit/Work/Timeline.swift", swift_driverkit_work_timeline_swift),
};

uint32_t ctemplates_count(void) { return sizeof files / sizeof *files; }
const ctemplates_file *ctemplates_at(uint32_t index) { return &files[index]; }
