// SPDX-License-Identifier: Apache-2.0
// Proves that an exception which crosses the boundary of the contract ends no host of isolated drivers.
#include "baton/baton.h"

#include <stdexcept>

BATON_DRIVER_NOTE("throws_across", "1.0.0", 1, 0, 1, 0);

extern "C" BATON_EXPORT baton_code baton_driver_entry(const baton_host *, baton_driver *) { throw std::runtime_error("no device"); }
