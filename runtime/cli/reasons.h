/* SPDX-License-Identifier: Apache-2.0
 * `braid plan --why`: struct braid_why for people and for scripts. */
#ifndef BRAID_CLI_REASONS_H
#define BRAID_CLI_REASONS_H

#include "cli.h"

void reasons_print(const struct braid_why *why, const struct braid_graph *graph, const struct braid_plan *plan);
json_t *reasons_json(const struct braid_why *why);

#endif
