/* SPDX-License-Identifier: Apache-2.0
 * Kernels by measurement: a convolution, as text, and the name of the kernel that was the fastest for it here. What is
 * written down is what a search found better than the table's rules; everything else goes by those. */
#ifndef RUNTIME_EXEC_CHOICES_H
#define RUNTIME_EXEC_CHOICES_H

#include "braid/runtime.h"

#include <jansson.h>

struct braid_choices {
  uint32_t cpu_flags;
  json_t *kernel; /* {convolution: name}; only read while a pool has it */
};

enum { EXEC_CHOICE_CHARS = 320 };

/* What the time of a convolution hangs on: operator, types, shapes, attributes, what is added and the activation, and
 * into how many slices of rows its node is cut. `args` as a kernel is chosen by. False: kernels for it are not
 * measured. */
bool exec_choice_key(const struct braid_kernel_args *args, int slices, char key[EXEC_CHOICE_CHARS]);
/* Could it be the kernel of such a node? */
bool exec_choice_fits(const struct braid_kernel *kernel, const struct braid_kernel_args *args, uint32_t flags,
                      int slices);
/* The measured kernel; NULL: go by the rules. Choices may be NULL. */
const struct braid_kernel *exec_choices_find(const struct braid_choices *choices, const struct braid_kernel_args *args,
                                             uint32_t flags, int slices);
/* `kernel` NULL: by the rules from now on. */
BRAID_NODISCARD enum braid_status exec_choices_set(struct braid_choices *choices, const char *key,
                                                   const struct braid_kernel *kernel);
/* "model name" of /proc/cpuinfo; the architecture where there is none. */
void exec_cpu_name(char *buf, size_t size);

#endif
