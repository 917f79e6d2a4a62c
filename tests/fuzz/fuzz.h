/* SPDX-License-Identifier: Apache-2.0
 * What libFuzzer and replay.c call. Returns 0; crashes, sanitizer reports and abort() are the findings. */
#ifndef TESTS_FUZZ_H
#define TESTS_FUZZ_H

#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#endif
