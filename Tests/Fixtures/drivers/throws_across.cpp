// SPDX-License-Identifier: Apache-2.0
// Proves that an exception that leaves a driver ends no process but the driver's own: nothing between driver and host can catch it.
#include "baton/baton.h"

#include <stdexcept>

extern "C" BATON_EXPORT baton_code baton_driver_entry(const baton_host *, baton_driver *) { throw std::runtime_error("nobody catches this"); }
