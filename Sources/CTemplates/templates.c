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
static const uint8_t swift_driverkit_devicemodel_deviceclock_swift[] = {
#embed "../DriverKit/DeviceModel/DeviceClock.swift"
};
static const uint8_t swift_driverkit_devicemodel_deviceengine_swift[] = {
#embed "../DriverKit/DeviceModel/DeviceEngine.swift"
};
static const uint8_t swift_driverkit_devicemodel_devicemodel_swift[] = {
#embed "../DriverKit/DeviceModel/DeviceModel.swift"
};
static const uint8_t swift_driverkit_devicemodel_modeldevice_swift[] = {
#embed "../DriverKit/DeviceModel/ModelDevice.swift"
};
static const uint8_t swift_driverkit_devicemodel_modelledtime_swift[] = {
#embed "../DriverKit/DeviceModel/ModelledTime.swift"
};
static const uint8_t swift_driverkit_devicemodel_peerobjects_swift[] = {
#embed "../DriverKit/DeviceModel/PeerObjects.swift"
};
static const uint8_t swift_driverkit_devicemodel_referenceengine_swift[] = {
#embed "../DriverKit/DeviceModel/ReferenceEngine.swift"
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
static const uint8_t swift_driverkit_work_condition_swift[] = {
#embed "../DriverKit/Work/Condition.swift"
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
    ENTRY("cpp", "test.c", cpp_test_c),
    ENTRY("rust", "test.c", rust_test_c),
    ENTRY("swift", "test.c", swift_test_c),
    ENTRY("swift", "DriverKit/Contract/ContractStruct.swift", swift_driverkit_contract_contractstruct_swift),
    ENTRY("swift", "DriverKit/Contract/DriverFailure.swift", swift_driverkit_contract_driverfailure_swift),
    ENTRY("swift", "DriverKit/Contract/Handle.swift", swift_driverkit_contract_handle_swift),
    ENTRY("swift", "DriverKit/Contract/Interned.swift", swift_driverkit_contract_interned_swift),
    ENTRY("swift", "DriverKit/Definitions.swift", swift_driverkit_definitions_swift),
    ENTRY("swift", "DriverKit/DeviceModel/DeviceClock.swift", swift_driverkit_devicemodel_deviceclock_swift),
    ENTRY("swift", "DriverKit/DeviceModel/DeviceEngine.swift", swift_driverkit_devicemodel_deviceengine_swift),
    ENTRY("swift", "DriverKit/DeviceModel/DeviceModel.swift", swift_driverkit_devicemodel_devicemodel_swift),
    ENTRY("swift", "DriverKit/DeviceModel/ModelDevice.swift", swift_driverkit_devicemodel_modeldevice_swift),
    ENTRY("swift", "DriverKit/DeviceModel/ModelledTime.swift", swift_driverkit_devicemodel_modelledtime_swift),
    ENTRY("swift", "DriverKit/DeviceModel/PeerObjects.swift", swift_driverkit_devicemodel_peerobjects_swift),
    ENTRY("swift", "DriverKit/DeviceModel/ReferenceEngine.swift", swift_driverkit_devicemodel_referenceengine_swift),
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
    ENTRY("swift", "DriverKit/Work/Condition.swift", swift_driverkit_work_condition_swift),
    ENTRY("swift", "DriverKit/Work/SubmissionQueue.swift", swift_driverkit_work_submissionqueue_swift),
    ENTRY("swift", "DriverKit/Work/Sync.swift", swift_driverkit_work_sync_swift),
    ENTRY("swift", "DriverKit/Work/Timeline.swift", swift_driverkit_work_timeline_swift),
};

uint32_t ctemplates_count(void) { return sizeof files / sizeof *files; }
const ctemplates_file *ctemplates_at(uint32_t index) { return &files[index]; }
