/* SPDX-License-Identifier: Apache-2.0
 * A few threads that do the same thing at once, for benchmarks of kernels: a kernel computes a band on the thread that
 * calls it. */
#ifndef BRAID_CLI_KERNEL_TEAM_H
#define BRAID_CLI_KERNEL_TEAM_H

#include "cli.h"

struct kernel_team;
/* The caller is member 0. */
BRAID_NODISCARD enum braid_status kernel_team_create(int members, struct kernel_team **out);
int kernel_team_size(const struct kernel_team *team);
/* Calls work(ctx, i) of every member i at the same time; returns when all have. */
void kernel_team_run(struct kernel_team *team, void (*work)(void *ctx, int member), void *ctx);
void kernel_team_destroy(struct kernel_team **team);

#endif
