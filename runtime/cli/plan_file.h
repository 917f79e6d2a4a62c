/* SPDX-License-Identifier: Apache-2.0
 * Plans and profiles as files. Messages name the file. */
#ifndef BRAID_CLI_PLAN_FILE_H
#define BRAID_CLI_PLAN_FILE_H

#include "braid/runtime.h"

BRAID_NODISCARD enum braid_status plan_file_read(const char *path, const struct braid_graph *graph,
                                                 struct braid_plan **out);
BRAID_NODISCARD enum braid_status profile_file_read(const char *path, const struct braid_graph *graph,
                                                    struct braid_profile **out);
/* "-" is standard output. */
BRAID_NODISCARD enum braid_status profile_file_write(const char *path, const struct braid_profile *profile);

#endif
